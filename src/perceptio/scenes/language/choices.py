"""Multiple choice in MMBench's form: four options, and an answer that ends with a letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perceptio.data.schema import Turn
from perceptio.data.templates import pick
from perceptio.scenes.language import wording
from perceptio.scenes.language.describe import several
from perceptio.scenes.language.facts import Facts, Thing
from perceptio.scenes.language.questions import MAX_COUNT, attribute, counting

_LETTERS = "ABCD"


def choice(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """An attribute, a number or the nearest of four."""
    style = rng.integers(3)
    others: list[str] = []
    named: dict[str, Thing] = {}
    if style == 0:
        name = facts.lexicon.choices[rng.integers(len(facts.lexicon.choices))]
        turn = attribute(facts, rng, name)
        if turn:
            values = facts.lexicon.values[name]
            said = [facts.word(value).singular for value in values] if name == "noun" else values
            others = [value for value in said if value != turn.target]
    elif style == 1:
        turn = counting(facts, rng)
        if turn:
            right = int(turn.target)  # near misses make the question worth asking
            numbers = sorted(set(range(MAX_COUNT + 1)) - {right}, key=lambda number: abs(number - right))
            others = [str(number) for number in numbers[:4]]
    else:
        turn, named = _nearest_of_four(facts, rng)
        others = list(named)[1:]
    if turn is None or len(others) < 3:
        return None
    options = _options(turn.target, others, rng)
    if style == 2:
        things = [named[option] for option in options]
        chain = facts.read_off(list(zip(things, _LETTERS, strict=True)), depth=True)
        turn = replace(turn, answer=f"{chain}.", masks=tuple(thing.index for thing in things))
    return _asked(turn, options, "choice")


def place(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Which room this is, or that it is a street; None where the scene has no place."""
    if facts.place is None:
        return None
    right = facts.lexicon.places[facts.place].words
    others = [other.words for other in facts.lexicon.places.values() if other.words != right]
    if len(others) < 3:
        return None
    turn = Turn(pick(wording.WHICH_PLACE, rng), f"It is {wording.a(right)}.", target=right)
    return _asked(turn, _options(right, others, rng), "place")


def _options(right: str, others: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The right option and three of the others, in random order."""
    options = [right, *(others[k] for k in rng.permutation(len(others))[:3])]
    return [options[k] for k in rng.permutation(4)]


def _asked(turn: Turn, options: Sequence[str], task: str) -> Turn:
    """A turn whose target is one of the options, with the options listed and the letter for an answer."""
    letter = _LETTERS[options.index(turn.target)]
    listed = "\n".join(f"{mark}. {option}" for mark, option in zip(_LETTERS, options, strict=True))
    return replace(
        turn,
        question=f"{turn.question}\n{listed}\n{wording.CHOICE_TAIL}",
        answer=f"{turn.answer} Option {letter}.",
        task=task,
        target=letter,
    )


def _nearest_of_four(facts: Facts, rng: np.random.Generator) -> tuple[Turn | None, dict[str, Thing]]:
    """The question without its answer, and the objects by what they are called, the nearest first."""
    named = several(facts, 4, rng)
    if len(named) < 4:
        return None, {}
    named.sort(key=lambda pair: pair[0].view.depth)
    if not facts.nearer(named[0][0], named[1][0]):
        return None, {}
    turn = Turn(pick(wording.NEAREST, rng), "", "choice", depth=True, target=named[0][1])
    return turn, {text: thing for thing, text in named}
