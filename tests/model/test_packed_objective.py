"""The training objective: packing equals asking alone, every loss, and what each reaches."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.model.objectives import LossWeights
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.pipeline import Perceptio
from perceptio.segmentation.pointing.pointer_losses import PointerWeights

TURNS = (
    Turn("Segment the cube.", "Here is <p>the cube</p>.", "referring", masks=(1,)),
    Turn("How near is it?", "The cube is at 3.", "nearer", masks=(1, 2), depth=True, target="3"),
    Turn("Is there a cone?", "No.", "existence", target="no"),
)


def sample(turns: tuple[Turn, ...] = TURNS, side: int = 64) -> Sample:
    rng = np.random.default_rng(0)
    ids = np.zeros((side, side), np.uint8)
    ids[8:30, 8:30] = 1
    ids[40:60, 20:50] = 2
    nearness = np.linspace(-1, 1, side, dtype=np.float32)[:, None].repeat(side, 1)
    return Sample(rng.integers(0, 255, (side, side, 3), dtype=np.uint8), turns, "test/0", IdMap(ids), nearness)


def batch_of(tiny: Perceptio, *samples: Sample) -> dict[str, torch.Tensor]:
    """A packed batch, without seeds: masks are compared at points of torch's own generator."""
    rows = [pack_sample(item, tiny.processor, tiny.model.config, np.random.default_rng(0)) for item in samples]
    batch = collate(rows, tiny.processor.tokenizer.pad_token_id)
    del batch["seeds"]
    return batch


@pytest.fixture
def objective(tiny: Perceptio) -> PackedObjective:
    return PackedObjective(tiny.model)


def test_a_packed_question_reads_as_if_it_were_alone(tiny: Perceptio) -> None:
    packed = PackedBatch(**batch_of(tiny, sample()))
    with torch.no_grad():
        PackedObjective(tiny.model).write_codes(packed)
        together = PackedObjective(tiny.model).read(packed)[0]
    for number, turn in enumerate(TURNS):
        single = PackedBatch(**batch_of(tiny, sample((turn,))))
        with torch.no_grad():
            PackedObjective(tiny.model).write_codes(single)
            alone = PackedObjective(tiny.model).read(single)[0]
        branch = packed.branch_ids[0] == number + 1
        torch.testing.assert_close(together[branch], alone[single.branch_ids[0] == 1], rtol=1e-3, atol=1e-4)


def test_padding_a_row_does_not_change_its_losses(tiny: Perceptio) -> None:
    torch.manual_seed(0)
    alone = batch_of(tiny, sample(TURNS[2:]))
    padded = batch_of(tiny, sample(TURNS[2:]), sample())
    with torch.no_grad():
        states = PackedObjective(tiny.model).read(PackedBatch(**padded))[0, : alone["input_ids"].shape[1]]
        expected = PackedObjective(tiny.model).read(PackedBatch(**alone))[0]
    assert torch.isfinite(states).all()
    torch.testing.assert_close(states, expected, rtol=1e-3, atol=1e-4)


def test_code_positions_get_the_codes_of_the_map(tiny: Perceptio) -> None:
    packed = PackedBatch(**batch_of(tiny, sample()))
    codes = PackedObjective(tiny.model).write_codes(packed)
    vocabulary = tiny.model.config.vocabulary
    row, start = packed.spans[0].tolist()
    ids = packed.input_ids[row, start : start + vocabulary.tokens_per_map + 2].tolist()
    assert ids == [vocabulary.depth_start, *(vocabulary.codes[code] for code in codes[0]), vocabulary.depth_end]
    assert packed.targets[row, start : start + vocabulary.tokens_per_map].tolist() == ids[1:-1]
    expected = tiny.model.depth_tokenizer.encode(packed.depth_maps)
    assert torch.equal(codes, expected)


