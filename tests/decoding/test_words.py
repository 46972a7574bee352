"""What a user reads of an answer, and the phrase of each mask."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from perceptio.decoding.words import read_words
from perceptio.tokens import Order, ParsedAnswer, SpatialVocabulary, parse

SEG, STOP = 1000, 1001


def read(text: str, order: Order) -> tuple[str, tuple[str | None, ...]]:
    """An answer of one token a letter; `|` stands for [SEG]."""
    vocabulary = SpatialVocabulary(SEG, 1002, 1003, (1004,), 1, STOP, order)
    parsed: ParsedAnswer = parse(vocabulary, [SEG if letter == "|" else ord(letter) for letter in text] + [STOP])

    def decode(ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))

    return read_words(parsed, order, decode)


@pytest.mark.parametrize(
    ("written", "text", "phrases"),
    [
        ("It is |.", "It is.", (None,)),
        ("|", "", (None,)),
        ("| is here", "is here", (None,)),
        ("<p>a dog</p> | by <p>the tree</p> |.", "a dog by the tree.", ("a dog", "the tree")),
        ("<p>cubes</p> | |.", "cubes.", ("cubes", "cubes")),
        ("<p>a dog</p>| and a cat", "a dog and a cat", ("a dog",)),
        ("<p>a dog| runs</p>", "a dog runs", (None,)),
        ("no object", "no object", ()),
    ],
)
def test_an_interleaved_segment_leaves_no_gap_and_belongs_to_the_phrase_before_it(
    written: str, text: str, phrases: tuple[str | None, ...]
) -> None:
    assert read(written, "interleaved") == (text, phrases)


def test_in_the_other_orders_phrases_are_told_by_their_number() -> None:
    assert read("||<p>a</p> and <p>b</p>", "spans_first") == ("a and b", ("a", "b"))
    assert read("||<p>a</p> and <p>b</p> and <p>c</p>", "spans_first") == ("a and b and c", (None, None))
