"""The model with its dense head: losses are the sum of both, and nothing of the head stays behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from perceptio.data.packing import collate, pack_sample
from perceptio.nano.cotraining import HEAD_FILE, CotrainedPerceptio, with_targets
from perceptio.nano.dense import DenseHead, dense_targets
from perceptio.nano.parts import save_part
from perceptio.pipeline import Perceptio
from perceptio.scenes.contact_sheet import fresh_scenes
from perceptio.scenes.samples import build_sample


@pytest.fixture(scope="module")
def samples(tiny: Perceptio) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    rng, config = np.random.default_rng(0), tiny.model.config
    rows, targets = [], []
    for stored in fresh_scenes("train", 2, 128):
        record = build_sample(stored, rng, questions=3, marks=not rows)
        rows.append(pack_sample(record, tiny.processor, config.vocabulary, rng, depth_size=config.depth.image_size))
        targets.append(dense_targets(stored, record.marks, 16))
    return collate(rows, tiny.processor.tokenizer.pad_token_id), targets


def test_the_loss_is_that_of_the_model_plus_that_of_the_head(
    tiny: Perceptio, samples: tuple[dict[str, Tensor], list[dict[str, Tensor]]]
) -> None:
    batch, targets = samples
    whole = CotrainedPerceptio.around(tiny.model, 0.25).eval()
    model = whole.bare().eval()
    torch.manual_seed(1)
    expected = model(**batch)
    states = model.vlm.model.vision_tower(pixel_values=batch["pixel_values"]).last_hidden_state
    dense, report = whole.head.losses(states, torch.utils.data.default_collate(targets))
    torch.manual_seed(1)
    outputs = whole(**with_targets(batch, targets))
    torch.testing.assert_close(outputs["loss"], expected["loss"] + 0.25 * dense)
    for name, value in report.items():
        torch.testing.assert_close(outputs["losses"][f"dense_{name}"], value, equal_nan=True)
    outputs["loss"].backward()
    assert whole.head[1].weight.grad is not None


def test_marks_of_the_record_are_the_dense_targets(
    samples: tuple[dict[str, Tensor], list[dict[str, Tensor]]],
) -> None:
    _, (marked, clean) = samples
    assert int((marked["letter"] > 0).sum()) > 0
    assert int((clean["letter"] > 0).sum()) == 0


def test_a_head_that_was_left_goes_on(tiny: Perceptio, tmp_path: Path) -> None:
    first = CotrainedPerceptio.around(tiny.model, 1.0)
    save_part(first.head, tmp_path / HEAD_FILE)
    fresh, second = (
        CotrainedPerceptio.around(tiny.model, 1.0),
        CotrainedPerceptio.around(tiny.model, 1.0, tmp_path / HEAD_FILE),
    )
    assert torch.equal(second.head[1].weight, first.head[1].weight)
    assert not torch.equal(fresh.head[1].weight, first.head[1].weight)


def test_the_head_is_left_behind(tiny: Perceptio) -> None:
    whole = CotrainedPerceptio.around(tiny.model, 1.0)
    assert isinstance(whole.head, DenseHead)
    bare = whole.bare().state_dict()
    assert bare.keys() == tiny.model.state_dict().keys()
    assert all(torch.equal(value, bare[name]) for name, value in tiny.model.state_dict().items())
