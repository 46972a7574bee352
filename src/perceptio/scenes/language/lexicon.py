"""The words of a world: its nouns, which attributes things have, and what may be asked. The templates are one set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from perceptio.data.marks import PointLaw
from perceptio.scenes.language.mixture import Mixture

Attributes = tuple[str, ...]  # names among those of `Lexicon.values`


@dataclass(frozen=True)
class Word:
    """A noun as it is said."""

    singular: str
    plural: str


@dataclass(frozen=True)
class Noun:
    """What things of one class are called."""

    word: Word
    synonyms: tuple[Word, ...] = ()
    also: tuple[str, ...] = ()  # wider nouns that fit such a thing too: an armchair is also a chair
    colored: bool = True  # whether a colour is said of it: not of people, whose clothes alone have one


@dataclass(frozen=True)
class Place:
    """Where a picture may be taken."""

    words: str  # without an article: "living room"
    nouns: tuple[str, ...]  # that training may name there, be they absent


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The words of a world. Attributes are `size`, `color`, `material` and `noun`; a world need not have all of them.

    Raises:
        ValueError: if a noun has no entry, or one word names two nouns.
    """

    nouns: Mapping[str, Noun]  # by the noun of an entity
    anything: Word  # what a thing is called whose noun is not said
    values: Mapping[str, tuple[str, ...]]  # of each attribute, what training may say
    descriptions: tuple[Attributes, ...]  # sets of attributes by which one thing is told from others
    groups: tuple[Attributes, ...]  # likewise for several things of a kind
    counted: tuple[float, ...]  # share of each of `groups` in questions of number
    existing: tuple[Attributes, ...]  # sets of attributes that questions of existence name
    attributes: Mapping[str, float]  # those that are asked for, each with its share
    questions: Mapping[str, tuple[str, ...]]  # templates for each of them
    choices: Attributes  # attributes that multiple choice asks for
    numerous: Attributes  # attributes whose values are compared by number
    tasks: frozenset[str]  # of `samples.TASKS`
    mixture: Mixture = field(default_factory=Mixture)
    held_out: frozenset[tuple[str, str]] = frozenset()  # pairs of colour and noun that are never said to be absent
    space: tuple[str, ...] = ()  # relations in space that expressions use: "on", "under", "next", "nearest"
    places: Mapping[str, Place] = field(default_factory=dict)
    least_seen: float = 0.0  # px of a picture of 224 px a side: what shows less does not exist for words
    digits_apart: int = 0  # least difference in nearness, 00 to 99, of two things that are nearer and farther
    tries: int = (
        1  # for an answer that a question shall have: where one answer is found less often, it is asked for more
    )
    points: PointLaw | None = None  # of marked points, for maps of 336 px; None: the default law

    def __post_init__(self) -> None:
        wider = {also for noun in self.nouns.values() for also in noun.also}
        spoken = {*self.values["noun"], *wider, *(name for place in self.places.values() for name in place.nouns)}
        if unknown := sorted(spoken - set(self.nouns)):
            raise ValueError(f"the noun {unknown[0]!r} has no entry: add one, or do not speak of it")
        owners: dict[str, str] = {}
        for name, noun in self.nouns.items():
            for word in (noun.word, *noun.synonyms):
                for form in {word.singular, word.plural}:
                    if owners.setdefault(form, name) != name:
                        raise ValueError(f"{form!r} names both {owners[form]!r} and {name!r}: choose one of them")

    def fits(self, noun: str, of_thing: str) -> bool:
        """Whether a thing of noun `of_thing` is a `noun` too."""
        return noun == of_thing or noun in self.nouns[of_thing].also

    def may_fit(self, noun: str, of_thing: str) -> bool:
        """Whether it might be called so: one of the two nouns is the other's wider one (a chair may be an armchair)."""
        return self.fits(noun, of_thing) or self.fits(of_thing, noun)

    def choose_words(self, rng: np.random.Generator) -> dict[str, Word]:
        """One of the synonyms for each noun that has some."""
        return {
            name: (noun.word, *noun.synonyms)[rng.integers(1 + len(noun.synonyms))]
            for name, noun in self.nouns.items()
            if noun.synonyms
        }

    def may_be_absent(self, attribute: str, place: str | None, rng: np.random.Generator) -> tuple[str, ...]:
        """Values that an absent thing may have: in every second draw nouns that belong to the place, if it has any."""
        there = self.places[place].nouns if attribute == "noun" and place is not None else ()
        return there if there and rng.random() < 0.5 else self.values[attribute]

    @cached_property
    def noun_of(self) -> dict[str, str]:
        """The noun that each word is a form of."""
        return {
            form: name
            for name, noun in self.nouns.items()
            for word in (noun.word, *noun.synonyms)
            for form in (word.singular, word.plural)
        }

    @cached_property
    def any_noun(self) -> re.Pattern[str]:
        """Every form of every noun, long ones first: a coffee table is no table."""
        forms = sorted(self.noun_of, key=len, reverse=True)
        return re.compile(rf"\b(?:{'|'.join(map(re.escape, forms))})\b")

    @cached_property
    def answers(self) -> frozenset[str]:
        """Words that answer a question for an attribute."""
        nouns = {self.nouns[name].word.singular for name in self.values["noun"]} if "noun" in self.attributes else set()
        return frozenset(nouns.union(*(self.values[name] for name in self.attributes if name != "noun")))
