"""The search for the next object: its loss by hand, and what it adds to the logit of `[SEG]`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from perceptio.data.packing import collate, pack_record
from perceptio.data.record import IdMap, Record, Turn
from perceptio.model.modeling import PackedBatch
from perceptio.pipeline import Perceptio


@pytest.fixture
def packed(tiny: Perceptio) -> PackedBatch:
    """One `[SEG]` and words, then two and a depth span."""
    ids = np.zeros((64, 64), np.uint8)
    ids[8:30, 8:30] = 1
    ids[40:60, 20:50] = 2
    turns = (
        Turn("Segment the cube.", "Here is <p>the cube</p>.", "referring", referents=(1,)),
        Turn("Which is nearer?", "The cube.", "nearer", referents=(1, 2), depth=True),
    )
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    item = Record("test/0", picture, turns, IdMap(ids), np.linspace(-1, 1, 4096, dtype=np.float32).reshape(64, 64))
    row = pack_record(item, tiny.processor, tiny.model.config.vocabulary, rng, depth_size=32)
    return PackedBatch(**collate([row], tiny.processor.tokenizer.pad_token_id))


@torch.no_grad()
def test_the_loss_is_that_of_pointing_at_the_next_and_of_its_presence(tiny: Perceptio, packed: PackedBatch) -> None:
    states = tiny.model._read(packed)
    more, losses = tiny.model._next_losses(packed, states)
    places = packed.segments[:, 1]
    assert (packed.targets[0, places] == tiny.model.config.seg_token_id).tolist() == [False, True, False]
    visual = tiny.model.visual_states(states, packed.input_ids)[0]
    cells = tiny.model.projector.next_cells(states[0, places[1:2]], visual[None])[0].double()
    side = packed.masks.shape[-1] // 8  # of a cell, px
    pixels = packed.masks[2].nonzero() // side
    shares = torch.bincount(pixels[:, 0] * 8 + pixels[:, 1], minlength=64).double()
    point = -((shares / shares.sum()) * cells.log_softmax(0)).sum()
    whether = [math.log1p(math.exp(float(logit) * sign)) for logit, sign in zip(more, (1, -1, 1), strict=True)]
    assert math.isclose(float(losses["next"]), float(point) + sum(whether) / 3, rel_tol=1e-4)


@torch.no_grad()
def test_what_is_not_taught_to_follow_is_not_asked(tiny: Perceptio, packed: PackedBatch) -> None:
    packed.targets[:] = -100
    _, losses = tiny.model._next_losses(packed, tiny.model._read(packed))
    assert float(losses["next"]) == 0


@torch.no_grad()
def test_it_is_a_term_of_the_text_loss_after_each_segment(tiny: Perceptio, packed: PackedBatch) -> None:
    codes = tiny.model._write_codes(packed)
    states = tiny.model._read(packed)
    more, _ = tiny.model._next_losses(packed, states)
    found = tiny.model._sequence_losses(packed, states, codes, more)["text"]
    logits = tiny.model.vlm.lm_head(states).double()
    logits[0, packed.segments[:, 1], tiny.model.config.seg_token_id] += more.double()
    spatial = torch.isin(packed.targets, torch.tensor([*tiny.model.config.vocabulary.codes]))
    spatial |= packed.targets == tiny.model.config.depth_start_token_id
    spatial |= packed.targets == tiny.model.config.depth_end_token_id
    due = (packed.targets != -100) & ~spatial
    costs = torch.nn.functional.cross_entropy(logits[due], packed.targets[due], reduction="none")
    weights = packed.weights[due].double()
    assert math.isclose(float(found), float((costs * weights).sum() / weights.sum()), rel_tol=1e-4)
