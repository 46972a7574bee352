"""The losses of a pointer on packed sequences, by hand: where each `[SEG]` points, and what comes after it."""

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
from perceptio.model.packed_objective import PackedObjective
from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.coverage import Coverage, cell_cover, coverage
from perceptio.segmentation.pointing.pointer import Draw


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
    depth = np.linspace(-1, 1, 4096, dtype=np.float32).reshape(64, 64)
    sample = Sample(picture, turns, "test/0", IdMap(ids), depth)
    return pack_sample(sample, tiny.processor, tiny.model.config, rng)


@pytest.fixture
def batch(tiny: Perceptio, row: PackedRow) -> dict[str, Tensor]:
    return batch_of(tiny, row)


def batch_of(tiny: Perceptio, *rows: PackedRow) -> dict[str, Tensor]:
    return collate(rows, tiny.processor.tokenizer.pad_token_id)


@torch.no_grad()
def read(tiny: Perceptio, batch: dict[str, Tensor]) -> tuple[PackedBatch, Tensor, Tensor]:
    """The packed batch with its codes, the states (T, D) of its first row, and those (V, D) at its picture."""
    packed, objective = PackedBatch(**batch), PackedObjective(tiny.model)
    objective.write_codes(packed)
    states = objective.read(packed)
    return packed, states[0], tiny.model.whole_picture(states, packed.input_ids)[0]


def search_by_hand(
    search: Callable[..., Tensor], state: Tensor, visual: Tensor, covered: Tensor, wanted: Tensor
) -> tuple[float, Tensor]:
    """Cross-entropy of what a state searches for with what it may point at, and the logits of the cells (V,)."""
    side = covered.shape[0] // 8  # of a cell, px
    covers = [mask.double().reshape(8, side, 8, side).mean((1, 3)).flatten() for mask in (covered, wanted)]
    cells = search(state[None], visual[None], torch.zeros(1, 64))[0].double() - math.log1p(math.exp(8)) * covers[0]
    return -float((covers[1] / covers[1].sum().clamp(min=1e-9) * cells.log_softmax(0)).sum()), cells


@torch.no_grad()
def test_the_continuation_loss_is_of_the_next_cells_and_of_whether_there_are_any(
    tiny: Perceptio, batch: dict[str, Tensor]
) -> None:
    packed, states, visual = read(tiny, batch)
    found = PackedObjective(tiny.model)(**batch)["losses"]["continuation"]
    places, pointer = packed.segments[:, 1], tiny.model.pointer
    follows = (packed.targets[0, places] == tiny.model.config.seg_token_id).tolist()
    assert follows == [False, True, False, True, True, False]
    # of each: what is covered by then, and what may come next
    cases = (([0], []), ([1], [2]), ([1, 2], []), ([3], [4, 5]), ([3, 4], [5]), ([3, 4, 5], []))
    cells, whether = [], []
    for place, goes_on, (covered, wanted) in zip(places, follows, cases, strict=True):
        masks = (packed.masks[which].any(0) for which in (covered, wanted))
        loss, logits = search_by_hand(pointer.next_cells, states[place], visual, *masks)
        cells += [loss] if goes_on else []
        logit = float(pointer.continuation[0] * (logits.max() - logits.mean() - pointer.continuation[1]))
        whether.append(math.log1p(math.exp(-logit if goes_on else logit)))
    assert math.isclose(float(found), sum(cells) / 3 + sum(whether) / 6, rel_tol=1e-4)


@torch.no_grad()
def test_of_interchangeable_objects_each_may_point_at_all_that_is_left(
    tiny: Perceptio, batch: dict[str, Tensor]
) -> None:
    packed, states, visual = read(tiny, batch)
    found = PackedObjective(tiny.model)(**batch)["losses"]["cells"]
    cases = (([], [0]), ([], [1]), ([1], [2]), ([], [3, 4, 5]), ([3], [4, 5]), ([3, 4], [5]))  # covered, wanted
    losses = []
    for place, (covered, wanted) in zip(packed.segments[:, 1], cases, strict=True):
        masks = (packed.masks[which].any(0) for which in (covered, wanted))
        losses.append(search_by_hand(tiny.model.pointer.cells, states[place], visual, *masks)[0])
    assert math.isclose(float(found), sum(losses) / 6, rel_tol=1e-4)


def drawing(mask: Tensor, sure: float = 1.0) -> Draw:
    """Draws the same (H, W) logits for every `[SEG]`."""
    return lambda rows, _, __: MaskPrediction(
        mask.expand(len(rows), -1, -1), torch.ones(len(rows)), torch.full((len(rows),), sure)
    )


