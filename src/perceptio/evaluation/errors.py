"""What stops an evaluation."""

from __future__ import annotations


class EvaluationError(ValueError):
    """An evaluation cannot run; the message is one sentence for people."""
