"""One picture is at fault, and the job goes on; what changes later is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio import images
from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.labeling import work
from perceptio.labeling.job import label
from perceptio.labeling.running import LabelWorkers
from perceptio.labeling.to_samples import label_rows

from .conftest import MakePlan, contents, draw

BLACK, GREY, WHITE = 0, 128, 255


@pytest.fixture
def odd_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    """A depth network that fails at pictures of one tone: black is not finite, grey the same everywhere, white huge."""
    usual = DepthAnything.inverse_depths

    def inverse_depths(self: DepthAnything, pictures: Sequence[Image.Image]) -> list[np.ndarray]:
        tones = [set(np.asarray(picture).ravel().tolist()) for picture in pictures]
        if {BLACK} in tones:
            raise ValueError("the depth map holds values that are not finite")
        if {WHITE} in tones:
            raise torch.OutOfMemoryError("CUDA out of memory")
        maps = usual(self, pictures)
        return [np.zeros_like(each) if tone == {GREY} else each for each, tone in zip(maps, tones, strict=True)]

    monkeypatch.setattr(DepthAnything, "inverse_depths", inverse_depths)


def paint(path: Path, tone: int) -> None:
    Image.new("RGB", (60, 40), (tone, tone, tone)).save(path)


@pytest.mark.usefixtures("odd_teacher")
def test_pictures_that_the_teacher_fails_at_are_listed_and_spoil_no_other(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    clean, out = tmp_path / "clean", tmp_path / "out"
    label([pictures], clean, make_plan(prompts))
    before = {row.key: row.labels for row in label_rows(clean)}
    good = (pictures / "1.png").read_bytes()
    for name, tone in (("1", BLACK), ("2", GREY), ("4", WHITE)):
        paint(pictures / f"{name}.png", tone)
    plan = make_plan(prompts, batch_size=3)
    report = label([pictures], out, plan)
    assert [each.key for each in report.bad] == ["pictures/1.png", "pictures/2.png", "pictures/4.png"]
    for each, reason in zip(report.bad, ("not finite", "the same everywhere", "more memory"), strict=True):
        assert reason in each.error
    name = plan.teacher.folder.name
    assert all(f"the depth network {name} " in each.error for each in report.bad[:2])
    assert {row.key: row.labels for row in label_rows(out)} == {
        key: labels for key, labels in before.items() if key not in {each.key for each in report.bad}
    }

    paint(pictures / "4.png", BLACK)  # for want of memory it would be tried again each time
    assert label([pictures], out, plan).again == 1
    kept = contents(out)
    assert label([pictures], out, plan).again == 0  # the network would say the same of the same pictures
    assert contents(out) == kept
    (pictures / "1.png").write_bytes(good)
    report = label([pictures], out, plan)
    assert (report.again, [each.key for each in report.bad]) == (1, ["pictures/2.png", "pictures/4.png"])


def test_mended_prompts_are_accepted_and_their_pictures_labelled_again(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    clean, out = tmp_path / "clean", tmp_path / "out"
    good = prompts.read_text()
    label([pictures], clean, make_plan(prompts))
    prompts.write_text(good.replace("[0, 0, 90, 60]", "[0, 0, 99, 60]").replace("59, 39", "50, 30"))
    report = label([pictures], out, make_plan(prompts))
    assert [each.key for each in report.bad] == ["pictures/0.png"]
    assert "[0.0, 0.0, 99.0, 60.0] lies outside the picture of 90 x 60" in report.bad[0].error
    last = (out / "labels-000002.parquet").stat().st_mtime_ns
    prompts.write_text(good)
    report = label([pictures], out, make_plan(prompts))
    assert (report.again, report.bad) == (2, ())
    assert contents(out) == contents(clean)
    assert (out / "labels-000002.parquet").stat().st_mtime_ns == last  # none of its pictures' prompts has changed


def test_shard_with_other_prompts_is_not_counted_as_finished(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    out = tmp_path / "out"
    label([pictures], out, make_plan(prompts))
    prompts.write_text(prompts.read_text().replace("59, 39", "50, 30"))  # of the second shard, which is another's part
    assert label([pictures], out, make_plan(prompts), LabelWorkers(part=(1, 2))).finished == 2


def test_damaged_shard_is_made_again(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    out = tmp_path / "out"
    label([pictures], out, make_plan())
    whole = contents(out)
    path = out / "labels-000001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    (out / "labels-000002.json").unlink()
    assert label([pictures], out, make_plan()).again == 2
    assert contents(out) == whole


def test_name_that_is_not_utf8_is_listed(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    (pictures / "1.png").rename(pictures / "caf\udce9.png")  # the byte 0xe9 alone
    out = tmp_path / "out"
    report = label([pictures], out, make_plan())
    assert [each.key for each in report.bad] == ["pictures/caf\udce9.png"]
    assert "not UTF-8" in report.bad[0].error
    assert report.labelled == 6
    reports = [json.loads(path.read_text()) for path in out.glob("labels-*.json")]
    assert [each["key"] for report in reports for each in report["bad"]] == ["pictures/caf\udce9.png"]
    assert label([pictures], out, make_plan()) == report


def test_pipe_is_a_bad_picture(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    os.mkfifo(pictures / "a.png")
    report = label([pictures], tmp_path / "out", make_plan())
    assert [(each.key, "pipe" in each.error) for each in report.bad] == [("pictures/a.png", True)]


def test_large_pictures_are_worked_with_apart(
    pictures: Path, tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    label([pictures], tmp_path / "whole", make_plan(batch_size=3))
    together: list[int] = []
    usual = DepthAnything.inverse_depths
    monkeypatch.setattr(
        DepthAnything, "inverse_depths", lambda self, given: together.append(len(given)) or usual(self, given)
    )
    monkeypatch.setattr(work, "WORKING_PIXELS", 90 * 60 + 40 * 70)
    label([pictures], tmp_path / "out", make_plan(batch_size=3))
    assert together == [2, 1, 3, 1]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_masks_of_a_picture_that_is_reduced_are_of_its_own_size(
    tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "WORKING_PIXELS", 90 * 60)
    draw(tmp_path / "huge" / "a.png", (250, 199), 0)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"image": "huge/a.png", "boxes": [[10, 10, 250.5, 199.9]]}\n')
    label([tmp_path / "huge"], tmp_path / "out", make_plan(prompts))
    (row,) = label_rows(tmp_path / "out")
    assert (row.labels.width, row.labels.height) == (250, 199)
    assert row.labels.masks is not None
    assert row.labels.masks[0]["size"] == [199, 250]


def test_links_are_told(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    draw(tmp_path / "store" / "a.png", (20, 20), 9)
    (pictures / "store").symlink_to("../store")
    (pictures / "self").symlink_to(".")
    report = label([pictures], tmp_path / "out", make_plan())
    assert (report.labelled, report.links.followed, len(report.links.left_out)) == (8, 1, 1)
