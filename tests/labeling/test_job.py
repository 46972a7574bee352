"""Labels against the teachers called by hand; what a second run does, and with other settings."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from pycocotools import mask as coco
from torch.nn import functional as F
from transformers import Sam2Model

from perceptio.data.errors import DataError
from perceptio.depth.normalization import resize_nearest
from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import OutputError
from perceptio.images import load_image
from perceptio.labeling.job import label
from perceptio.labeling.networks import OWN_TERMS, Network, tokenizer_hash
from perceptio.labeling.running import LabelWorkers
from perceptio.labeling.to_samples import label_rows
from perceptio.segmentation.preprocess import preprocess

from .conftest import MakePlan, contents, draw

KEYS = [f"pictures/{name}.png" for name in ("0", "1", "2", "3", "4", "more/5", "more/6")]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_codes_are_those_of_teacher_and_tokenizer(
    pictures: Path, tmp_path: Path, make_plan: MakePlan, depth_anything: Path
) -> None:
    plan = make_plan()
    report = label([pictures], tmp_path / "out", plan)
    assert (report.shards, report.finished, report.labelled, report.bad) == (3, 3, 7, ())
    assert report.licence == f"depth codes: {OWN_TERMS}"
    teacher = DepthAnything(depth_anything)
    rows = list(label_rows(tmp_path / "out"))
    assert [row.key for row in rows] == KEYS
    for row in rows:
        image = load_image(tmp_path / "out" / row.image)
        depth = resize_nearest(teacher.inverse_depth(image), plan.tokenizer.config.image_size)
        codes = plan.tokenizer.encode(torch.from_numpy(depth)[None, None])[0]
        assert row.labels.codes == tuple(codes.tolist())
        assert (row.labels.width, row.labels.height) == image.size
        assert row.labels.masks is None
        assert row.teacher.startswith(f"{depth_anything.name}@")
        assert row.tokenizer == tokenizer_hash(plan.tokenizer)
    assert len({row.labels.codes for row in rows}) == len(KEYS)  # the pictures differ, and so do their codes


@torch.no_grad()
def test_masks_are_those_of_sam2(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan, parts: Path
) -> None:
    report = label([pictures], tmp_path / "out", make_plan(prompts))
    assert report.licence == f"depth codes: {OWN_TERMS}; masks: {OWN_TERMS}"
    rows = {row.key: row.labels for row in label_rows(tmp_path / "out")}
    assert [len(rows[key].masks or ()) for key in KEYS] == [2, 0, 0, 2, 0, 2, 0]
    assert all(labels.masks is not None for labels in rows.values())
    sam = Sam2Model.from_pretrained(parts / "sam").eval()
    size = sam.config.prompt_encoder_config.image_size
    for line in map(json.loads, prompts.read_text().splitlines()):
        image = load_image(tmp_path / line["image"])
        width, height = image.size
        scale = torch.tensor([size / width, size / height])
        calls = [{"input_boxes": (torch.tensor(box) * scale.repeat(2))[None, None]} for box in line.get("boxes", [])]
        calls += [{"input_points": (torch.tensor(point) * scale)[None, None, None]} for point in line.get("points", [])]
        labels = rows[line["image"]]
        assert labels.masks is not None
        assert labels.scores is not None
        for call, rle, score in zip(calls, labels.masks, labels.scores, strict=True):
            output = sam(pixel_values=preprocess(image, size)[None], multimask_output=False, **call)
            expected = F.interpolate(output.pred_masks[0], (height, width), mode="bilinear")[0, 0] > 0
            assert rle["size"] == [height, width]
            assert (coco.decode(rle).astype(bool) != expected.numpy()).mean() < 1e-3
            assert score == pytest.approx(float(output.iou_scores), abs=2e-4)


def test_second_run_changes_nothing(pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    out = tmp_path / "out"
    first = label([pictures], out, make_plan(prompts))
    before, touched = contents(out), times(out)
    assert label([pictures], out, make_plan(prompts)) == first
    assert (contents(out), times(out)) == (before, touched)
    shards = [f"labels-{shard:06d}.{kind}" for shard in range(3) for kind in ("json", "parquet")]
    assert sorted(path.name for path in out.iterdir()) == sorted([*shards, "settings.json", "tokenizer"])


def test_tokenizer_that_decodes_the_labels_lies_beside_them(
    pictures: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    plan = make_plan()
    label([pictures], tmp_path / "out", plan)
    kept = DepthTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    assert tokenizer_hash(kept) == tokenizer_hash(plan.tokenizer)


def test_labels_do_not_depend_on_the_batch(pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    found = []
    for batch in (1, 3):
        label([pictures], tmp_path / str(batch), make_plan(prompts, batch_size=batch))
        found.append([(row.key, row.labels.codes) for row in label_rows(tmp_path / str(batch))])
    assert found[0] == found[1]


def test_other_settings_in_one_folder_are_refused_by_name(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan, depth_anything: Path
) -> None:
    out = tmp_path / "out"
    plan = make_plan(prompts)
    label([pictures], out, plan)
    before = contents(out)
    other = tmp_path / "other-teacher"
    other.mkdir()
    for path in depth_anything.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    tokenizer = DepthTokenizer(plan.tokenizer.config)  # other random weights
    for setting, different in {
        "teacher": replace(plan, teacher=Network(str(other), other)),
        "tokenizer": replace(plan, tokenizer=tokenizer),
        "segmenter": make_plan(),
        "shard_size": replace(plan, shard_size=4),
    }.items():
        with pytest.raises(DataError, match=rf"out holds labels made with .*{setting} .*, not .*choose another folder"):
            label([pictures], out, different)
    draw(pictures / "new.png", (20, 20), 9)
    with pytest.raises(DataError, match=r"pictures '7 named \w+', not '8 named \w+': choose"):
        label([pictures], out, plan)
    assert contents(out) == before


def test_bad_pictures_are_listed_and_labelled_once_they_are_mended(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    clean, out = tmp_path / "clean", tmp_path / "out"
    label([pictures], clean, make_plan(prompts))
    good = (pictures / "1.png").read_bytes()
    (pictures / "1.png").write_bytes(good[: len(good) // 2])
    (pictures / "more" / "6.png").write_text("no picture")
    report = label([pictures], out, make_plan(prompts))
    assert (report.finished, report.labelled) == (3, 5)
    assert [each.key for each in report.bad] == ["pictures/1.png", "pictures/more/6.png"]
    assert report.bad[0].image == "../pictures/1.png"
    assert "damaged" in report.bad[0].error
    listed = json.loads((out / "labels-000000.json").read_text())
    assert listed["labelled"] == 2
    assert [each["image"] for each in listed["bad"]] == ["../pictures/1.png"]
    before, touched = contents(out), times(out)
    assert label([pictures], out, make_plan(prompts)) == report  # listed again, and nothing is written
    assert (contents(out), times(out)) == (before, touched)

    (pictures / "1.png").write_bytes(good)
    draw(pictures / "more" / "6.png", (90, 60), 6)
    assert label([pictures], out, make_plan(prompts)).bad == ()
    assert contents(out) == contents(clean)


def test_prompt_outside_its_picture_makes_it_a_bad_one(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    prompts.write_text('{"image": "pictures/1.png", "boxes": [[0, 0, 41.5, 10]]}\n')
    report = label([pictures], tmp_path / "out", make_plan(prompts))
    assert [each.key for each in report.bad] == ["pictures/1.png"]
    assert "lies outside the picture of 40 x 70" in report.bad[0].error


def test_shard_of_bad_pictures_alone_is_an_empty_table(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    for name in "0", "1", "2":
        (pictures / f"{name}.png").write_bytes(b"")
    assert len(label([pictures], tmp_path / "out", make_plan()).bad) == 3
    tables = [parquet.read_table(tmp_path / "out" / f"labels-{shard:06d}.parquet") for shard in (0, 1)]
    assert (tables[0].num_rows, tables[1].num_rows) == (0, 3)
    assert tables[0].schema == tables[1].schema


def test_files_that_are_no_pictures_are_counted(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    for name in ("notes.txt", "a.HEIC", "b.heic", ".hidden"):
        (pictures / name).write_text("")
    assert label([pictures], tmp_path / "out", make_plan()).others == Counter({".heic": 2, ".txt": 1})


def test_parts_make_the_whole(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    label([pictures], whole, make_plan())
    assert label([pictures], shared, make_plan(), LabelWorkers(part=(2, 2))).finished == 1
    assert [path.name for path in sorted(shared.glob("*.parquet"))] == ["labels-000001.parquet"]
    assert label([pictures], shared, make_plan(), LabelWorkers(part=(1, 2))).finished == 3
    assert contents(shared) == contents(whole)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (lambda make: make(shard_size=0), "shard_size must be from 1 to 100,000, not 0"),
        (lambda make: make(batch_size=0), "batch_size must be from 1 to 4,096, not 0"),
        (lambda make: make(prompts=Path("x"), segmenter=None), "give both, or neither"),
        (lambda make: LabelWorkers(count=0), "workers must be from 1 to 1,024, not 0"),
        (lambda make: make(shard_size=10**12), "shard_size .*, not 1,000,000,000,000"),
        (lambda make: make(batch_size=10**12), "batch_size .*, not 1,000,000,000,000"),
        (lambda make: LabelWorkers(count=10**6), "workers .*, not 1,000,000"),
        (lambda make: LabelWorkers(part=(1, 10**9)), "parts .*, not 1,000,000,000"),
        (lambda make: LabelWorkers(part=(0, 4)), "one of 1/4 to 4/4, not 0/4"),
        (lambda make: LabelWorkers(part=(5, 4)), "not 5/4"),
    ],
)
def test_impossible_settings_are_refused(make_plan: MakePlan, wrong, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        wrong(make_plan)


def test_numbers_of_other_types_are_refused(make_plan: MakePlan) -> None:
    for wrong in ("3", 3.0, True, None):
        with pytest.raises(TypeError, match="batch_size must be a whole number"):
            make_plan(batch_size=wrong)


def test_network_without_weights_is_refused(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    plan = replace(make_plan(), teacher=Network("nowhere", tmp_path))
    with pytest.raises(DataError, match="holds no weights"):
        label([pictures], tmp_path / "out", plan)


def test_scores_and_codes_are_plain_numbers_in_parquet(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    label([pictures], tmp_path / "out", make_plan(prompts))
    table = parquet.read_table(tmp_path / "out" / "labels-000000.parquet").to_pylist()
    assert list(table[0]) == [
        *("key", "image", "width", "height", "codes", "masks", "scores"),
        *("teacher", "segmenter", "tokenizer", "licence"),
    ]
    assert len(table[0]["codes"]) == 16
    assert set(table[0]["masks"][0]) == {"size", "counts"}
    assert np.isfinite(table[0]["scores"]).all()


def test_folder_of_pictures_is_never_written_to(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    before = contents(pictures)
    with pytest.raises(OutputError, match=r"pictures holds files that Perceptio did not make, such as 0\.png"):
        label([pictures], pictures, make_plan())
    assert contents(pictures) == before
