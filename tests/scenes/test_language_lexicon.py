"""The words of a world: wider nouns, synonyms, and what may be said to be absent."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from perceptio.scenes.language.lexicon import Noun, Word
from perceptio.scenes.places.lexicon import COLOR_WORDS, PLACE_WORDS, build_lexicon
from perceptio.scenes.tabletop.lexicon import LEXICON
from perceptio.scenes.tabletop.world import COLORS, HELD_OUT, MATERIALS, SHAPES, SIZES

from .conftest import CLASSES, Class

PLACES = build_lexicon(CLASSES)


@pytest.mark.parametrize(
    ("noun", "of_thing", "fits", "may_fit"),
    [
        ("chair", "chair", True, True),
        ("chair", "armchair", True, True),  # an armchair is a chair
        ("chair", "stool", None, True),  # a stool may pass for one
        ("armchair", "chair", False, True),  # a chair may be an armchair
        ("stool", "chair", False, True),
        ("person", "woman", True, True),
        ("armchair", "stool", False, False),
        ("man", "woman", False, False),
        ("table", "chair", False, False),
    ],
)
def test_wider_nouns_fit_and_others_might(noun, of_thing, fits, may_fit):
    assert PLACES.fits(noun, of_thing) is fits
    assert PLACES.may_fit(noun, of_thing) is may_fit


def test_two_nouns_share_no_word():
    with pytest.raises(ValueError, match="'couch' names both 'sofa' and 'couch'"):
        build_lexicon([*CLASSES, Class("couch", "old sofas")])


def test_classes_become_words():
    assert "sea" not in PLACES.nouns
    assert PLACES.nouns["car"].also == ()  # nothing is called a sea
    assert PLACES.nouns["sofa"].synonyms == (Word("couch", "couches"), Word("settee", "settees"))
    assert PLACES.noun_of["couches"] == PLACES.noun_of["sofa"] == "sofa"
    assert [name for name, noun in PLACES.nouns.items() if not noun.colored] == ["woman", "man"]
    assert PLACES.values["color"] == COLOR_WORDS
    assert set(PLACES.places) == set(PLACE_WORDS.values())
    assert PLACES.places["street"].nouns == ("woman", "man", "car")
    built = build_lexicon(CLASSES, {"rug": Noun(Word("rug", "rugs"))})
    assert built.nouns["rug"].word.plural == "rugs"
    assert "rug" in built.values["noun"]


def test_what_is_held_out_is_a_word_that_is_never_said_to_be_absent():
    assert "bookcase" in PLACES.nouns
    assert "bookcase" not in PLACES.values["noun"]
    assert all("bookcase" not in place.nouns for place in PLACES.places.values())


def test_absent_nouns_are_those_of_the_place_or_any():
    rng = np.random.default_rng(0)
    asked = Counter(PLACES.may_be_absent("noun", "street", rng) for _ in range(200))
    assert set(asked) == {("woman", "man", "car"), PLACES.values["noun"]}
    assert min(asked.values()) > 60
    assert PLACES.may_be_absent("noun", "garden", rng) == PLACES.values["noun"]  # nothing is there
    assert PLACES.may_be_absent("noun", None, rng) == PLACES.values["noun"]
    assert PLACES.may_be_absent("color", "street", rng) == COLOR_WORDS


def test_every_synonym_is_chosen_at_times():
    rng = np.random.default_rng(0)
    chosen = [PLACES.choose_words(rng) for _ in range(60)]
    assert {name for words in chosen for name in words} == {"sofa", "lamp", "car"}
    assert {words["sofa"].singular for words in chosen} == {"sofa", "couch", "settee"}
    assert all(PLACES.noun_of[word.plural] == name for words in chosen for name, word in words.items())


def test_words_that_answer_a_question_for_an_attribute():
    assert PLACES.answers == set(COLOR_WORDS)
    shapes = {"ring" if shape == "torus" else shape for shape in SHAPES}
    assert LEXICON.answers == {*COLORS, *MATERIALS, *SIZES, *shapes}


def test_the_table_top_draws_nothing_of_words():
    """Its questions stay those of its first day."""
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    assert LEXICON.choose_words(rng) == {}
    assert LEXICON.may_be_absent("noun", None, rng) == SHAPES
    assert rng.random() == other.random()
    assert LEXICON.held_out == HELD_OUT
    assert (LEXICON.space, LEXICON.places, LEXICON.least_seen, LEXICON.tries) == ((), {}, 0, 1)


def test_shares_are_shares():
    for lexicon in (LEXICON, PLACES):
        assert sum(lexicon.counted) == pytest.approx(1)
        assert len(lexicon.counted) == len(lexicon.groups)
        assert sum(lexicon.attributes.values()) == pytest.approx(1)
        assert set(lexicon.attributes) == set(lexicon.questions)
        with pytest.raises(ValueError, match="has no entry"):
            replace(lexicon, values={**lexicon.values, "noun": ("nothing",)})
