"""Scenes -> files of samples that are read as the samples of training on scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.adapters.registry import convert
from perceptio.data.reading import read_sample
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import ABSENT
from perceptio.depth.normalization import resize_nearest
from perceptio.scenes.export import ADAPTERS
from perceptio.scenes.render_job import render_split
from perceptio.scenes.samples import build_sample
from perceptio.scenes.storage import SceneStoreError


def test_samples_are_read_as_those_of_the_scenes(tmp_path: Path) -> None:
    store = render_split(tmp_path / "data" / "val", "val", 6, size=128, workers=1, progress=False)
    out = tmp_path / "out" / "samples.jsonl"
    done = convert("scenes", tmp_path / "data", out, "val", adapters=ADAPTERS)
    file = SampleFile(out)
    assert len(file) == done.samples == len(store)
    for number in range(len(file)):
        sample, truth = file[number], build_sample(store[number], np.random.default_rng(number))
        read = read_sample(sample, out.parent, file.where(number))
        np.testing.assert_array_equal(read.image, truth.image)  # marks included
        np.testing.assert_array_equal(read.depth, truth.depth)
        assert [turn.answer for turn in read.turns] == [turn.answer for turn in truth.turns]
        for turn, true_turn in zip(read.turns, truth.turns, strict=True):
            assert (turn.question, turn.task, turn.depth, turn.target) == (
                true_turn.question,
                true_turn.task,
                true_turn.depth,
                true_turn.target,
            )
            ids = resize_nearest(store[number].ids, 336 if sample.marks else 128)
            for mask, true_mask in zip(turn.masks, true_turn.masks, strict=True):
                assert (mask == ABSENT) == (true_mask == ABSENT)
                if mask != ABSENT:
                    assert np.array_equal(coco.decode(sample.masks[mask]), ids == true_mask)
    marked = [bool(file[number].marks) for number in range(len(file))]
    assert any(marked)
    assert not all(marked)
    assert done.files is not None


def test_a_split_that_is_not_rendered_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SceneStoreError, match="holds no finished scenes"):
        convert("scenes", tmp_path / "data", tmp_path / "samples.jsonl", adapters=ADAPTERS)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_data_set_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    assert all(f"`{name}`" in text for name in ADAPTERS)
