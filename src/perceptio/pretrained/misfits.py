"""Weights that do not fit a network, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

_SHOWN = 5  # names of each kind in a message


def refuse_misfits(report: Mapping[str, Collection[Any]], what: str = "the model") -> None:
    """Complain of what a load or a conversion left over.

    Args:
        report: names by kind: missing, unexpected, of another shape.
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


def check_weights(weights: Mapping[str, Tensor], model: nn.Module, what: str, unknown: Iterable[str] = ()) -> None:
    """Compare weights with those that a model wants, which may be on `meta`.

    Args:
        weights: by the model's names.
        model: of whatever memory.
        what: its name, for messages.
        unknown: names that a conversion did not know.

    Raises:
        ValueError: if weights are missing, unknown, superfluous or of another shape; the message lists them.
    """
    wanted = model.state_dict()
    mismatched = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in weights.items()
        if name in wanted and tensor.shape != wanted[name].shape
    ]
    refuse_misfits(
        {
            "missing": wanted.keys() - weights.keys(),
            "unexpected": [*unknown, *(weights.keys() - wanted.keys())],
            "of another shape": mismatched,
            "of another type": other_types(weights, wanted),
        },
        what,
    )


def other_types(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Weights that are marks of yes or no where numbers are wanted, or the other way round."""
    return [
        f"{name} ({tensor.dtype})"
        for name, tensor in weights.items()
        if tensor.is_floating_point() != (name not in wanted or wanted[name].is_floating_point())
    ]
