"""What is wrong with a user's data."""

from __future__ import annotations


class DataError(ValueError):
    """Data cannot be used; the message is one sentence for people."""
