"""Rename weights by rules, strictly: every name is mapped, left out by a rule that says so, or complained of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

Split = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Rule:
    """What becomes of the weights whose whole name matches a pattern."""

    pattern: str  # regular expression
    targets: tuple[str, ...]  # new names, with \1, \2 ... for groups of the pattern; none: left out on purpose
    split: Split | None = None  # makes the tensors of several targets from one


def same(pattern: str, target: str) -> Rule:
    """A rule that gives a weight another name."""
    return Rule(pattern, (target,))


def convert(weights: Mapping[str, Tensor], rules: Sequence[Rule]) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under their new names, and the names that no rule knows; the first rule that matches counts."""
    patterns = [(re.compile(rule.pattern), rule) for rule in rules]
    converted: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in weights.items():
        match, rule = next(
            ((match, rule) for pattern, rule in patterns if (match := pattern.fullmatch(name))), (None, None)
        )
        if match is None or rule is None:
            unknown.append(name)
            continue
        parts = rule.split(tensor) if rule.split else [tensor] * len(rule.targets)
        for target, part in zip(rule.targets, parts, strict=True):
            # memory of its own: weights that share it cannot be saved apart
            converted[match.expand(target)] = part.clone() if len(rule.targets) > 1 else part
    return converted, unknown
