"""Closed questions with one right answer: nearer, counting, attribute, existence, comparison, what is beside.

Answers that weigh things read them off first and conclude last: the first word would have to know it all at once
(docs/experiments.md).
"""

from __future__ import annotations

import numpy as np

from perceptio.data.schema import ABSENT, Turn
from perceptio.data.templates import capital, pick
from perceptio.scenes.language import wording
from perceptio.scenes.language.describe import RELATION_WORDS, any_kind_of, by_attributes, describe
from perceptio.scenes.language.facts import RELATIONS, Facts, Kind, Thing
from perceptio.scenes.language.grounding import any_of, missing_kind

MAX_COUNT = 6  # objects that a question of number is about
_MORE = 0.2  # share of comparisons that compare two numbers
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
    closer = facts.nearer(first, second)
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
    options = facts.lexicon.groups
    names = options[rng.choice(len(options), p=facts.lexicon.counted)]
    if names and rng.random() < 0.12:
        kind = missing_kind(facts, rng, names)
    else:
        kind = any_kind_of(facts, any_of(facts.clear, rng), names, rng)
    group = None if kind is None else facts.matches(kind)
    if kind is None or group is None or len(group) > MAX_COUNT:
        return None
    number = len(group)
    if number == 1 and facts.lexicon.single < 1 and rng.random() >= facts.lexicon.single:
        return None
    if number:
        phrase = f"<p>{facts.words(kind, plural=number > 1)}</p>"
        answer = f"There {'are' if number > 1 else 'is'} {number} {phrase}."
    else:
        answer = f"There are 0 <p>{facts.words(kind, plural=True)}</p>."
    return Turn(
        question=pick(wording.COUNTING, rng, x=facts.words(kind, plural=True)),
        answer=answer,
        task="counting",
        masks=_indices(group),
        target=str(number),
    )


def attribute(facts: Facts, rng: np.random.Generator, name: str | None = None) -> Turn | None:
    """One attribute of an object that is described by others."""
    if not facts.clear:
        return None
    shares = facts.lexicon.attributes
    name = name or tuple(shares)[rng.choice(len(shares), p=tuple(shares.values()))]
    thing = any_of(facts.clear, rng)
    text = by_attributes(facts, thing, rng, without=(name,))
    value = getattr(thing.what, name)
    if text is None or value is None:
        return None
    value = facts.word(value).singular if name == "noun" else value
    said = wording.a(value) if name == "noun" else value
    return Turn(
        question=pick(facts.lexicon.questions[name], rng, x=text),
        answer=capital(f"<p>{text}</p> is {said}."),
        task="attribute",
        masks=(thing.index,),
        target=value,
    )


def existence(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Whether there is an object of a kind."""
    if not facts.clear:
        return None
    ask = _absence if rng.random() < 0.5 else _presence
    tries = (ask(facts, rng) for _ in range(facts.lexicon.tries))
    return next((turn for turn in tries if turn), None)


def _absence(facts: Facts, rng: np.random.Generator) -> Turn | None:
    options = facts.lexicon.existing
    kind = missing_kind(facts, rng, options[rng.integers(len(options))])
    if kind is None:
        return None
    words = facts.words(kind)
    question = pick(wording.EXISTENCE, rng, x=wording.a(words))
    return Turn(question, f"No, there is no <p>{words}</p>.", "existence", masks=(ABSENT,), target="no")


def _presence(facts: Facts, rng: np.random.Generator) -> Turn | None:
    options = facts.lexicon.existing
    kind = any_kind_of(facts, any_of(facts.clear, rng), options[rng.integers(len(options))], rng)
    group = None if kind is None else facts.matches(kind)
    if kind is None or not group:
        return None
    text = wording.a(facts.words(kind))
    return Turn(
        question=pick(wording.EXISTENCE, rng, x=text),
        answer=f"Yes, there is <p>{text}</p>.",
        task="existence",
        masks=tuple(thing.index for thing in group),
        target="yes",
    )


def comparison(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Whether one object is left of, in front of or larger than another, or one kind more numerous than another."""
    if "more" in facts.lexicon.tasks and rng.random() < _MORE:
        return is_more(facts, rng)
    pair = _pair(facts, rng)
    if pair is None:
        return None
    (first, x), (second, y) = pair
    depth = False
    if (sizes := facts.lexicon.values.get("size")) and rng.random() < 0.2:
        name = ("larger", "smaller")[rng.integers(2)]
        order = sizes.index(first.what.size) - sizes.index(second.what.size)
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
    names = facts.lexicon.numerous
    name = names[rng.integers(len(names))]
    kinds = [Kind(**{name: value}) for value in facts.lexicon.values[name]]
    groups = [(kind, group) for kind in kinds if (group := facts.matches(kind)) is not None]
    there = [pair for pair in groups if pair[1]]
    if not there:
        return None
    pairs = [there[rng.integers(len(there))], *(groups if rng.random() < 0.2 else there)]
    pairs = [pairs[0], pairs[rng.integers(1, len(pairs))]]
    (first, many), (second, others) = (pairs[k] for k in rng.permutation(2))
    if len(many) == len(others) or set(_indices(many)) & set(_indices(others)):  # also: both the same kind
        return None
    target = "yes" if len(many) > len(others) else "no"
    x, y = (facts.words(kind, plural=True) for kind in (first, second))
    said = " and ".join(
        f"{len(group)} {facts.words(kind, plural=len(group) != 1)}" for kind, group in ((first, many), (second, others))
    )
    listed = f"{_one_by_one(facts.words(first), many)}, {_one_by_one(facts.words(second), others)}"
    return Turn(
        question=pick(wording.MORE, rng, x=x, y=y),
        answer=f"There are {listed}; {said}, so {target}.",
        task="comparison",
        masks=(*_indices(many), *_indices(others)),
        target=target,
    )


def _one_by_one(words: str, group: list[Thing]) -> str:
    """Objects of a kind, told apart by number alone: which of them is the first does not matter."""
    if not group:
        return f"no <p>{words}</p>"
    return ", ".join(f"<p>{words} {number}</p>" for number in range(1, len(group) + 1))


def beside(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """What is on one side of a thing or on top of it, where exactly one thing is."""
    sides = [(anchor, side) for anchor in facts.clear for side in (*RELATIONS, "on")]
    for number in rng.permutation(len(sides)):
        turn = _beside(facts, *sides[int(number)], rng)
        if turn:
            return turn
    return None


def _beside(facts: Facts, anchor: Thing, side: str, rng: np.random.Generator) -> Turn | None:
    thing = facts.only_one_on(anchor) if side == "on" else facts.neighbour(anchor, side)
    if thing is None:
        return None
    x, y = by_attributes(facts, anchor, rng), by_attributes(facts, thing, rng, wider=False)
    noun = facts.word(thing.what.noun).singular
    if x is None or y is None or not y.endswith(noun):
        return None
    words = RELATION_WORDS[side][0]
    return Turn(
        question=pick(wording.BESIDE, rng, x=x, r=words),
        answer=f"{capital(words)} <p>{x}</p> is <p>{y}</p>.",
        task="beside",
        masks=(anchor.index, thing.index),
        target=noun,
    )


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
