"""What a pack leaves out, and why: named and counted, never silent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN = 3  # names of one reason


class AssetError(ValueError):
    """Assets could not be packed; the message is one sentence for people."""


@dataclass(frozen=True)
class Skipped:
    """One model or surface picture that is not in the pack."""

    name: str
    reason: str  # the same words for all that share it


def summary(skipped: Iterable[Skipped], *, shown: int = _SHOWN) -> list[str]:
    """A line for each reason: how many, the first names of them, why."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for each in skipped:
        by_reason[each.reason].append(each.name)
    return [
        f"{len(names)} skipped, {reason}: {', '.join(names[:shown])}" + (" ..." if len(names) > shown else "")
        for reason, names in by_reason.items()
    ]
