"""Scenes -> samples that open as the records of training on scenes."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.schema import ABSENT
from perceptio.depth.normalization import resize_nearest
from perceptio.scenes.render_job import render_split
from perceptio.scenes.samples import build_sample
from perceptio.scenes.storage import SceneStoreError


def test_samples_open_as_the_records_of_the_scenes(tmp_path, converted) -> None:
    store = render_split(tmp_path / "data" / "val", "val", 6, size=128, workers=1, progress=False)
    result = converted("scenes", split="val")
    assert len(result.samples) == len(store)
    for number, (sample, record) in enumerate(zip(result.samples, result.records, strict=True)):
        truth = build_sample(store[number], np.random.default_rng(number))
        assert np.array_equal(record.image, truth.image)  # marks included
        assert np.array_equal(record.inverse_depth, truth.inverse_depth)
        assert [turn.answer for turn in record.turns] == [turn.answer for turn in truth.turns]
        for turn, true_turn in zip(record.turns, truth.turns, strict=True):
            assert (turn.question, turn.task, turn.depth, turn.target) == (
                true_turn.question,
                true_turn.task,
                true_turn.depth,
                true_turn.target,
            )
            ids = resize_nearest(store[number].ids, 336 if sample.marks else 128)
            for mask, referent in zip(turn.masks, true_turn.masks, strict=True):
                assert (mask == ABSENT) == (referent == ABSENT)
                if mask != ABSENT:
                    assert np.array_equal(coco.decode(sample.masks[mask]), ids == referent)
    assert any(sample.marks for sample in result.samples)
    assert any(not sample.marks for sample in result.samples)
    assert result.done.files is not None


def test_a_split_that_is_not_rendered_is_one_sentence(tmp_path, converted) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SceneStoreError, match="holds no finished scenes"):
        converted("scenes")
