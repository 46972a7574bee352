"""Requests that want masks or a depth map: referring expressions, plurals, absent objects, captions, lists, depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perceptio.data.schema import ABSENT, Turn
from perceptio.data.templates import DEPTH, DEPTH_ANSWERS, capital, pick
from perceptio.scenes.language import wording
from perceptio.scenes.language.describe import (
    RELATION_WORDS,
    any_kind_of,
    attributes_to_name,
    by_attributes,
    describe,
    kind_of,
    several,
)
from perceptio.scenes.language.facts import RELATIONS, Facts, Kind, Thing
from perceptio.scenes.language.lexicon import Attributes

MAX_READ = 4  # objects whose places one question asks for
MAX_LISTED = 12  # objects that one answer lists


def any_of(things: list[Thing], rng: np.random.Generator) -> Thing:
    """One of the objects at random."""
    return things[rng.integers(len(things))]


def referring(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """One object by an expression that fits it alone."""
    if not facts.clear:
        return None
    thing = any_of(facts.clear, rng)
    return _one(thing, describe(facts, thing, rng), rng)


def naming(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """One object by attributes that fit it alone: the easiest referring expression, to begin with."""
    if not facts.clear:
        return None
    thing = any_of(facts.clear, rng)
    return _one(thing, by_attributes(facts, thing, rng), rng)


def _one(thing: Thing, text: str | None, rng: np.random.Generator) -> Turn | None:
    if text is None:
        return None
    return Turn(
        question=pick(wording.REFERRING, rng, x=text),
        answer=pick(wording.REFERRING_ANSWERS, rng, x=text),
        task="referring",
        masks=(thing.index,),
    )


def plural(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """All objects of a kind, two or more."""
    if not facts.clear:
        return None
    groups = facts.lexicon.groups
    kind = any_kind_of(facts, any_of(facts.clear, rng), groups[rng.integers(len(groups))], rng)
    group = None if kind is None else facts.matches(kind)
    if kind is None or not group or len(group) < 2:
        return None
    words = facts.words(kind, plural=True)
    text = f"all the {words}" if rng.random() < 0.5 else f"all {words}"
    return Turn(
        question=pick(wording.PLURAL, rng, x=text),
        answer=pick(wording.PLURAL_ANSWERS, rng, x=text),
        task="plural",
        masks=tuple(thing.index for thing in group),
    )


def missing_kind(facts: Facts, rng: np.random.Generator, names: Attributes | None = None) -> Kind | None:
    """A kind that no object fits, close to one that is there: one of its attributes is changed.

    The held-out pairs of colour and noun are never named: training would teach that they do not exist.

    Args:
        facts: of the picture.
        rng: of every draw.
        names: attributes to name; by default as many as a present object is named by, or the number would tell.
    """
    if not facts.things:
        return None
    thing = any_of(facts.things, rng)
    names = names or attributes_to_name(facts, thing, rng)
    changed = names[rng.integers(len(names))]
    values = facts.lexicon.may_be_absent(changed, facts.place, rng)
    kind = replace(kind_of(thing, names), **{changed: values[rng.integers(len(values))]})
    if (kind.color, kind.noun) in facts.lexicon.held_out:
        return None
    if kind.color and kind.noun and not facts.lexicon.nouns[kind.noun].colored:
        return None
    return kind if facts.matches(kind) == [] else None


def reading(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Where some objects are on the grid, and in half of the questions how near: the step before comparing them."""
    named = several(facts, int(rng.integers(1, MAX_READ + 1)), rng)
    if not named:
        return None
    depth = bool(rng.random() < 0.5)
    texts = [text for _, text in named]
    listed = ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else texts[0]
    return Turn(
        question=pick(wording.READING if depth else wording.PLACE, rng, x=listed),
        answer=f"{facts.read_off(named, depth)}.",
        task="reading",
        masks=tuple(thing.index for thing, _ in named),
        depth=depth,
    )


def absent(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """An object that is not there: its mask is empty, and the answer says so."""
    kind = missing_kind(facts, rng)
    if kind is None:
        return None
    words = facts.words(kind)
    return Turn(
        question=pick(wording.REFERRING, rng, x=f"the {words}"),
        answer=f"There is no <p>{words}</p>.",
        task="absent",
        masks=(ABSENT,),
    )


def caption(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Two to four objects, each with its mask, and how they stand to each other; where the picture is, if known."""
    relations = (*RELATIONS, *(name for name in facts.lexicon.space if name != "nearest"))
    named: list[tuple[Thing, str]] = []
    for number in rng.permutation(len(facts.clear)):
        text = by_attributes(facts, facts.clear[number], rng)
        if text:
            named.append((facts.clear[number], text))
        if len(named) == 4:
            break
    sentences: list[str] = []
    referents: list[int] = []
    for (first, first_text), (second, second_text) in zip(named[::2], named[1::2], strict=False):
        names = [name for name in relations if facts.relation(first, second, name)]
        if not names:
            continue
        words = RELATION_WORDS[names[rng.integers(len(names))]][0]
        sentences.append(capital(f"<p>{first_text}</p> is {words} <p>{second_text}</p>."))
        referents += [first.index, second.index]
    if not sentences:
        return None
    if facts.place is not None:
        sentences.insert(0, capital(f"{wording.a(facts.lexicon.places[facts.place].words)}."))
    return Turn(
        question=pick(wording.CAPTION, rng),
        answer=" ".join(sentences),
        task="caption",
        masks=tuple(referents),
    )


def inventory(facts: Facts, rng: np.random.Generator) -> Turn | None:
    """Every clear object with all its attributes and its mask, from left to right: the densest thing to say."""
    if not 0 < len(facts.clear) <= MAX_LISTED:
        return None
    named = [facts.words(kind_of(thing, tuple(facts.lexicon.values))) for thing in facts.clear]
    return Turn(
        question=pick(wording.INVENTORY, rng),
        answer=capital("; ".join(f"<p>{text}</p>" for text in named) + "."),
        task="inventory",
        masks=tuple(thing.index for thing in facts.clear),
    )


def depth(facts: Facts, rng: np.random.Generator) -> Turn:
    """The depth map itself."""
    return Turn(
        question=pick(DEPTH, rng),
        answer=pick(DEPTH_ANSWERS, rng),
        task="depth",
        depth=True,
    )
