"""Questions about marked points, from the depth maps of samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.fields import SampleError
from perceptio.data.marked_samples import MarkedReport, MarkPlan, marked_samples
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import Sample, Turn

ASKED = (Turn("What is this?", "A slope."),)
# a slope from far (left) to near (right)
METRES = np.tile(np.linspace(8, 1, 80, dtype=np.float32), (60, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.new("RGB", (400, 300)).save(tmp_path / "in" / f"{name}.png")
        np.save(tmp_path / "in" / f"{name}.npy", METRES)
    return tmp_path


def asked(folder: Path, report: MarkedReport, *samples: Sample, plan: MarkPlan | None = None) -> list[Sample]:
    path = folder / "in" / "x.jsonl"
    write_samples(path, samples)
    return list(marked_samples(SampleFile(path), folder / "out", plan or MarkPlan(), report))


def test_each_picture_with_a_depth_map_is_asked_about_once(folder: Path) -> None:
    first = Sample("a.png", ASKED, "k", depth="a.npy", codes=(1, 2), source="mine", licence="CC0")
    report = MarkedReport()
    found = asked(folder, report, first, first, Sample("b.png", ASKED), Sample("b.png", ASKED, depth="b.npy"))
    assert [each.key for each in found] == ["k", f"{folder}/in/x.jsonl:4"]
    assert (report.questions, report.pictures, report.left_out) == (2, 2, {"samples without a depth map": 1})
    assert (found[0].image, found[0].depth, found[0].codes) == ("../in/a.png", "../in/a.npy", (1, 2))
    assert (found[0].source, found[0].licence) == ("mine", "CC0")
    for sample in found:
        nearest = max(sample.marks, key=lambda mark: mark.x)
        assert sample.turns[0].target == nearest.letter
    assert found[0].marks != found[1].marks


def test_pictures_with_one_depth_have_no_points(folder: Path) -> None:
    step = np.full((60, 80), 5.0)
    step[:5] = 1  # above all points
    np.save(folder / "in" / "a.npy", step)
    report = MarkedReport()
    assert asked(folder, report, Sample("a.png", ASKED, depth="a.npy")) == []
    assert report.left_out == {"pictures without points whose order is clear": 1}


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    (folder / "in" / "a.npy").write_bytes(b"")
    with pytest.raises(SampleError, match=r"x\.jsonl:1: depth: "):
        asked(folder, MarkedReport(), Sample("a.png", ASKED, depth="a.npy"))
    with pytest.raises(SampleError, match=r"x\.jsonl:1: image: "):
        asked(folder, MarkedReport(), Sample("none.png", ASKED, depth="b.npy"))


@pytest.mark.parametrize("points", [(), (1,), (3, 6)])
def test_numbers_of_points_that_cannot_be_are_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="between 2 and 5"):
        MarkPlan(points)
    with pytest.raises(ValueError, match="1 to 100 times"):
        MarkPlan(per_picture=0)
