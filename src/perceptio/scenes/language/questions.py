"""Closed questions with one right answer: nearer, counting, attribute, existence, comparison, multiple choice.

Answers that weigh things read them off first and conclude last: the first word would have to know it all at once
(docs/experiments.md). Likewise multiple choice: its answer, then the letter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perceptio.data.schema import ABSENT, Turn
from perceptio.data.templates import capital, pick
from perceptio.scenes.language import wording
from perceptio.scenes.language.describe import by_attributes, describe, kind_of, several
from perceptio.scenes.language.facts import NOUNS, Facts, Kind, Thing, nearer
from perceptio.scenes.language.grounding import any_of, missing_kind
from perceptio.scenes.tabletop.world import COLORS, MATERIALS, SHAPES, SIZES

VALUES = {
    "color": tuple(COLORS),
    "shape": tuple(NOUNS.get(shape, shape) for shape in SHAPES),
    "material": MATERIALS,
    "size": SIZES,
}
_MAX_COUNT = 6
_MORE = 0.2  # share of comparisons that compare two numbers
_OPTION_LETTERS = "ABCD"
_RELATIONS = {  # relation -> its words in a question, in a true answer and in a false one
    "left": ("to the left of", "to the left", "to the right"),
    "right": ("to the right of", "to the right", "to the left"),
    "front": ("in front of", "in front", "behind"),
    "behind": ("behind", "behind", "in front"),
}


def is_nearer(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Which of two objects is nearer."""
    pair = _pair(facts, rng)
    if pair is None:
        return None
    (first, x), (second, y) = pair
    closer = nearer(first, second)
    if closer is None:
        return None
    target = x if closer else y
    return Turn(
        question=pick(wording.NEARER, rng, x=x, y=y),
        answer=f"{facts.read_off(pair, depth=True)}. {capital(target)} is nearer.",
        task="nearer",
        masks=(first.index, second.index),
        depth=True,
        target=target,
    )