def test_the_input_after_a_segment_carries_the_picture_where_its_object_is(tiny: Perceptio) -> None:
    packed = PackedBatch(**batch_of(tiny, sample()))
    packed.masks[1] = False  # an absent object
    with torch.no_grad():
        embeddings = PackedObjective(tiny.model).embed(packed)[0]
        visual = tiny.model.vlm.get_image_features(pixel_values=packed.pixel_values, return_dict=True).pooler_output[0]
    words = tiny.model.get_input_embeddings().weight[packed.input_ids[0]]
    words[packed.input_ids[0] == tiny.model.config.vlm.image_token_id] = visual
    carried = (embeddings - words).detach()
    places = packed.segments[:, 1] + 1
    assert carried.abs().sum(1).nonzero().flatten().tolist() == [int(places[0]), int(places[2])]
    side = packed.masks.shape[-1] // 8  # of a cell, px
    for number in (0, 2):
        pixels = packed.masks[number].nonzero() // side
        shares = torch.bincount(pixels[:, 0] * 8 + pixels[:, 1], minlength=64).double()
        mean = (shares / shares.sum()) @ visual.double()
        size = tiny.model.pointer.region_gain.detach() * visual.square().mean().sqrt()
        expected = size * mean / mean.square().mean().sqrt()
        torch.testing.assert_close(carried[places[number]], expected.float(), rtol=1e-4, atol=1e-4)


def test_an_answer_that_ends_with_its_segment_leaves_the_next_question_alone(tiny: Perceptio) -> None:
    """With the answer first a [SEG] can be a branch's last token, or the row's."""
    config = copy.deepcopy(tiny.model.config)
    config.order = "answer_first"
    turns = (TURNS[0], TURNS[2], replace(TURNS[1], depth=False))
    rows = [pack_sample(sample(turns), tiny.processor, config, np.random.default_rng(0))]
    packed = PackedBatch(**collate(rows, tiny.processor.tokenizer.pad_token_id))
    places = packed.segments[:, 1].tolist()
    branches = packed.branch_ids[0].tolist()
    assert branches[places[0] : places[0] + 2] == [1, 2]
    assert places[2] == len(branches) - 1
    with torch.no_grad():
        embeddings = PackedObjective(tiny.model).embed(packed)[0]
    words = tiny.model.get_input_embeddings().weight[packed.input_ids[0]]
    different = (embeddings - words).detach().abs().sum(1).nonzero().flatten().tolist()
    image = (packed.input_ids[0] == tiny.model.config.vlm.image_token_id).nonzero().flatten().tolist()
    assert different == [*image, places[2]]  # the second of the last answer's two segments carries what the first saw


LOSSES = {each.name for kind in (LossWeights, PointerWeights) for each in fields(kind)}


@torch.no_grad()
def test_every_loss_is_reported_and_the_total_is_their_weighted_sum(
    tiny: Perceptio, objective: PackedObjective
) -> None:
    torch.manual_seed(0)
    outputs = objective(**batch_of(tiny, sample()))
    assert set(outputs["losses"]) == set(objective.loss_weights) == LOSSES
    assert all(value > 0 for name, value in outputs["losses"].items())
    total = sum(objective.loss_weights[name] * value for name, value in outputs["losses"].items())
    torch.testing.assert_close(outputs["loss"], total)


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_each_loss_can_be_switched_off(tiny: Perceptio, name: str) -> None:
    weights = [
        replace(kind(), **{name: 0.0}) if name in kind.__dataclass_fields__ else kind()
        for kind in (LossWeights, PointerWeights)
    ]
    objective = PackedObjective(tiny.model, *weights)
    torch.manual_seed(0)
    outputs = objective(**batch_of(tiny, sample()))
    rest = [objective.loss_weights[key] * value for key, value in outputs["losses"].items() if key != name]
    torch.testing.assert_close(outputs["loss"], sum(rest))


@torch.no_grad()
def test_the_points_of_a_mask_do_not_depend_on_what_else_is_in_the_batch(
    tiny: Perceptio, objective: PackedObjective
) -> None:
    rows = [
        pack_sample(sample(TURNS[:1]), tiny.processor, tiny.model.config, np.random.default_rng(seed))
        for seed in (0, 1)
    ]
    alone, other = ({**collate([row], 0)} for row in rows)
    assert alone["seeds"] != other["seeds"]
    first = objective(**alone)["losses"]["bce"]
    torch.manual_seed(5)
    torch.testing.assert_close(objective(**alone)["losses"]["bce"], first)
    second = objective(**other)["losses"]["bce"]
    torch.testing.assert_close(objective(**collate(rows, 0))["losses"]["bce"], (first + second) / 2)


