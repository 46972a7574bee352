"""What a benchmark asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from perceptio.evaluation.judged import Judged
from perceptio.evaluation.report import Figure
from perceptio.images import ImageLike
from perceptio.results import Answer
from perceptio.tokens import Switch


@dataclass(frozen=True)
class Ask:
    """One question to the model."""

    image: ImageLike
    prompt: str
    seg: Switch = Switch.AUTO
    depth: Switch = Switch.AUTO
    codes: np.ndarray | None = None  # (N,) codebook entries written in place of the model's own
    long: bool = False  # a depth span is expected: such questions are decoded together
    repeat_first: bool = False  # all codes of the answer are the first that the model writes


@dataclass(frozen=True)
class Item:
    """One sample to come: a question, or several that are scored together."""

    key: str
    asks: tuple[Ask, ...]
    truth: Any = None  # what `score` needs
    where: str = ""  # its place in the user's files, for messages


class Benchmark(Protocol):
    """Questions with their truth."""

    name: str
    protocol: str  # version of the rules: another one, other figures

    @property
    def settings(self) -> dict[str, Any]:
        """What was measured: files, split, options; JSON-safe."""
        ...

    def __len__(self) -> int:
        """Units: pictures, or whatever the items come in."""
        ...

    def items(self, unit: int) -> Sequence[Item]:
        """The items of one unit, the same in every call."""
        ...

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """Judge the answers to one item, one for each of its asks."""
        ...

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        """The figures of all samples."""
        ...


def answer_record(ask: Ask, answer: Answer) -> dict[str, Any]:
    """What is kept of an answer for people: the words, the raw tokens and what was malformed."""
    return {
        "prompt": ask.prompt,
        "answer": answer.text,
        "raw": answer.trace.raw,
        "malformed": list(answer.trace.malformed),
        "no_target": answer.trace.no_target,
    }
