"""The vocabulary, building targets and the parser's list of what is malformed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from perceptio.tokens import (
    MalformationKind,
    SpatialVocabulary,
    build_target,
    depth_code,
    extract_phrases,
    label_segments,
    parse,
    spatial_tokens,
)

STOP, SEG, START, END = 1, 10, 11, 12
CODES = (20, 22, 21)  # out of order on purpose: entries are not token ids minus an offset
VOCABULARY = SpatialVocabulary(
    seg=SEG, depth_start=START, depth_end=END, codes=CODES, tokens_per_map=4, end_of_text=STOP
)
ANSWER_FIRST = replace(VOCABULARY, order="answer_first")
INTERLEAVED = replace(VOCABULARY, order="interleaved")
ORDERS = [VOCABULARY, ANSWER_FIRST, INTERLEAVED]
SPAN = [START, 20, 22, 21, 20, END]
TEXT = [5, 6]


def messages(ids: list[int], vocabulary: SpatialVocabulary = VOCABULARY) -> list[str]:
    return [str(item) for item in parse(vocabulary, ids).malformed]


def test_spatial_tokens_are_the_paper_s_in_a_fixed_order():
    assert spatial_tokens(2) == ["[SEG]", "<DEPTH_START>", "<DEPTH_END>", "<DEPTH_0>", "<DEPTH_1>"]
    assert depth_code(127) == "<DEPTH_127>"


def test_target_is_segments_span_text_stop():
    assert build_target(VOCABULARY, 2, [0, 1, 2, 0], TEXT) == [SEG, SEG, *SPAN, 5, 6, STOP]
    assert build_target(VOCABULARY, 0, None, TEXT) == [5, 6, STOP]


def test_where_the_answer_comes_first_its_text_leads():
    assert build_target(ANSWER_FIRST, 2, [0, 1, 2, 0], TEXT) == [5, 6, SEG, SEG, *SPAN, STOP]
    assert build_target(ANSWER_FIRST, 0, None, TEXT) == [5, 6, STOP]


def test_interleaved_segments_stand_in_the_text():
    ids = build_target(INTERLEAVED, 3, [0, 1, 2, 0], [5, 6, 7], places=[0, 2])
    assert ids == [*SPAN, SEG, 5, 6, SEG, 7, SEG, STOP]
    parsed = parse(INTERLEAVED, ids)
    assert parsed.malformed == ()
    assert (parsed.segments, parsed.words_before, parsed.text_ids) == ((6, 9, 11), (0, 2, 3), (5, 6, 7))


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ([SEG, *SPAN, STOP], MalformationKind.SPAN_AFTER_SEGMENT),
        ([5, *SPAN, STOP], MalformationKind.SPAN_AFTER_TEXT),
        ([*SPAN, 5, *SPAN, STOP], MalformationKind.SECOND_SPAN),
    ],
)
def test_an_interleaved_answer_begins_with_its_span(ids, kind):
    assert [item.kind for item in parse(INTERLEAVED, ids).malformed] == [kind]


@pytest.mark.parametrize("vocabulary", ORDERS, ids=lambda vocabulary: vocabulary.order)
@pytest.mark.parametrize("segments", [0, 1, 3])
@pytest.mark.parametrize("codes", [None, (0, 1, 2, 0)])
@pytest.mark.parametrize("text", [(), (5, 6, 7)])
def test_parse_inverts_build(vocabulary, segments, codes, text):
    ids = build_target(vocabulary, segments, codes, text)
    parsed = parse(vocabulary, [*ids, 0, 0, SEG])  # whatever follows the end of text is padding
    span = 0 if codes is None else len(SPAN)
    first = {"spans_first": 0, "answer_first": len(text), "interleaved": span + len(text)}[vocabulary.order]
    assert parsed.segments == tuple(range(first, first + segments))
    assert parsed.words_before == (0 if vocabulary is VOCABULARY else len(text),) * segments
    assert parsed.codes == codes
    assert parsed.text_ids == text
    assert parsed.malformed == ()
    assert [span.is_valid(4) for span in parsed.spans] == [True] * (codes is not None)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((-1, None, TEXT), "must not be negative, got -1"),
        ((0, [0, 1, 2], TEXT), "exactly 4 codes, got 3"),
        ((0, [0, 1, 2, 3], TEXT), r"0\.\.2, got 3"),
        ((0, None, [5, SEG]), r"control tokens, ids \[10\]"),
        ((0, None, [5, STOP]), r"control tokens, ids \[1\]"),
    ],
)
def test_build_refuses_what_the_grammar_does_not_hold(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        build_target(VOCABULARY, *arguments)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seg": 20}, r"used twice: \[20\]"),
        ({"codes": ()}, "at least one depth code"),
        ({"seg": -1}, "must not be negative"),
        ({"tokens_per_map": 0}, "at least 1, got 0"),
    ],
)
def test_vocabulary_refuses_ids_that_cannot_be(change, complaint):
    fields = {"seg": SEG, "depth_start": START, "depth_end": END, "codes": CODES, "tokens_per_map": 4}
    with pytest.raises(ValueError, match=complaint):
        SpatialVocabulary(**{**fields, "end_of_text": STOP, **change})


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([SEG, SEG, START, 20, 22, END, 5, STOP], ["depth span has 2 of 4 codes at position 2"]),
        ([START, 20, 22, 21, 20, 20, END, STOP], ["depth span has 5 of 4 codes at position 0"]),
        ([START, 20, 22, 5, STOP], ["depth span has no end marker after 2 of 4 codes at position 0"]),
        ([START, 20, 22, 21, 20, STOP], ["depth span has no end marker after 4 of 4 codes at position 0"]),
        (
            [SEG, START, 20, 22],
            ["depth span was cut off after 2 of 4 codes at position 1", "missing end of text at position 4"],
        ),
        ([5, 20, 20, 22, 6, STOP], ["code outside a span at position 1"]),
        ([20, 5, 20, STOP], ["code outside a span at position 0", "code outside a span at position 2"]),
        ([END, 5, STOP], ["end marker outside a span at position 0"]),
        ([*SPAN, *SPAN, STOP], ["second depth span at position 6"]),
        ([*SPAN, 5, *SPAN, STOP], ["second depth span at position 7"]),
        ([5, *SPAN, STOP], ["depth span after text at position 1"]),
        ([*SPAN, SEG, SEG, 5, STOP], ["segment after depth span at position 6"]),
        ([SEG, 5, SEG, SEG, STOP], ["segment after text at position 2"]),
        ([5, 6], ["missing end of text at position 2"]),
        ([], ["missing end of text at position 0"]),
        ([-100, 5, STOP], ["unknown token at position 0"]),
    ],
)
def test_malformed_sequences_are_named_precisely(ids, expected):
    assert messages(ids) == expected


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([SEG, 5, 6, STOP], ["text after segment or depth span at position 1"]),
        ([5, *SPAN, 6, STOP], ["text after segment or depth span at position 7"]),
        ([5, *SPAN, SEG, STOP], ["segment after depth span at position 7"]),
        ([5, *SPAN, *SPAN, STOP], ["second depth span at position 7"]),
        ([5, SEG, 20, STOP], ["code outside a span at position 2"]),
    ],
)
def test_where_the_answer_comes_first_other_things_are_malformed(ids, expected):
    assert messages(ids, ANSWER_FIRST) == expected


def test_lenient_reading_keeps_what_was_meant():
    parsed = parse(VOCABULARY, [SEG, START, 20, 22, 21, 20, 5, SEG, 20, 6, STOP])
    assert parsed.segments == (0, 7)  # the misplaced one too
    assert parsed.codes == (0, 1, 2, 0)  # exactly N codes are a map even without an end marker ...
    assert not parsed.spans[0].is_valid(4)  # ... but not a valid span
    assert parsed.text_ids == (5, 6)
    assert [item.kind for item in parsed.malformed] == [
        MalformationKind.MISSING_END,
        MalformationKind.SEGMENT_AFTER_TEXT,
        MalformationKind.CODE_OUTSIDE,
    ]


@pytest.mark.parametrize("vocabulary", ORDERS, ids=lambda vocabulary: vocabulary.order)
def test_parse_never_raises_and_only_grammatical_sequences_are_clean(vocabulary):
    alphabet = [STOP, SEG, START, END, *CODES, 5, -7]
    generator = random.Random(0)
    for _ in range(3000):
        ids = generator.choices(alphabet, k=generator.randrange(12))
        parsed = parse(vocabulary, ids)
        if not parsed.malformed:
            end = ids.index(STOP)
            places = parsed.words_before if vocabulary is INTERLEAVED else ()
            parts = len(parsed.segments), parsed.codes, parsed.text_ids, places
            assert ids[: end + 1] == build_target(vocabulary, *parts)


def test_parse_reads_arrays_and_tensors():
    torch = pytest.importorskip("torch")
    ids = [SEG, *SPAN, 5, STOP]
    assert parse(VOCABULARY, torch.tensor(ids)) == parse(VOCABULARY, ids)


@pytest.mark.parametrize(
    ("text", "clean", "phrases"),
    [
        ("<p>the red cube</p> is left.", "the red cube is left.", ("the red cube",)),
        ("<p>a cube</p> on <p> a\nshelf </p>.", "a cube on  a\nshelf .", ("a cube", "a\nshelf")),
        ("no marks", "no marks", ()),
        ("<p>never closed", "never closed", ()),
        ("stray</p> mark <p></p>", "stray mark ", ()),
    ],
)
def test_phrases_are_taken_out_of_the_text(text, clean, phrases):
    assert extract_phrases(text) == (clean, phrases)


def test_phrases_label_segments():
    assert label_segments(("a", "b"), 2) == ("a", "b")
    assert label_segments(("red cubes",), 3) == ("red cubes",) * 3
    assert label_segments(("a", "b"), 3) == (None, None, None)
    assert label_segments((), 1) == (None,)
    assert label_segments(("a", "b"), 0) == ()
