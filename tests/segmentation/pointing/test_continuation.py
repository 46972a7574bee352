"""The search for the next object: its loss by hand, and what it adds to the logit of `[SEG]`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from perceptio.data.packing import PackedRow, collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.model.packed_batch import PackedBatch
from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.coverage import cell_cover


@pytest.fixture
def row(tiny: Perceptio) -> PackedRow:
    """One `[SEG]` and words, then two and a depth span, then three of one phrase."""
    ids = np.zeros((64, 64), np.uint8)
    ids[8:30, 8:30] = 1
    ids[40:60, 20:50] = 2
    ids[4:20, 44:60] = 3
    turns = (
        Turn("Segment the cube.", "Here is <p>the cube</p>.", "referring", masks=(1,)),
        Turn("Which is nearer?", "The cube.", "nearer", masks=(1, 2), depth=True),
        Turn("Segment all cubes.", "Here are <p>all cubes</p>.", "plural", masks=(1, 2, 3)),
    )
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    item = Sample("test/0", picture, turns, IdMap(ids), np.linspace(-1, 1, 4096, dtype=np.float32).reshape(64, 64))
    return pack_sample(item, tiny.processor, tiny.model.config.vocabulary, rng, depth_size=32)


@pytest.fixture
def packed(tiny: Perceptio, row: PackedRow) -> PackedBatch:
    return batch_of(tiny, row)


def batch_of(tiny: Perceptio, *rows: PackedRow) -> PackedBatch:
    return PackedBatch(**collate(rows, tiny.processor.tokenizer.pad_token_id))


@torch.no_grad()
def test_the_loss_is_that_of_pointing_at_the_next_and_of_its_presence(tiny: Perceptio, packed: PackedBatch) -> None:
    states = tiny.model._read(packed)
    more, losses = tiny.model._next_losses(packed, states, tiny.model._rounds(packed))
    places = packed.segments[:, 1]
    follows = (packed.targets[0, places] == tiny.model.config.seg_token_id).tolist()
    assert follows == [False, True, False, True, True, False]
    visual = tiny.model.visual_states(states, packed.input_ids)[0]
    # of each that is followed: what is marked by then, and what may come next
    points = [
        point_by_hand(
            lambda *arguments: tiny.model.projector.next_cells(*arguments)[0],
            states[0, places[which]],
            visual,
            packed.masks[marked].any(0),
            packed.masks[wanted].any(0),
        )
        for which, marked, wanted in ((1, [1], [2]), (3, [3], [4, 5]), (4, [3, 4], [5]))
    ]
    signs = [-1 if goes_on else 1 for goes_on in follows]
    whether = [math.log1p(math.exp(float(logit) * sign)) for logit, sign in zip(more, signs, strict=True)]
    assert math.isclose(float(losses["next"]), sum(points) / 3 + sum(whether) / 6, rel_tol=1e-4)


def point_by_hand(
    search: Callable[..., Tensor], state: Tensor, visual: Tensor, marked: Tensor, wanted: Tensor
) -> float:
    """Cross-entropy of what a state looks for, past a mask, with what it may point at."""
    side = marked.shape[0] // 8  # of a cell, px
    covers = [mask.double().reshape(8, side, 8, side).mean((1, 3)).flatten() for mask in (marked, wanted)]
    cells = search(state[None], visual[None], torch.zeros(1, 64)).double()
    log_shares = (cells - math.log1p(math.exp(8)) * covers[0]).log_softmax(0)
    return -float((covers[1] / covers[1].sum() * log_shares).sum())


@torch.no_grad()
def test_of_a_list_each_may_point_at_all_that_is_left(tiny: Perceptio, packed: PackedBatch) -> None:
    states = tiny.model._read(packed)
    losses = tiny.model._mask_losses(packed, states, tiny.model._rounds(packed))
    visual = tiny.model.visual_states(states, packed.input_ids)[0]
    cases = (([], [0]), ([], [1]), ([1], [2]), ([], [3, 4, 5]), ([3], [4, 5]), ([3, 4], [5]))  # marked, wanted
    points = [
        point_by_hand(
            lambda *arguments: tiny.model.point(*arguments)[0],
            states[0, place],
            visual,
            packed.masks[marked].any(0),
            packed.masks[wanted].any(0),
        )
        for place, (marked, wanted) in zip(packed.segments[:, 1], cases, strict=True)
    ]
    assert math.isclose(float(losses["point"]), sum(points) / 6, rel_tol=1e-4)


@torch.no_grad()
def test_what_is_drawn_is_marked_and_so_is_the_cell_that_is_pointed_at(tiny: Perceptio) -> None:
    cells = torch.zeros(3, 64)
    cells[:, 9] = 5
    drawn = torch.full((3, 32, 32), -1.0)
    drawn[:, :2, :4] = 1  # half of the first cell
    sure = torch.tensor([1.0, -1.0, 1.0])  # SAM2 refuses the second
    before = torch.zeros(3, 64)
    before[2, 0] = 0.75
    marked = tiny.model.mark(before, cells, MaskPrediction(drawn, torch.ones(3), sure))
    expected = torch.zeros(3, 64)
    expected[:, 9] = 1
    expected[:, 0] = torch.tensor([0.5, 0.0, 1.0])
    torch.testing.assert_close(marked, expected)
    assert torch.equal(tiny.model.mark(before, torch.zeros(3, 64), None), before)  # nothing stands out


@torch.no_grad()
def test_a_list_that_is_drawn_rightly_marks_what_training_marks(tiny: Perceptio, packed: PackedBatch) -> None:
    found = tiny.model._rounds(packed)
    marked = torch.zeros(1, 64)
    for which in (3, 4, 5):
        torch.testing.assert_close(found.marked[which], marked[0])
        mask = packed.masks[which, None].float()
        inside = torch.nn.functional.one_hot(cell_cover(mask, 64).argmax(-1), 64) * 50.0
        marked = tiny.model.mark(marked, inside, MaskPrediction(mask * 2 - 1, torch.ones(1), torch.ones(1)))
        torch.testing.assert_close(found.marked_after[which], marked[0])
    assert int((marked == 1).sum()) > 6


@torch.no_grad()
def test_rows_of_a_batch_know_nothing_of_each_other(tiny: Perceptio, row: PackedRow) -> None:
    rng = np.random.default_rng(1)
    ids = np.zeros((64, 64), np.uint8)
    ids[30:60, 4:30], ids[2:20, 10:50] = 1, 2
    picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    depth = np.linspace(1, -1, 4096, dtype=np.float32).reshape(64, 64)
    turns = (Turn("Segment both balls.", "Here are <p>both balls</p>.", "plural", masks=(1, 2)),)
    item = Sample("test/1", picture, turns, IdMap(ids), depth)
    other = pack_sample(item, tiny.processor, tiny.model.config.vocabulary, rng, depth_size=32)

    def looked_for(*rows: PackedRow) -> tuple[Tensor, Tensor]:
        batch = batch_of(tiny, *rows)
        found = tiny.model._rounds(batch)
        return tiny.model._next_losses(batch, tiny.model._read(batch), found)[0], found.marked_after

    alone = [looked_for(row), looked_for(other)]
    assert [len(more) for more, _ in alone] == [6, 2]
    for together, apart in zip(looked_for(row, other), zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(together, torch.cat(apart), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_is_not_taught_to_follow_is_not_asked(tiny: Perceptio, packed: PackedBatch) -> None:
    packed.targets[:] = -100
    _, losses = tiny.model._next_losses(packed, tiny.model._read(packed), tiny.model._rounds(packed))
    assert float(losses["next"]) == 0


@torch.no_grad()
def test_it_is_a_term_of_the_text_loss_after_each_segment(tiny: Perceptio, packed: PackedBatch) -> None:
    codes = tiny.model._write_codes(packed)
    states = tiny.model._read(packed)
    more, _ = tiny.model._next_losses(packed, states, tiny.model._rounds(packed))
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
