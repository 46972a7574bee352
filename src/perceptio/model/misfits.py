"""Weights that do not fit a model, by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_SHOWN = 5  # names of each kind in a message


def refuse_misfits(report: Mapping[str, Collection[Any]], what: str = "the model") -> None:
    """Complain of what a load or a conversion left over.

    Args:
        report: names by kind, as from transformers' `output_loading_info`: missing, unexpected, of another shape.
        what: the model that the weights were for.

    Raises:
        ValueError: if there is a name of any kind; the message lists the first few of each and counts them all.
    """
    wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    if wrong:
        listed = "; ".join(
            f"{kind}: {', '.join(names[:_SHOWN])} ({len(names)} in all)" for kind, names in wrong.items()
        )
        raise ValueError(f"the weights do not fit {what}: {listed}")
