"""A sample with its files read, and everything that can be wrong with what it points at."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.data.fields import SampleError
from perceptio.data.marks import draw_marks
from perceptio.data.reading import inspect_sample, read_sample
from perceptio.data.schema import ABSENT, Mark, Sample, Turn
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest

WHERE = "x.jsonl:3"


def boxes() -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros((2, 32, 48), bool)
    first[4:20, 4:28] = True
    second[12:28, 20:44] = True
    return first, second


def problems(sample: Sample, home: Path) -> list[tuple[str, str]]:
    read, found = inspect_sample(sample, home, WHERE)
    assert (read is None) == bool(found)
    return [(each.field, each.reason) for each in found]


def test_a_read_sample_holds_what_its_files_do(sample: Sample, home: Path) -> None:
    read = read_sample(sample, home, WHERE)
    assert read.key == "x.jsonl:3 (a)"
    np.testing.assert_array_equal(read.image, np.array(Image.open(home / "a.png")))
    assert [turn.masks for turn in read.turns] == [(1, 0), (), ()]
    for number, mask in enumerate(boxes()):  # the polygon's edges lie between pixels: no rounding
        np.testing.assert_array_equal(read.mask(number, 64), resize_nearest(mask, 64))
    metres = np.array(Image.open(home / "a-depth.png")) / 1000
    np.testing.assert_array_equal(read.depth, inverse_depth_from_metric(metres))


def test_an_object_that_is_not_there_needs_no_mask(sample: Sample, home: Path) -> None:
    turn = Turn("Segment the dog.", "There is no <p>dog</p>.", masks=(ABSENT,))
    assert read_sample(replace(sample, turns=(turn,)), home, WHERE).turns[0].masks == (ABSENT,)


def test_marks_are_drawn_and_are_those_of_the_picture_that_they_are_in(sample: Sample, home: Path) -> None:
    read = read_sample(replace(sample, marks=(Mark("A", 24, 16), Mark("B", 12, 28))), home, WHERE)
    picture = np.array(Image.open(home / "a.png"))
    assert isinstance(read.image, np.ndarray)
    assert read.image.shape == (336, 336, 3)
    assert [(mark.letter, mark.x, mark.y) for mark in read.marks] == [("A", 168, 168), ("B", 84, 294)]
    red = (read.image == (255, 0, 0)).all(-1)
    rows, columns = np.nonzero(red[:, 100:])  # of the first mark alone
    assert (rows.mean(), columns.mean() + 100) == pytest.approx((168, 168), abs=1)
    assert not (read.image == draw_marks(picture, ())).all()


def test_a_turned_photo_is_measured_upright(sample: Sample, home: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (32, 48)).save(home / "turned.jpg", exif=exif)  # 48 x 32 once it is upright
    read = read_sample(replace(sample, image="turned.jpg"), home, WHERE)
    assert np.shape(read.image) == (32, 48, 3)


def test_of_a_huge_picture_a_smaller_one_is_read_and_all_refers_to_the_original(
    sample: Sample, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_sample(replace(sample, marks=(Mark("A", 24, 16),)), home, WHERE)
    monkeypatch.setattr("perceptio.images.WORKING_PIXELS", 48 * 32 // 4)
    read = read_sample(sample, home, WHERE)
    assert np.shape(read.image) == (16, 24, 3)
    for number, mask in enumerate(boxes()):
        np.testing.assert_array_equal(read.mask(number, 64), resize_nearest(mask, 64))
    marked = read_sample(replace(sample, marks=(Mark("A", 24, 16),)), home, WHERE)
    assert marked.marks == whole.marks
    assert np.shape(marked.image) == (336, 336, 3)


TURN = Turn("Where is it?", "Here.")
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"image": "none.png"}, "image", "there is no image file"),
    ({"image": "text.png"}, "image", "is not an image"),
    ({"turns": ()}, "turns", "the conversation is empty"),
    ({"turns": (replace(TURN, question=" "),)}, "turns[0].question", "is empty"),
    ({"turns": (replace(TURN, answer=""),)}, "turns[0].answer", "is empty"),
    ({"turns": (replace(TURN, question="<image>\nWhere?"),)}, "turns[0].question", "holds <image>"),
    ({"turns": (replace(TURN, answer="It is [SEG]."),)}, "turns[0].answer", "holds [SEG]"),
    ({"turns": (replace(TURN, masks=(0, 2)),)}, "turns[0].masks", "refers to mask 2, but the sample has 2"),
    ({"turns": (replace(TURN, masks=(-2,)),)}, "turns[0].masks", "refers to mask -2"),
    ({"turns": (replace(TURN, answer="<p>It</p>."),)}, "turns[0].masks", "refers to 'It', but to no mask"),
    (
        {"turns": (replace(TURN, answer="<p>It</p>, <p>that</p>.", masks=(0,)),)},
        "turns[0].masks",
        "refers to 2 phrases, but to 1 mask",
    ),
    ({"turns": (replace(TURN, answer="<p>It.", masks=(0,)),)}, "turns[0].answer", "must enclose"),
    ({"turns": (replace(TURN, target="dog"),)}, "turns[0].target", "'dog' is no word of the answer"),
    ({"turns": (replace(TURN, supervise=("seg",)),)}, "turns[0].supervise", "nothing of this turn is taught"),
    ({"turns": (TURN, replace(TURN, question="Who?"), TURN)}, "turns[2].question", "is asked twice"),
    ({"turns": (TURN, replace(TURN, task="x"))}, "turns[1].question", "take it out, or turns[0]"),
    ({"depth": None}, "turns[1].depth", "neither a depth map nor codes"),
    ({"masks": ({"size": [32, 47], "counts": [1504]},)}, "masks[0]", "[32, 47] but the image is [32, 48]"),
    ({"masks": ({"size": [32, 48], "counts": [5]},)}, "masks[0]", "do not add up"),
    ({"masks": ({"size": [32, 48], "counts": "zz"},)}, "masks[0]", "holds characters"),
    ({"masks": ({"size": [32, 48], "counts": [1536]},)}, "masks[0]", "covers no pixel"),
    ({"masks": ([],)}, "masks[0]", "there is no polygon"),
    ({"masks": ([[1.0, 2.0, 3.0, 4.0]],)}, "masks[0]", "at least three points"),
    ({"masks": ([[1.0, 2.0, 30.0, 4.0, 9.0, 40.0]],)}, "masks[0]", "(9.0, 40.0) lies outside the picture of 48 x 32"),
    ({"masks": ([[1.0, 2.0, 30.0, 4.0, float("nan"), 9.0]],)}, "masks[0]", "lies outside"),
    ({"masks": ([[1.0, 2.0, 30.0, 4.0, 2e8, 9.0]],)}, "masks[0]", "(200000000.0, 9.0) lies outside"),
    ({"masks": ([[1.0, 2.0, 30.0, 4.0, 9.0, 33.5]],)}, "masks[0]", "(9.0, 33.5) lies outside"),  # a pixel may be
    ({"masks": ({"size": [10**9, 10**9], "counts": "0"},)}, "masks[0]", "[1000000000, 1000000000] but the image is"),
    ({"depth": "folder.npy"}, "depth", "is a folder"),
    ({"depth": "pipe.npy"}, "depth", "is a pipe"),
    ({"depth": "pipe.png"}, "depth", "is a pipe"),
    ({"image": "pipe.png"}, "image", "is a pipe"),
    ({"image": "cut.png"}, "image", "is damaged or cut short"),
    ({"depth": "none.png"}, "depth", "there is no image file"),
    ({"depth": "none.npy"}, "depth", "there is no file"),
    ({"depth": "a.png"}, "depth", "is of mode RGB"),
    ({"depth": "holes.npy"}, "depth", "holds 1 values that are zero or less"),
    ({"depth": "nan.npy"}, "depth", "holds 2 values that are NaN"),
    ({"depth": "flat.npy"}, "depth", "is the same everywhere"),
    ({"depth": "tall.npy"}, "depth", "32 x 48 pixels, not in the proportions of the picture, 48 x 32"),
    ({"depth": "cube.npy"}, "depth", "must hold numbers of the shape"),
    ({"codes": (1, -2)}, "codes", "not -2"),
    ({"marks": (Mark("A", 48, 3),)}, "marks[0]", "(48, 3) lies outside"),
    ({"marks": (Mark("A", 1, 3), Mark("A", 9, 9))}, "marks[0].letter", "no other mark has"),
]


@pytest.fixture
def trap(home: Path) -> Path:
    (home / "text.png").write_text("no picture")
    (home / "cut.png").write_bytes((home / "a.png").read_bytes()[:-300])
    (home / "folder.npy").mkdir()
    for name in ("pipe.npy", "pipe.png"):
        os.mkfifo(home / name)
    good = np.linspace(1, 2, 32 * 48).reshape(32, 48)
    holes, nan = good.copy(), good.copy()
    holes[3, 4], nan[:2, 0] = 0, np.nan
    for name, values in {"holes": holes, "nan": nan, "flat": good * 0 + 2, "tall": good.T, "cube": good[None]}.items():
        np.save(home / f"{name}.npy", values)
    return home


@pytest.mark.parametrize(("change", "field", "reason"), BAD, ids=[f"{field}: {reason}" for _, field, reason in BAD])
def test_what_is_wrong_is_named(sample: Sample, trap: Path, change: dict[str, Any], field: str, reason: str) -> None:
    bad = replace(sample, **change)
    found = problems(bad, trap)
    assert any(field == where and reason in why for where, why in found), found
    with pytest.raises(SampleError, match=r"x\.jsonl:3: "):
        read_sample(bad, trap, WHERE)


def test_everything_wrong_is_found_at_once(sample: Sample, trap: Path) -> None:
    bad = replace(
        sample,
        turns=(replace(TURN, question=""), replace(TURN, masks=(7,))),
        masks=([], sample.masks[0], []),
        depth="nan.npy",
        marks=(Mark("A", -1, 0),),
    )
    fields = [field for field, _ in problems(bad, trap)]
    assert fields == ["turns[0].question", "turns[1].masks", "masks[0]", "masks[2]", "depth", "marks[0]"]


@pytest.mark.parametrize(
    "turn",
    [
        replace(TURN, answer="<p>All of them</p>.", masks=(0, 1)),  # one phrase for several
        replace(TURN, answer="<p>It</p> is left.", supervise=("text",)),  # a phrase whose mask nobody drew
        replace(TURN, answer="Here.", masks=(0,)),  # a mask without a phrase
        replace(TURN, masks=(0,), supervise=("seg",)),
    ],
)
def test_what_is_allowed(sample: Sample, home: Path, turn: Turn) -> None:
    assert problems(replace(sample, turns=(turn,)), home) == []


def test_one_question_may_have_several_answers(sample: Sample, home: Path) -> None:
    """As expressions of RefCOCO that fit two objects, and a question with and without depth."""
    turns = (TURN, replace(TURN, answer="There."), replace(TURN, masks=(0,)), replace(TURN, depth=True))
    assert problems(replace(sample, turns=turns), home) == []


def test_inverse_depth_may_hold_zeros_and_have_8_bits_and_any_scale(sample: Sample, home: Path) -> None:
    values = np.linspace(0, 255, 32 * 48).reshape(32, 48).astype(np.uint8)
    Image.fromarray(values).save(home / "inverse.png")
    np.save(home / "inverse.npy", values * 3.0 - 9)
    maps = [
        read_sample(replace(sample, depth=name, depth_kind="inverse"), home, WHERE).depth
        for name in ("inverse.png", "inverse.npy")
    ]
    assert isinstance(maps[0], np.ndarray)
    assert maps[0][-1, -1] == 1  # the largest is nearest
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)
