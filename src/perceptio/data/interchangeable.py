"""Which objects of an answer no word tells apart, and the order of their `[SEG]` tokens.

`[SEG]` k learns from mask k: where the words do not say which object comes first, something else must. Without a
pointer they go from left to right. With one they come in any order, since each may point at any object that is left
(`segmentation/pointing/coverage.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from perceptio.data.schema import ABSENT, Turn

_PHRASE = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_AND = re.compile(r",? (?:and )?")  # between things of a list


def under_one_phrase(turn: Turn) -> bool:
    """Whether one phrase names all objects of a turn ("<p>all cubes</p>"), and all of them are there."""
    return len(_PHRASE.findall(turn.answer)) == 1 and ABSENT not in turn.masks


def interchangeable(turn: Turn) -> list[int]:
    """A number for each object of a turn, the same for those that are interchangeable.

    These are the objects that one phrase names, and those of a list that only numbers tell apart, from 1 on
    ("<p>cube 1</p>, <p>cube 2</p>"): "player 10 and player 7" may wear theirs.
    """
    count = len(turn.masks)
    phrases = list(_PHRASE.finditer(turn.answer))
    if under_one_phrase(turn):
        return [0] * count
    numbers = list(range(count))
    if len(phrases) != count:
        return numbers
    for index, (before, here) in enumerate(pairwise(phrases), 1):
        place = index - numbers[index - 1]  # of the one before among those like it, from 1 on
        name = before[1].lower().rpartition(" ")[0]
        numbered = before[1].lower() == f"{name} {place}" and here[1].lower() == f"{name} {place + 1}"
        there = ABSENT not in turn.masks[index - 1 : index + 1]
        if numbered and there and _AND.fullmatch(turn.answer, before.end(), here.start()):
            numbers[index] = numbers[index - 1]
    return numbers


def shuffled(masks: Sequence[int], numbers: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """Masks of a turn, those of the same number in random order."""
    order = np.array(masks, np.int64)
    of = np.array(numbers, np.int64)
    for number in np.unique(of):
        if (of == number).sum() > 1:
            order[of == number] = rng.permutation(order[of == number])
    return tuple(order.tolist())


def left_to_right(masks: Sequence[int], drawn: Sequence[np.ndarray]) -> tuple[int, ...]:
    """Masks of a turn by the centre of each one's pixels, (H, W) bool in the same order: x, then y."""
    centres = [tuple(np.argwhere(mask).mean(0)[::-1]) if mask.any() else (0.0, 0.0) for mask in drawn]
    return tuple(masks[index] for index in sorted(range(len(masks)), key=lambda index: centres[index]))