@torch.no_grad()
def test_without_weights_the_text_loss_is_plain_cross_entropy(tiny: Perceptio, objective: PackedObjective) -> None:
    turn = Turn("How near is it?", "The cube is at 3, nearer.", "nearer", target="3")
    batch = batch_of(tiny, sample((turn,)))
    found = objective(**batch)["losses"]["text"]
    states = objective.read(PackedBatch(**batch))
    due = batch["targets"] != -100
    expected = torch.nn.functional.cross_entropy(tiny.model.vlm.lm_head(states[due]).double(), batch["targets"][due])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_the_reconstruction_loss_reaches_the_language_model_through_the_frozen_decoder(tiny: Perceptio) -> None:
    off = dict.fromkeys(LossWeights.__dataclass_fields__, 0.0)
    weights = LossWeights(**{**off, "reconstruction": 1.0})
    try:
        tiny.model.zero_grad()
        PackedObjective(tiny.model, weights, PointerWeights(0, 0, 0, 0))(**batch_of(tiny, sample()))["loss"].backward()
        layer = tiny.model.vlm.model.language_model.layers[0].mlp.up_proj.weight
        assert layer.grad is not None
        assert layer.grad.abs().sum() > 0
        assert all(parameter.grad is None for parameter in tiny.model.depth_tokenizer.parameters())
    finally:
        tiny.model.zero_grad()


def test_a_record_without_masks_or_depth_trains_without_nan(tiny: Perceptio) -> None:
    tiny.model.zero_grad()
    outputs = PackedObjective(tiny.model)(**batch_of(tiny, sample(TURNS[2:])))
    outputs["loss"].backward()
    assert torch.isfinite(outputs["loss"])
    trained = list(tiny.model.projector.parameters())
    assert all(parameter.grad is not None for parameter in trained)  # data-parallel ranks need every gradient
    tiny.model.zero_grad()


def test_given_codes_train_as_the_map_they_come_from_does(tiny: Perceptio) -> None:
    item = sample()
    batch = batch_of(tiny, item)
    with torch.no_grad():
        codes = tiny.model.depth_tokenizer.encode(batch["depth_maps"])[0]
        decoded = tiny.model.depth_tokenizer.decode(codes[None])
    given = batch_of(tiny, replace(item, depth=None, codes=tuple(codes.tolist())))
    packed, mapped = PackedBatch(**given), PackedBatch(**batch)
    torch.testing.assert_close(
        PackedObjective(tiny.model).write_codes(packed), PackedObjective(tiny.model).write_codes(mapped)
    )
    assert torch.equal(packed.input_ids, mapped.input_ids)
    assert torch.equal(packed.targets, mapped.targets)
    torch.testing.assert_close(packed.depth_maps, decoded)
    torch.manual_seed(0)
    expected = PackedObjective(tiny.model)(**(batch | {"depth_maps": decoded, "codes": given["codes"]}))["losses"]
    torch.manual_seed(0)
    losses = PackedObjective(tiny.model)(**given)["losses"]
    torch.testing.assert_close(losses, expected)


def test_rows_with_maps_and_rows_with_codes_share_a_batch(tiny: Perceptio) -> None:
    item = sample()
    codes = tuple(index % 16 for index in range(tiny.model.config.vocabulary.tokens_per_map))
    given = replace(item, depth=None, codes=codes)
    packed = PackedBatch(**batch_of(tiny, item, given))
    with torch.no_grad():
        written = PackedObjective(tiny.model).write_codes(packed)
        assert torch.equal(written[0], tiny.model.depth_tokenizer.encode(packed.depth_maps[:1])[0])
    assert written[1].tolist() == list(codes)


def test_spans_that_are_not_supervised_have_no_loss(tiny: Perceptio) -> None:
    turn = replace(TURNS[1], supervise=("text",))
    losses = PackedObjective(tiny.model)(**batch_of(tiny, sample((turn,))))["losses"]
    for name in ("marker", "token", "reconstruction", "bce", "dice", "cells", "click", "object", "score"):
        assert losses[name] == 0, name
    assert losses["text"] > 0
    # they are read: other codes change the words' loss
    other = replace(sample((turn,)), codes=(3,) * tiny.model.config.vocabulary.tokens_per_map)
    assert PackedObjective(tiny.model)(**batch_of(tiny, other))["losses"]["text"] != losses["text"]


def test_masks_that_are_not_supervised_do_not_change_the_loss_of_those_that_are(tiny: Perceptio) -> None:
    read = replace(TURNS[1], depth=False, supervise=("text",))
    names = ("cells", "click", "object")  # the others sample points
    alone, both = (
        PackedObjective(tiny.model)(**batch_of(tiny, sample(turns)))["losses"]
        for turns in (TURNS[:1], (TURNS[0], read))
    )
    for name in names:
        torch.testing.assert_close(both[name], alone[name], rtol=1e-4, atol=1e-5)
