"""Expressions that fit exactly one object: by attributes, by relation to another object, by rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from perceptio.scenes.language import space
from perceptio.scenes.language.facts import DEPTH_MARGIN, RELATIONS, SIDE_MARGIN, Facts, Kind, Thing
from perceptio.scenes.language.lexicon import Attributes

RELATION_WORDS = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "front": ("in front of",),
    "behind": ("behind",),
    "on": ("on",),
    "under": ("under", "below"),
    "next": ("next to", "beside"),
    "nearest": ("nearest to", "closest to"),
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_WIDER = 0.25  # how often a wider noun is said, against the thing's own
_SPATIAL = 0.5  # share of expressions that try a relation in space first, where the lexicon has some


def kind_of(thing: Thing, attributes: Sequence[str]) -> Kind:
    """The kind that names these attributes of an object, as far as it has them."""
    return Kind(**{name: getattr(thing.what, name) for name in attributes})


def kinds_of(facts: Facts, thing: Thing, attributes: Sequence[str], wider: bool = True) -> list[Kind]:
    """The kinds that name all of these attributes; none if the object lacks one of them.

    The first has the object's own noun. With `wider` there is one for each wider noun too.
    """
    kind = kind_of(thing, attributes)
    if any(getattr(kind, name) is None for name in attributes):
        return []
    nouns = facts.lexicon.nouns[thing.what.noun].wider if wider and "noun" in attributes else ()
    return [kind, *(Kind(kind.size, kind.material, kind.color, noun) for noun in nouns)]


def any_kind_of(facts: Facts, thing: Thing, attributes: Sequence[str], rng: np.random.Generator) -> Kind | None:
    """One of `kinds_of` at random; None if there is none."""
    kinds = kinds_of(facts, thing, attributes)
    return kinds[rng.integers(len(kinds))] if kinds else None


def by_attributes(
    facts: Facts, thing: Thing, rng: np.random.Generator, without: Sequence[str] = (), wider: bool = True
) -> str | None:
    """ "the red cube": the attributes, chosen at random, fit this object alone.

    Args:
        facts: of the picture.
        thing: to be named.
        rng: of every draw.
        without: attributes that are not said.
        wider: whether a wider noun may be said.
    """
    options = [names for names in facts.lexicon.descriptions if not set(names) & set(without)]
    kinds = [kind for names in options for kind in kinds_of(facts, thing, names, wider)]
    unique = [kind for kind in kinds if facts.matches(kind) == [thing]]
    if not unique:
        return None
    return f"the {facts.words(_short_ones_first(unique, thing, rng))}"


def attributes_to_name(facts: Facts, thing: Thing, rng: np.random.Generator) -> Attributes:
    """Attributes as `by_attributes` might name them, whatever else is in the picture."""
    kinds = {kind: names for names in facts.lexicon.descriptions for kind in kinds_of(facts, thing, names)}
    return kinds[_short_ones_first(list(kinds), thing, rng)]


def _short_ones_first(kinds: Sequence[Kind], thing: Thing, rng: np.random.Generator) -> Kind:
    """One of several kinds: people say no more than they must, and mostly the thing's own noun."""
    weights = np.array(
        [0.4**kind.adjectives * (1.0 if kind.noun in (None, thing.what.noun) else _WIDER) for kind in kinds]
    )
    return kinds[rng.choice(len(kinds), p=weights / weights.sum())]


def by_relation(facts: Facts, thing: Thing, rng: np.random.Generator) -> str | None:
    """ "the cube left of the red sphere": several objects are of the kind, but one of them stands so."""
    kind, group = _ambiguous_kind(facts, thing, rng)
    if kind is None:
        return None
    anchors = _anchors(facts, kind)
    for number in rng.permutation(len(anchors))[:4]:
        anchor = anchors[number]
        name = RELATIONS[rng.integers(len(RELATIONS))]
        text = _related(facts, thing, kind, group, name, anchor, rng)
        if text:
            return text
    return None


def by_space(facts: Facts, thing: Thing, rng: np.random.Generator) -> str | None:
    """ "the lamp on the desk", "the person nearest to the car": also where nothing else is of the kind."""
    names = facts.lexicon.space if rng.random() < 0.6 else RELATIONS
    options = [names for names in facts.lexicon.groups if "noun" in names]
    for number in rng.permutation(len(options)):
        kind = any_kind_of(facts, thing, options[number], rng)
        group = None if kind is None else facts.matches(kind)
        if kind is None or not group:
            continue
        pairs = [(name, anchor) for name in names for anchor in _anchors(facts, kind)]
        for place in rng.permutation(len(pairs)):
            text = _related(facts, thing, kind, group, *pairs[int(place)], rng)
            if text:
                return text
    return None


