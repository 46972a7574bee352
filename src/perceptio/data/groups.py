"""Which objects of an answer come in no order: words do not tell them apart, so neither do their `[SEG]` tokens.

In use the one that stands out most comes first (`segmentation/rounds.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from perceptio.data.record import Turn
from perceptio.data.schema import ABSENT

_PHRASE = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_AND = re.compile(r",? (?:and )?")  # between things of a list


def groups_of(turn: Turn) -> list[int]:
    """A number for each referent of a turn, the same for those that come in no order.

    These are the objects that one phrase names ("<p>all cubes</p>"), all of them there, and those of a list that only
    numbers tell apart, from 1 on ("<p>cube 1</p>, <p>cube 2</p>"): "player 10 and player 7" may wear theirs.
    """
    count = len(turn.referents)
    phrases = list(_PHRASE.finditer(turn.answer))
    if len(phrases) == 1 and ABSENT not in turn.referents:
        return [0] * count
    groups = list(range(count))
    if len(phrases) != count:
        return groups
    for index, (before, here) in enumerate(pairwise(phrases), 1):
        place = index - groups[index - 1]  # of the one before in its group, from 1 on
        name = before[1].lower().rpartition(" ")[0]
        numbered = before[1].lower() == f"{name} {place}" and here[1].lower() == f"{name} {place + 1}"
        there = ABSENT not in turn.referents[index - 1 : index + 1]
        if numbered and there and _AND.fullmatch(turn.answer, before.end(), here.start()):
            groups[index] = groups[index - 1]
    return groups


def shuffled(referents: Sequence[int], groups: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """Referents, those of each group in random order."""
    order = np.array(referents, np.int64)
    numbers = np.array(groups, np.int64)
    for group in np.unique(numbers):
        if (numbers == group).sum() > 1:
            order[numbers == group] = rng.permutation(order[numbers == group])
    return tuple(order.tolist())
