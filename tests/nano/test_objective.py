"""Nano's objective: the packed one, plus dense and attention targets, plus depth codes that the model wrote itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import Mark, Sample, Turn
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.parallel_depth import set_depth_decoding
from perceptio.nano.attention import attention_losses, call_arguments, taught_layers
from perceptio.nano.attention_targets import attention_targets
from perceptio.nano.dense import DenseHead, dense_targets
from perceptio.nano.objective import HEAD_FILE, NanoObjective, with_supervision
from perceptio.nano.parts import save_part
from perceptio.pipeline import Perceptio
from perceptio.scenes.contact_sheet import fresh_scenes
from perceptio.scenes.samples import build_sample

Dense = list[dict[str, Tensor]]


@pytest.fixture(scope="module")
def scenes(tiny: Perceptio) -> tuple[dict[str, Tensor], Dense]:
    """A batch of two scenes with their dense targets; marks are drawn on the first alone."""
    rng = np.random.default_rng(0)
    rows, targets = [], []
    for stored in fresh_scenes("train", 2, 128):
        sample = build_sample(stored, rng, questions=3, marks=not rows)
        rows.append(pack_sample(sample, tiny.processor, tiny.model.config, rng))
        targets.append(dense_targets(stored, sample.marks, 16))
    return collate(rows, tiny.processor.tokenizer.pad_token_id), targets


def test_the_loss_is_that_of_the_packed_objective_plus_that_of_the_head(
    tiny: Perceptio, scenes: tuple[dict[str, Tensor], Dense]
) -> None:
    batch, targets = scenes
    objective = NanoObjective(tiny.model, dense=0.25).eval()
    head = objective.head
    assert head is not None
    expected = PackedObjective(tiny.model).eval()(**batch)
    states = tiny.model.vlm.model.vision_tower(pixel_values=batch["pixel_values"]).last_hidden_state
    dense, report = head.losses(states, torch.utils.data.default_collate(targets))
    outputs = objective(**with_supervision(batch, [[], []], targets, [None, None]))
    torch.testing.assert_close(outputs["loss"], expected["loss"] + 0.25 * dense)
    torch.testing.assert_close(outputs["losses"]["dense"], dense.detach())
    for name, value in report.items():
        torch.testing.assert_close(outputs["losses"][f"dense_{name}"], value, equal_nan=True)
    try:
        outputs["loss"].backward()
        assert head[1].weight.grad is not None
    finally:
        tiny.model.zero_grad()


@torch.no_grad()
def test_the_attention_loss_is_the_sum_over_the_kinds_of_target(tiny: Perceptio) -> None:
    turns = (
        Turn("Which?", "A at 1,2 nearness 34. Point A.", "marks", depth=True, target="A"),
        Turn("The cube?", "Here is <p>the cube</p>.", "referring"),
    )
    image, depth = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.float32)
    sample = Sample(image, turns, "test/0", depth=depth, marks=(Mark("A", 12, 8, 0.0),))
    config = tiny.model.config
    row = pack_sample(sample, tiny.processor, config, np.random.default_rng(0))
    targets = attention_targets(sample, row, config)
    assert {kind for kind, *_ in targets} == {0, 1, 2}
    batch = collate([row], 0)
    objective = NanoObjective(tiny.model, attention=0.5)
    outputs = objective(**with_supervision(batch, [targets], [{}], [None]))
    packed = PackedBatch(**batch)
    attentions = taught_layers(tiny.model.vlm.model.language_model.layers)
    with call_arguments(attentions) as calls:
        objective.write_codes(packed)
        objective.read(packed)
    places = torch.tensor([(kind, 0, *places) for kind, *places in targets])
    expected = sum(attention_losses(attentions, calls, places))
    torch.testing.assert_close(outputs["losses"]["attention"], expected)
    plain = PackedObjective(tiny.model)(**batch)
    torch.testing.assert_close(outputs["loss"], plain["loss"] + 0.5 * expected)


def test_depth_queries_change_no_other_loss(tiny: Perceptio) -> None:
    """Attention targets and dense targets beside a model that learns all codes of a span at once."""
    stored = next(iter(fresh_scenes("train", 1, 128)))
    rng = np.random.default_rng(0)
    sample = build_sample(stored, rng, questions=3, marks=True)
    row = pack_sample(sample, tiny.processor, tiny.model.config, rng)
    batch = with_supervision(
        collate([row], tiny.processor.tokenizer.pad_token_id),
        [attention_targets(sample, row, tiny.model.config)],
        [dense_targets(stored, sample.marks, 16)],
        [None],
    )
    model = copy.deepcopy(tiny.model)
    set_depth_decoding(model, "parallel")
    losses = []
    for each in (tiny.model, model):
        torch.manual_seed(0)
        with torch.no_grad():
            losses.append(NanoObjective(each, dense=0.25, attention=1.0).eval()(**batch)["losses"])
    assert losses[1].keys() - losses[0].keys() == {"parallel_token", "parallel_reconstruction"}
    for name, value in losses[0].items():
        torch.testing.assert_close(losses[1][name], value, rtol=1e-3, atol=1e-4, equal_nan=True)


def test_marks_of_the_sample_are_dense_targets(scenes: tuple[dict[str, Tensor], Dense]) -> None:
    _, (marked, clean) = scenes
    assert int((marked["letter"] > 0).sum()) > 0
    assert int((clean["letter"] > 0).sum()) == 0


def test_a_head_that_was_left_goes_on(tiny: Perceptio, tmp_path: Path) -> None:
    first = NanoObjective(tiny.model, dense=1.0)
    save_part(first.head, tmp_path / HEAD_FILE)
    fresh = NanoObjective(tiny.model, dense=1.0)
    second = NanoObjective(tiny.model, dense=1.0, head=tmp_path / HEAD_FILE)
    assert torch.equal(second.head[1].weight, first.head[1].weight)
    assert not torch.equal(fresh.head[1].weight, first.head[1].weight)


def test_the_head_is_no_part_of_the_model(tiny: Perceptio) -> None:
    names = set(tiny.model.state_dict())
    objective = NanoObjective(tiny.model, dense=1.0)
    assert isinstance(objective.head, DenseHead)
    assert set(objective.model.state_dict()) == names
    assert NanoObjective(tiny.model).head is None


class Read(NanoObjective):
    """Keeps what the language model is given to read."""

    def read(self, packed: PackedBatch) -> Tensor:
        self.packed = packed
        return super().read(packed)


@torch.no_grad()
def test_codes_that_the_model_wrote_are_read_and_the_true_ones_taught(tiny: Perceptio) -> None:
    true, written = ((code,) * tiny.model.config.vocabulary.tokens_per_map for code in (3, 5))
    turn = Turn("Depth?", "Here.", "depth", depth=True)
    other = Sample(np.zeros((64, 64, 3), np.uint8), (turn,), "test/0", depth=np.zeros((64, 64), np.float32))

    def packed(taught: tuple[int, ...], read: tuple[int, ...] | None) -> PackedBatch:
        samples = [replace(other, depth=None, codes=taught), other]
        rows = [pack_sample(each, tiny.processor, tiny.model.config, np.random.default_rng(0)) for each in samples]
        objective = Read(tiny.model)
        objective(**with_supervision(collate(rows, 0), [[], []], [{}, {}], [read, None]))
        return objective.packed

    mixed, truth, own = packed(true, written), packed(true, None), packed(written, None)
    assert torch.equal(mixed.targets, truth.targets)
    assert torch.equal(mixed.input_ids, own.input_ids)
    assert not torch.equal(own.input_ids, truth.input_ids)
    assert torch.equal(own.input_ids[1], truth.input_ids[1])  # the row beside it reads its map