def _anchors(facts: Facts, kind: Kind) -> list[Thing]:
    """What a thing of this kind may be related to."""
    return [other for other in facts.clear if facts.fits(kind, other) is False]


def _related(
    facts: Facts, thing: Thing, kind: Kind, group: list[Thing], name: str, anchor: Thing, rng: np.random.Generator
) -> str | None:
    """The expression, if of the group this object alone stands so to the anchor."""
    truths: list[bool | None]
    if name == "nearest":
        truths = space.nearest_to([member.what for member in group], anchor.what) if len(group) > 1 else [None]
    else:
        truths = [facts.relation(member, anchor, name) for member in group]
    if None in truths or truths.count(True) != 1 or not truths[group.index(thing)]:
        return None
    text = by_attributes(facts, anchor, rng)
    if not text:
        return None
    words = RELATION_WORDS[name]
    return f"the {facts.words(kind)} {words[rng.integers(len(words))]} {text}"


def by_rank(facts: Facts, thing: Thing, rng: np.random.Generator) -> str | None:
    """ "the nearest cube", "the second red object from the left": a place in the order of its kind."""
    kind, group = _ambiguous_kind(facts, thing, rng)
    if kind is None:
        return None
    words = facts.words(kind)
    if rng.random() < 0.5:
        ranked = sorted(group, key=lambda member: member.view.depth)
        if not _spread(ranked, lambda a, b: (b.view.depth - a.view.depth) / a.view.depth, DEPTH_MARGIN):
            return None
        ends = (("nearest", "closest"), ("farthest", "most distant"))
        for end, rank in zip((ranked[0], ranked[-1]), ends, strict=True):
            if end == thing:
                return f"the {rank[rng.integers(2)]} {words}"
        return None
    margin = SIDE_MARGIN * facts.side / 224
    if not _spread(group, lambda a, b: b.view.center[0] - a.view.center[0], margin):
        return None
    place = group.index(thing)
    if place in (0, len(group) - 1) and rng.random() < 0.6:
        return f"the {'leftmost' if place == 0 else 'rightmost'} {words}"
    if len(group) < 3 or len(group) > len(_ORDINALS):
        return None
    if rng.random() < 0.5:
        return f"the {_ORDINALS[place]} {words} from the left"
    return f"the {_ORDINALS[len(group) - 1 - place]} {words} from the right"


def describe(facts: Facts, thing: Thing, rng: np.random.Generator) -> str | None:
    """An expression of any style that fits this object alone; None where none was found."""
    styles: tuple[Callable[[Facts, Thing, np.random.Generator], str | None], ...] = (
        (by_attributes, by_relation, by_rank),
        (by_relation, by_rank, by_attributes),
        (by_rank, by_relation, by_attributes),
    )[rng.choice(3, p=(0.5, 0.25, 0.25))]
    if facts.lexicon.space and rng.random() < _SPATIAL:
        styles = (by_space, *styles)
    for style in styles:
        text = style(facts, thing, rng)
        if text:
            return text
    return None


def several(facts: Facts, most: int, rng: np.random.Generator) -> list[tuple[Thing, str]]:
    """Some objects in random order, each with attributes that fit it alone."""
    order = rng.permutation(len(facts.clear))
    named = [(facts.clear[k], text) for k in order if (text := by_attributes(facts, facts.clear[k], rng))]
    return named[:most]


def _ambiguous_kind(
    facts: Facts, thing: Thing, rng: np.random.Generator
) -> tuple[Kind, list[Thing]] | tuple[None, list[Thing]]:
    """A kind that fits this object and at least one more, every one of them clear."""
    options = facts.lexicon.groups
    for number in rng.permutation(len(options)):
        kind = any_kind_of(facts, thing, options[number], rng)
        group = None if kind is None else facts.matches(kind)
        if kind is not None and group and len(group) > 1:
            return kind, group
    return None, []


def _spread(group: Sequence[Thing], gap: Callable[[Thing, Thing], float], least: float) -> bool:
    return all(gap(a, b) >= least for a, b in pairwise(group))
