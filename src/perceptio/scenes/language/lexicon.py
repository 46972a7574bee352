"""The words of a world: its nouns, which attributes things have, and what may be asked. The templates are one set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from perceptio.scenes.language.mixture import Mixture

Attributes = tuple[str, ...]  # names among those of `Lexicon.values`


TASKS_OF_ALL = frozenset(  # what every world is asked
    {
        "referring",
        "naming",
        "plural",
        "absent",
        "caption",
        "inventory",
        "depth",
        "reading",
        "nearer",
        "counting",
        "attribute",
        "existence",
        "comparison",
        "more",
        "choice",
    }
)


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
    wider: tuple[str, ...] = ()  # nouns that such a thing is called by too: an armchair is a chair
    also: tuple[str, ...] = ()  # nouns that somebody might call it by: a stool, a chair
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
    single: float = 1.0  # share of questions of number that is kept where the number is 1
    tries: int = 1  # to find a question of existence with the answer that was drawn: one answer is easier to find

    def __post_init__(self) -> None:
        other = {name for noun in self.nouns.values() for name in (*noun.wider, *noun.also)}
        spoken = {*self.values["noun"], *other, *(name for place in self.places.values() for name in place.nouns)}
        if unknown := sorted(spoken - set(self.nouns)):
            raise ValueError(f"the noun {unknown[0]!r} has no entry: add one, or do not speak of it")
        owners: dict[str, str] = {}
        for name, noun in self.nouns.items():
            for word in (noun.word, *noun.synonyms):
                for form in {word.singular.lower(), word.plural.lower()}:
                    if owners.setdefault(form, name) != name:
                        raise ValueError(f"{form!r} names both {owners[form]!r} and {name!r}: choose one of them")

    def fits(self, noun: str, of_thing: str) -> bool | None:
        """Whether a thing of noun `of_thing` is a `noun` too; None where it might be called so."""
        own = self.nouns[of_thing]
        return True if noun == of_thing or noun in own.wider else None if noun in own.also else False

    def may_fit(self, noun: str, of_thing: str) -> bool:
        """Whether it might be called so, be it because the noun is narrower: a chair might be an armchair."""
        return self.fits(noun, of_thing) is not False or self.fits(of_thing, noun) is not False

    def choose_words(self, rng: np.random.Generator) -> dict[str, Word]:
        """One of the synonyms for each noun that has some."""
        if not self._synonyms:
            return {}
        draws = rng.random(len(self._synonyms)).tolist()
        return {name: words[int(draw * len(words))] for (name, words), draw in zip(self._synonyms, draws, strict=True)}

    @cached_property
    def _synonyms(self) -> list[tuple[str, tuple[Word, ...]]]:
        return [(name, (noun.word, *noun.synonyms)) for name, noun in self.nouns.items() if noun.synonyms]

    def may_be_absent(self, attribute: str, place: str | None, rng: np.random.Generator) -> tuple[str, ...]:
        """Values that an absent thing may have: in every second draw nouns that belong to the place, if it has any."""
        there = self.places[place].nouns if attribute == "noun" and place is not None else ()
        return there if there and rng.random() < 0.5 else self.values[attribute]

    @cached_property
    def noun_of(self) -> dict[str, str]:
        """The noun that each word is a form of, by the word in lower case."""
        return {
            form.lower(): name
            for name, noun in self.nouns.items()
            for word in (noun.word, *noun.synonyms)
            for form in (word.singular, word.plural)
        }

    @cached_property
    def any_noun(self) -> re.Pattern[str]:
        """Every form of every noun in lower case, long ones first: a coffee table is no table."""
        forms = sorted(self.noun_of, key=len, reverse=True)
        return re.compile(rf"\b(?:{'|'.join(map(re.escape, forms))})\b")

    @cached_property
    def answers(self) -> frozenset[str]:
        """Words that answer a question for an attribute."""
        nouns = {self.nouns[name].word.singular for name in self.values["noun"]} if "noun" in self.attributes else set()
        return frozenset(nouns.union(*(self.values[name] for name in self.attributes if name != "noun")))
