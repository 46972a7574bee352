"""Expressions that fit exactly one object: by attributes, by relation to another object, by rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from perceptio.scenes.language.facts import DEPTH_MARGIN, RELATIONS, SIDE_MARGIN, Facts, Kind, Thing

_ATTRIBUTES: tuple[tuple[str, ...], ...] = (
    ("shape",),
    ("color",),
    ("color", "shape"),
    ("material", "shape"),
    ("size", "shape"),
    ("size", "color"),
    ("color", "material"),
    ("size", "color", "shape"),
    ("color", "material", "shape"),
    ("size", "material", "shape"),
)
_RELATION_WORDS = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "front": ("in front of",),
    "behind": ("behind",),
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


def kind_of(thing: Thing, attributes: Sequence[str]) -> Kind:
    """The kind that names these attributes of an object."""
    return Kind(**{name: getattr(thing.what, name) for name in attributes})


def by_attributes(facts: Facts, thing: Thing, rng: np.random.Generator, without: Sequence[str] = ()) -> str | None:
    """ "the red cube": the attributes, chosen at random, fit this object alone. `without` names unspoken attributes."""
    options = [names for names in _ATTRIBUTES if not set(names) & set(without)]
    unique = [kind for names in options if facts.matches(kind := kind_of(thing, names)) == [thing]]
    if not unique:
        return None
    return f"the {_short_ones_first(unique, rng).words()}"


def attributes_to_name(thing: Thing, rng: np.random.Generator) -> tuple[str, ...]:
    """Attributes as `by_attributes` might name them, whatever else is in the picture."""
    kinds = {kind_of(thing, names): names for names in _ATTRIBUTES}
    return kinds[_short_ones_first(list(kinds), rng)]


def _short_ones_first(kinds: Sequence[Kind], rng: np.random.Generator) -> Kind:
    """One of several kinds: people say no more than they must, mostly."""
    weights = np.array([0.4 ** kind.words().count(" ") for kind in kinds])
    return kinds[rng.choice(len(kinds), p=weights / weights.sum())]


def by_relation(facts: Facts, thing: Thing, rng: np.random.Generator) -> str | None:
    """ "the cube left of the red sphere": several objects are of the kind, but one of them stands so."""
    kind, group = _ambiguous_kind(facts, thing, rng)
    if kind is None:
        return None
    anchors = [other for other in facts.clear if not kind.fits(other.what)]
    for number in rng.permutation(len(anchors))[:4]:
        anchor = anchors[number]
        name = RELATIONS[rng.integers(len(RELATIONS))]
        truths = [facts.relation(member, anchor, name) for member in group]
        if None in truths or truths.count(True) != 1 or not truths[group.index(thing)]:
            continue
        text = by_attributes(facts, anchor, rng)
        if text:
            words = _RELATION_WORDS[name]
            return f"the {kind.words()} {words[rng.integers(len(words))]} {text}"
    return None


def by_rank(facts: Facts, thing: Thing, rng: np.random.Generator) -> str | None:
    """ "the nearest cube", "the second red object from the left": a place in the order of its kind."""
    kind, group = _ambiguous_kind(facts, thing, rng)
    if kind is None:
        return None
    if rng.random() < 0.5:
        ranked = sorted(group, key=lambda member: member.view.depth)
        if not _spread(ranked, lambda a, b: (b.view.depth - a.view.depth) / a.view.depth, DEPTH_MARGIN):
            return None
        ends = (("nearest", "closest"), ("farthest", "most distant"))
        for end, words in zip((ranked[0], ranked[-1]), ends, strict=True):
            if end == thing:
                return f"the {words[rng.integers(2)]} {kind.words()}"
        return None
    margin = SIDE_MARGIN * facts.side / 224
    if not _spread(group, lambda a, b: b.view.center[0] - a.view.center[0], margin):
        return None
    place = group.index(thing)
    if place in (0, len(group) - 1) and rng.random() < 0.6:
        return f"the {'leftmost' if place == 0 else 'rightmost'} {kind.words()}"
    if len(group) < 3 or len(group) > len(_ORDINALS):
        return None
    if rng.random() < 0.5:
        return f"the {_ORDINALS[place]} {kind.words()} from the left"
    return f"the {_ORDINALS[len(group) - 1 - place]} {kind.words()} from the right"


def describe(facts: Facts, thing: Thing, rng: np.random.Generator) -> str | None:
    """An expression of any style that fits this object alone; None where none was found."""
    styles: tuple[Callable[[Facts, Thing, np.random.Generator], str | None], ...] = (
        (by_attributes, by_relation, by_rank),
        (by_relation, by_rank, by_attributes),
        (by_rank, by_relation, by_attributes),
    )[rng.choice(3, p=(0.5, 0.25, 0.25))]
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
    options: tuple[tuple[str, ...], ...] = ((), ("shape",), ("color",), ("material",), ("size",), ("color", "shape"))
    for number in rng.permutation(len(options)):
        kind = kind_of(thing, options[number])
        group = facts.matches(kind)
        if group and len(group) > 1 and thing in group:
            return kind, group
    return None, []


def _spread(group: Sequence[Thing], gap: Callable[[Thing, Thing], float], least: float) -> bool:
    return all(gap(a, b) >= least for a, b in pairwise(group))
