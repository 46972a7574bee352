"""What a sample is: defaults, its form in a line and back, masks, and what is wrong, by file, line and field."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from perceptio.data.fields import SampleError
from perceptio.data.rle import mask_rle
from perceptio.data.schema import ABSENT, IdMap, Mark, Sample, Turn, target_place

GOOD: dict[str, Any] = {"image": "a.png", "turns": [{"question": "q", "answer": "a"}]}


def test_a_plain_question_asks_for_no_mask_and_no_depth() -> None:
    turn = Turn("What is it?", "A cube.", "attribute")
    assert turn.masks == ()
    assert turn.depth is False
    assert turn.target == ""
    with pytest.raises(FrozenInstanceError):
        turn.answer = "A cone."  # type: ignore[misc]


def test_turns_compare_by_value() -> None:
    assert Turn("a", "b", "c", (1, 2)) == Turn("a", "b", "c", (1, 2)) != Turn("a", "b", "c", (2, 1))


def test_a_picture_needs_no_labels() -> None:
    sample = Sample(np.zeros((4, 6, 3), np.uint8), (Turn("a", "b", "c"),), "photo")
    assert (sample.masks, sample.marks) == ((), ())
    assert sample.depth is None
    assert sample.codes is None
    with pytest.raises(FrozenInstanceError):
        sample.key = "other"  # type: ignore[misc]


def test_what_is_not_said_has_its_default_and_is_not_written() -> None:
    sample = Sample.from_dict(GOOD, "x.jsonl:1")
    assert sample == Sample("a.png", (Turn("q", "a"),))
    assert sample.to_dict() == GOOD
    assert sample.turns[0].supervise == ("seg", "depth", "text")


def test_null_is_as_absent() -> None:
    nothing = {"depth": None, "codes": None, "masks": None, "key": None}
    assert Sample.from_dict(GOOD | nothing, "") == Sample.from_dict(GOOD, "")


def test_a_line_gives_back_the_sample_that_it_was_written_of(sample: Sample) -> None:
    changed = replace(
        sample,
        codes=(3, 1),
        marks=(Mark("A", 1, 2),),
        depth_kind="inverse",
        depth_scale=256.0,
        turns=(*sample.turns, Turn("q", "a", masks=(ABSENT,), supervise=("text",))),
    )
    line = changed.to_dict()
    assert line["marks"] == [{"letter": "A", "x": 1, "y": 2}]
    assert Sample.from_dict(line, "x.jsonl:1") == changed


def test_a_mask_is_the_same_from_a_map_of_numbers_and_from_a_code() -> None:
    ids = np.zeros((30, 40), np.uint8)
    ids[5:20, 5:25], ids[20:28, 15:35] = 1, 2
    numbered = Sample("a.png", (), masks=IdMap(ids))
    coded = Sample("a.png", (), masks=tuple(mask_rle(ids == number) for number in (1, 2)))
    assert len(numbered.masks) == len(coded.masks) == 2
    rows, columns = ((np.arange(64) + 0.5) * np.array([[30], [40]]) / 64).astype(int)  # the pixel under each centre
    for number in (1, 2):
        expected = ids[rows][:, columns] == number
        np.testing.assert_array_equal(numbered.mask(number, 64), expected)
        np.testing.assert_array_equal(coded.mask(number - 1, 64), expected)
    for sample in (numbered, coded):
        assert sample.mask(ABSENT, 64).shape == (64, 64)
        assert not sample.mask(ABSENT, 64).any()


@pytest.mark.parametrize(
    ("answer", "target", "place"),
    [
        ("A at 1,2; B at 3,4. Point B.", "B", (26, 27)),  # the conclusion, not the chain
        ("There are 12, or 2.", "2", (17, 18)),  # no part of a number
        ("Yes, it is.", "yes", (0, 3)),
        ("Yesterday.", "yes", None),
        ("Here.", "", None),
    ],
)
def test_the_target_word_is_the_last_of_its_kind(answer: str, target: str, place: tuple[int, int] | None) -> None:
    assert target_place(answer, target) == place


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"image": None}, "image", "is missing"),
        ({"turns": None}, "turns", "is missing"),
        ({"image": 3}, "image", "must be text, not 3"),
        ({"mask": []}, "mask", "is no field"),
        ({"turns": {}}, "turns", "must be a list"),
        ({"turns": ["q"]}, "turns[0]", "must be an object"),
        ({"turns": [{"question": "q"}]}, "turns[0].answer", "is missing"),
        ({"turns": [{"question": "q", "answer": "a", "masks": [True]}]}, "turns[0].masks[0]", "whole number"),
        ({"turns": [{"question": "q", "answer": "a", "supervise": ["words"]}]}, "turns[0].supervise[0]", "one of seg"),
        ({"turns": [{"question": "q", "answer": "a", "depth": "yes"}]}, "turns[0].depth", "true or false"),
        ({"masks": [{"size": [2, 2]}]}, "masks[0]", "counts"),
        ({"masks": [{"size": [2, 2], "counts": [1, "3"]}]}, "masks[0]", "counts"),
        ({"masks": [[1, 2, 3]]}, "masks[0]", "polygons"),
        ({"depth_kind": "relative"}, "depth_kind", "metric, inverse"),
        ({"depth_scale": 0}, "depth_scale", "above 0"),
        ({"codes": [1.5]}, "codes[0]", "whole number"),
        ({"marks": [{"letter": "A", "x": 1}]}, "marks[0].y", "is missing"),
    ],
)
def test_what_is_not_of_the_form_is_named(change: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(SampleError) as caught:
        Sample.from_dict(GOOD | change, "x.jsonl:7")
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"x.jsonl:7: {field}: ")


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(SampleError("x.jsonl:1", "image", "is gone")))
    assert str(error) == "x.jsonl:1: image: is gone"