@torch.no_grad()
def test_a_mask_covers_its_cells_and_so_does_a_pointer_the_one_it_points_at(tiny: Perceptio) -> None:
    visual, state = torch.randn(1, 64, 64), torch.randn(1, 64)
    best = tiny.model.pointer.cells(state, visual, torch.zeros(1, 64)).argmax()
    drawn = torch.full((32, 32), -1.0)
    drawn[:2, :4] = 1  # half of the first cell
    for sure, share in ((1.0, 0.5), (-1.0, 0.0)):  # SAM2 refuses the second
        steps = tiny.model.start_pointing(visual, visual)
        assert steps is not None
        steps.segment(torch.tensor([0]), state, drawing(drawn, sure))
        expected = torch.zeros(1, 64)
        expected[0, 0], expected[0, best] = share, 1
        torch.testing.assert_close(steps.covered, expected)


@torch.no_grad()
def test_masks_that_are_drawn_rightly_cover_what_training_covers(tiny: Perceptio, batch: dict[str, Tensor]) -> None:
    packed = PackedBatch(**batch)
    found = covered_in_training(packed)
    steps = tiny.model.start_pointing(torch.randn(1, 64, 64), torch.randn(1, 64, 64))
    assert steps is not None
    for which in (3, 4, 5):
        torch.testing.assert_close(found.covered[which], steps.covered[0])
        mask = packed.masks[which].float()
        best = cell_cover(packed.masks[which, None], 64).argmax()
        # a state and visual tokens of which it points at the best cell of its mask
        steps.visual_states = torch.randn(1, 64, 64)
        state = 3 * steps.visual_states[:, best]
        steps.pointer.key.weight.copy_(steps.pointer.query.weight)
        steps.segment(torch.tensor([0]), state, drawing(mask * 2 - 1))
        torch.testing.assert_close(found.covered_after[which], steps.covered[0])
    assert int((steps.covered == 1).sum()) > 6


def covered_in_training(packed: PackedBatch) -> Coverage:
    rows, places = packed.segments.unbind(1)
    answers = rows * packed.branch_ids.shape[1] + packed.branch_ids[rows, places]
    return coverage(packed.masks, 64, answers, packed.interchangeable)


@torch.no_grad()
def test_rows_of_a_batch_know_nothing_of_each_other(tiny: Perceptio, row: PackedRow) -> None:
    rng = np.random.default_rng(1)
    ids = np.zeros((64, 64), np.uint8)
    ids[30:60, 4:30], ids[2:20, 10:50] = 1, 2
    picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    depth = np.linspace(1, -1, 4096, dtype=np.float32).reshape(64, 64)
    turns = (Turn("Segment both balls.", "Here are <p>both balls</p>.", "plural", masks=(1, 2)),)
    sample = Sample(picture, turns, "test/1", IdMap(ids), depth)
    other = pack_sample(sample, tiny.processor, tiny.model.config, rng)
    objective = PackedObjective(tiny.model)
    alone = [batch_of(tiny, each) for each in (row, other)]
    together = batch_of(tiny, row, other)
    counts = [objective.counts(**each) for each in alone]
    step = {name: counts[0][name] + counts[1][name] for name in counts[0]}
    assert [int(each["cells"]) for each in counts] == [6, 2]
    parts = [objective(counts=step, **each)["losses"] for each in alone]
    whole = objective(**together)["losses"]
    for name in ("cells", "objectness", "continuation", "click", "text"):
        torch.testing.assert_close(parts[0][name] + parts[1][name], whole[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_is_not_taught_to_follow_has_no_loss(tiny: Perceptio, batch: dict[str, Tensor]) -> None:
    batch["targets"] = torch.full_like(batch["targets"], -100)
    assert float(PackedObjective(tiny.model)(**batch)["losses"]["continuation"]) == 0


@torch.no_grad()
def test_the_continue_logit_is_a_term_of_the_text_loss_after_each_segment(
    tiny: Perceptio, batch: dict[str, Tensor]
) -> None:
    packed, states, visual = read(tiny, batch)
    found = PackedObjective(tiny.model)(**batch)["losses"]["text"]
    vocabulary, pointer = tiny.model.config.vocabulary, tiny.model.pointer
    logits = tiny.model.vlm.lm_head(states).double()
    for place, covered in zip(packed.segments[:, 1], covered_in_training(packed).covered_after, strict=True):
        cells = pointer.next_cells(states[place][None], visual[None], covered[None])
        logits[place, vocabulary.seg] += pointer.continue_logits(cells)[0].double()
    spatial = torch.tensor([*vocabulary.codes, vocabulary.depth_start, vocabulary.depth_end])
    due = (packed.targets[0] != -100) & ~torch.isin(packed.targets[0], spatial)
    costs = torch.nn.functional.cross_entropy(logits[due], packed.targets[0, due], reduction="none")
    weights = packed.weights[0, due].double()
    assert math.isclose(float(found), float((costs * weights).sum() / weights.sum()), rel_tol=1e-4)