def counting(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """How many objects of a kind there are, zero to six."""
    if not facts.clear:
        return None
    options: tuple[tuple[str, ...], ...] = ((), ("shape",), ("color",), ("material",), ("size",), ("color", "shape"))
    names = options[rng.choice(6, p=(0.1, 0.25, 0.25, 0.15, 0.1, 0.15))]
    if names and rng.random() < 0.12:
        kind = missing_kind(facts, rng, names)
    else:
        kind = kind_of(any_of(facts.clear, rng), names)
    group = None if kind is None else facts.matches(kind)
    if kind is None or group is None or len(group) > _MAX_COUNT:
        return None
    number = len(group)
    if number:
        phrase = f"<p>{kind.words(plural=number > 1)}</p>"
        answer = f"There {'are' if number > 1 else 'is'} {number} {phrase}."
    else:
        answer = f"There are 0 <p>{kind.words(plural=True)}</p>."
    return Turn(
        question=pick(wording.COUNTING, rng, x=kind.words(plural=True)),
        answer=answer,
        task="counting",
        masks=_indices(group),
        target=str(number),
    )


def attribute(facts: Facts, rng: np.random.Generator, name: str | None = None) -> Turn | None:
    """One attribute of an object that is described by others."""
    if not facts.clear:
        return None
    name = name or ("color", "shape", "material", "size")[rng.choice(4, p=(0.35, 0.35, 0.2, 0.1))]
    thing = any_of(facts.clear, rng)
    text = by_attributes(facts, thing, rng, without=(name,))
    if text is None:
        return None
    value = str(getattr(thing.what, name))
    value = NOUNS.get(value, value)
    said = wording.a(value) if name == "shape" else value
    return Turn(
        question=pick(wording.ATTRIBUTE[name], rng, x=text),
        answer=capital(f"<p>{text}</p> is {said}."),
        task="attribute",
        masks=(thing.index,),
        target=value,
    )


def existence(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Whether there is an object of a kind."""
    if not facts.clear:
        return None
    if rng.random() < 0.5:
        kind = missing_kind(facts, rng, ("color", "shape"))
        if kind is None:
            return None
        text = wording.a(kind.words())
        question = pick(wording.EXISTENCE, rng, x=text)
        answer = f"No, there is no <p>{kind.words()}</p>."
        return Turn(question, answer, "existence", masks=(ABSENT,), target="no")
    kind = kind_of(any_of(facts.clear, rng), ("color", "shape"))
    group = facts.matches(kind)
    if not group:
        return None
    text = wording.a(kind.words())
    return Turn(
        question=pick(wording.EXISTENCE, rng, x=text),
        answer=f"Yes, there is <p>{text}</p>.",
        task="existence",
        masks=tuple(thing.index for thing in group),
        target="yes",
    )


def comparison(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Whether one object is left of, in front of or larger than another, or one kind more numerous than another."""
    if rng.random() < _MORE:
        return is_more(facts, rng)
    pair = _pair(facts, rng)
    if pair is None:
        return None
    (first, x), (second, y) = pair
    depth = False
    if rng.random() < 0.2:
        name = ("larger", "smaller")[rng.integers(2)]
        order = SIZES.index(first.what.size) - SIZES.index(second.what.size)
        truth = None if order == 0 else (order > 0) == (name == "larger")
        words = f"{name} than"
        said = capital(f"<p>{x}</p> is {first.what.size} and <p>{y}</p> is {second.what.size}")
    else:
        name = tuple(_RELATIONS)[rng.integers(len(_RELATIONS))]
        truth = facts.relation(first, second, name)
        words, true, false = _RELATIONS[name]
        depth = name in ("front", "behind")
        said = f"{facts.read_off(pair, depth)}. The first is {true if truth else false}"
    if truth is None:
        return None
    target = "yes" if truth else "no"
    return Turn(
        question=pick(wording.COMPARISON, rng, x=x, y=y, r=words),
        answer=f"{said}, so {target}.",
        task="comparison",
        masks=(first.index, second.index),
        depth=depth,
        target=target,
    )


def is_more(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Whether there are more objects of one kind than of another: they are named one by one, then both numbers."""
    name = ("shape", "color")[rng.integers(2)]
    kinds = [Kind(**{name: value}) for value in (SHAPES if name == "shape" else COLORS)]
    groups = [(kind, group) for kind in kinds if (group := facts.matches(kind)) is not None]
    there = [pair for pair in groups if pair[1]]
    if not there:
        return None
    pairs = [there[rng.integers(len(there))], *(groups if rng.random() < 0.2 else there)]
    pairs = [pairs[0], pairs[rng.integers(1, len(pairs))]]
    (first, many), (second, others) = (pairs[k] for k in rng.permutation(2))
    if len(many) == len(others):  # also when both are the same kind
        return None
    target = "yes" if len(many) > len(others) else "no"
    said = f"{len(many)} {first.words(len(many) != 1)} and {len(others)} {second.words(len(others) != 1)}"
    return Turn(
        question=pick(wording.MORE, rng, x=first.words(plural=True), y=second.words(plural=True)),
        answer=f"There are {_one_by_one(first, many)}, {_one_by_one(second, others)}; {said}, so {target}.",
        task="comparison",
        masks=(*_indices(many), *_indices(others)),
        target=target,
    )


def _one_by_one(kind: Kind, group: list[Thing]) -> str:
    """Objects of a kind, told apart by number alone: which of them is the first does not matter."""
    if not group:
        return f"no <p>{kind.words()}</p>"
    return ", ".join(f"<p>{kind.words()} {number}</p>" for number in range(1, len(group) + 1))


def choice(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """A question with four options in MMBench's form."""
    style = rng.integers(3)
    others: list[str] = []
    named: dict[str, Thing] = {}
    if style == 0:
        name = ("color", "shape", "material")[rng.integers(3)]
        turn = attribute(facts, rng, name)
        if turn:
            others = [value for value in VALUES[name] if value != turn.target]
    elif style == 1:
        turn = counting(facts, rng)
        if turn:
            right = int(turn.target)  # near misses make the question worth asking
            numbers = sorted(set(range(_MAX_COUNT + 1)) - {right}, key=lambda number: abs(number - right))
            others = [str(number) for number in numbers[:4]]
    else:
        turn, named = _nearest_of_four(facts, rng)
        others = list(named)[1:]
    if turn is None or len(others) < 3:
        return None
    options = [turn.target, *(others[k] for k in rng.permutation(len(others))[:3])]
    options = [options[k] for k in rng.permutation(4)]
    letter = _OPTION_LETTERS[options.index(turn.target)]
    listed = "\n".join(f"{mark}. {option}" for mark, option in zip(_OPTION_LETTERS, options, strict=True))
    if style == 2:
        things = [named[option] for option in options]
        chain = facts.read_off(list(zip(things, _OPTION_LETTERS, strict=True)), depth=True)
        turn = replace(turn, answer=f"{chain}.", masks=tuple(thing.index for thing in things))
    return replace(
        turn,
        question=f"{turn.question}\n{listed}\n{wording.CHOICE_TAIL}",
        answer=f"{turn.answer} Option {letter}.",
        task="choice",
        target=letter,
    )


def _nearest_of_four(facts: Facts, rng: np.random.Generator) -> tuple[Turn | None, dict[str, Thing]]:
    """The question without its answer, and the objects by what they are called, the nearest first."""
    named = several(facts, 4, rng)
    if len(named) < 4:
        return None, {}
    named.sort(key=lambda pair: pair[0].view.depth)
    if not nearer(named[0][0], named[1][0]):
        return None, {}
    turn = Turn(pick(wording.NEAREST, rng), "", "choice", depth=True, target=named[0][1])
    return turn, {text: thing for thing, text in named}


def _indices(group: list[Thing]) -> tuple[int, ...]:
    """Of the objects of a kind; of a kind that is not there, the absent one."""
    return tuple(thing.index for thing in group) or (ABSENT,)


def _pair(facts: Facts, rng: np.random.Generator) -> tuple[tuple[Thing, str], tuple[Thing, str]] | None:
    """Two objects, each with an expression that fits it alone."""
    if len(facts.clear) < 2:
        return None
    first, second = (facts.clear[k] for k in rng.permutation(len(facts.clear))[:2])
    x = by_attributes(facts, first, rng) or describe(facts, first, rng)
    y = by_attributes(facts, second, rng)
    return ((first, x), (second, y)) if x and y and x != y else None
