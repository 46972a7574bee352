"""Packing samples into sequences."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch

from perceptio.data.packing import PackedRow, collate, pack_sample, text_weights
from perceptio.data.rle import mask_rle
from perceptio.data.schema import ABSENT, IdMap, Sample, Turn
from perceptio.data.supervision import Supervision, TokenWeights
from perceptio.model.packed_batch import IGNORED
from perceptio.pipeline import Perceptio
from perceptio.tokens import Order, build_target, parse

SIDE = 64
TURNS = (
    Turn("Segment all cubes.", "Here are <p>all cubes</p>.", "plural", masks=(2, 1)),
    Turn("Depth?", "Here.", "depth", depth=True),
    Turn("How many?", "There are 2.", "counting", target="2"),
)
WEIGHTS = TokenWeights(word=0.5, digit=2.0, target=8.0, segment=1.5, end=0.25)  # each its own


def sample_of(turns: tuple[Turn, ...] = TURNS, **changes: Any) -> Sample:
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[:20, :20], ids[30:, 30:] = 1, 2
    image, depth = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.float32)
    return replace(Sample(image, turns, "test/0", IdMap(ids), depth), **changes)


def pack(
    tiny: Perceptio,
    sample: Sample,
    explicit: float = 0.0,
    seed: int = 0,
    length: int = 0,
    order: Order = "spans_first",
    pointing: bool = True,
    supervision: Supervision | None = None,
) -> PackedRow:
    config = deepcopy(tiny.model.config)
    config.order, config.pointing = order, pointing
    return pack_sample(
        sample,
        tiny.processor,
        config,
        np.random.default_rng(seed),
        explicit=explicit,
        length=length,
        supervision=supervision,
    )


def lefts(row: PackedRow) -> list[int]:
    """The first column that each of a row's masks covers, in order of their [SEG]."""
    return [int(mask.any(0).argmax()) for mask in row.masks]


def test_turns_that_do_not_fit_are_left_out_but_never_the_first(tiny: Perceptio) -> None:
    whole = pack(tiny, sample_of())
    sizes = np.bincount([branch for branch in whole.branch_ids if branch >= 0])
    full = len(whole.input_ids)
    assert pack(tiny, sample_of(), length=full).input_ids == whole.input_ids
    shorter = pack(tiny, sample_of(), length=full - 1)
    assert len(shorter.input_ids) == full - sizes[3]
    without_depth = pack(tiny, sample_of(), length=int(full - sizes[2]))
    assert without_depth.answer_has_span == [False, False]
    assert without_depth.spans == []
    assert max(without_depth.branch_ids) == 2
    alone = pack(tiny, sample_of(), length=1)
    assert len(alone.input_ids) == sizes[0] + sizes[1]
    assert len(alone.masks) == 2


@pytest.mark.parametrize("pointing", [True, False])
@pytest.mark.parametrize("order", get_args(Order))
def test_each_branch_is_the_question_and_the_target_that_the_grammar_builds(
    tiny: Perceptio, order: Order, pointing: bool
) -> None:
    row = pack(tiny, sample_of(), order=order, pointing=pointing, supervision=Supervision(weights=WEIGHTS))
    vocabulary = replace(tiny.model.config.vocabulary, order=order)
    prefix = tiny.processor.prefix_ids()
    branches = np.array(row.branch_ids)
    for number, turn in enumerate(TURNS):
        codes = [0] * vocabulary.tokens_per_map if turn.depth else None
        # a line's end carries the region feature of the last [SEG], where no depth span stands before the words
        line = "\n" if pointing and turn.masks and not turn.depth and order == "spans_first" else ""
        inside = turn.masks and order == "interleaved"
        # "Here are <p>all cubes</p> [SEG] [SEG].": both after the one phrase
        said = turn.answer.replace("</p>", "</p>  ") if inside else turn.answer
        words = tiny.processor.answer_ids(line + said)
        places = [words.index(tiny.processor.answer_ids("</p>")[0]) + 1 + k for k in (1, 2)] if inside else ()
        answer = build_target(vocabulary, len(turn.masks), codes, words, places)
        question = tiny.processor.question_ids(turn.question)
        here = np.flatnonzero(branches == number + 1)
        assert [row.input_ids[k] for k in here] == question + answer[:-1]
        assert [row.targets[k] for k in here if row.targets[k] != IGNORED] == answer
        assert not parse(vocabulary, answer).malformed
        weights = [row.weights[k] for k in here if row.targets[k] == vocabulary.end_of_text]
        assert weights == [WEIGHTS.end]
        assert [row.position_ids[k] for k in here] == list(range(len(prefix), len(prefix) + len(here)))


def test_each_target_is_the_next_input_of_its_branch(tiny: Perceptio) -> None:
    row = pack(tiny, sample_of())
    for place, target in enumerate(row.targets[:-1]):
        if target != IGNORED and row.branch_ids[place + 1] == row.branch_ids[place]:
            assert row.input_ids[place + 1] == target


@pytest.mark.parametrize("order", get_args(Order))
def test_segments_spans_and_masks_are_where_they_say(tiny: Perceptio, order: Order) -> None:
    row, vocabulary = pack(tiny, sample_of(), order=order, pointing=False), tiny.model.config.vocabulary
    assert [row.input_ids[place] for place in row.segments] == [vocabulary.seg] * 2
    assert [row.input_ids[place] for place in row.spans] == [vocabulary.depth_start]
    assert row.answer_has_span == [False, True, False]
    side = tiny.processor.sam_image_size
    shares = [mask.mean() for mask in row.masks]
    assert all(mask.shape == (side, side) for mask in row.masks)
    assert shares == pytest.approx([(20 / 64) ** 2, (34 / 64) ** 2], abs=0.02)


def test_with_pointing_what_one_phrase_names_is_interchangeable_and_comes_in_any_order(tiny: Perceptio) -> None:
    listed = Turn("Segment all.", "Here are <p>all cubes</p>.", "plural", masks=(1, 2))
    apart = Turn("Segment both.", "Here are <p>a cube</p> and <p>a cone</p>.", "caption", masks=(1, 2))
    one = Turn("Segment the cube.", "Here is <p>the cube</p>.", "referring", masks=(2,))
    rows = [pack(tiny, sample_of((listed, apart, one)), seed=seed) for seed in range(8)]
    assert all(row.interchangeable == [0, 0, 0, 1, 0] for row in rows)
    partly = Turn("More cubes?", "There are <p>2 cubes and 0 cones</p>.", "comparison", masks=(1, 2, ABSENT))
    assert pack(tiny, sample_of((partly,))).interchangeable == [0, 1, 2]  # what is not there has its place
    orders = [[bool(mask[0, 0]) for mask in row.masks] for row in rows]  # whether each is the first object's
    assert {tuple(order[:2]) for order in orders} == {(True, False), (False, True)}
    assert all(order[2:] == [True, False, False] for order in orders)
    assert collate(rows[:2], padding=0)["interchangeable"].tolist() == [0, 0, 0, 1, 0] * 2


def test_with_pointing_what_numbers_alone_tell_apart_comes_in_any_order_within_its_kind(tiny: Perceptio) -> None:
    answer = "<p>cone 1</p>, <p>cube 1</p>, <p>cube 2</p>."
    sample = sample_of((Turn("More?", answer, "comparison", masks=(2, 1, 2)),))
    rows = [pack(tiny, sample, seed=seed) for seed in range(8)]
    assert all(row.interchangeable == [0, 1, 1] for row in rows)
    orders = {tuple(bool(mask[0, 0]) for mask in row.masks) for row in rows}
    assert orders == {(False, True, False), (False, False, True)}


def test_without_pointing_what_one_phrase_names_goes_from_left_to_right(tiny: Perceptio) -> None:
    """By the centre of each mask: x, then y."""
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[2:60, 10:30] = 1  # begins left of the next, but reaches further right
    ids[40:44, 12:20] = 2
    ids[20:24, 50:54] = 3
    ids[8:12, 50:54] = 4  # above the one before
    apart = Turn("Segment both.", "Here are <p>a cube</p> and <p>a cone</p>.", "caption", masks=(3, 2))
    rows = []
    for seed, masks in enumerate([(1, 2, 3, 4), (4, 3, 2, 1), (3, 1, 4, 2)]):
        listed = Turn("Segment all.", "Here are <p>all cubes</p>.", "plural", masks=masks)
        rows += [pack(tiny, sample_of((listed, apart), masks=IdMap(ids)), seed=seed, pointing=False)]
        rows += [pack(tiny, sample_of((listed, apart), masks=IdMap(ids)), seed=seed + 10, pointing=False)]
    assert all(row.input_ids == rows[0].input_ids and row.targets == rows[0].targets for row in rows)
    for row in rows:
        for mask, first in zip(row.masks, rows[0].masks, strict=True):
            np.testing.assert_array_equal(mask, first)
    side = rows[0].masks[0].shape[0] // SIDE
    assert lefts(rows[0]) == [12 * side, 10 * side, 50 * side, 50 * side, 50 * side, 12 * side]
    tops = [int(mask.any(1).argmax()) for mask in rows[0].masks[2:4]]
    assert tops == [8 * side, 20 * side]


def test_without_pointing_words_decide_the_order_where_they_tell_objects_apart(tiny: Perceptio) -> None:
    answer = "<p>cone 1</p>, <p>cube 1</p>, <p>cube 2</p>."
    named = Turn("More?", answer, "comparison", masks=(2, 1, 2))
    absent = Turn("More cubes?", "There are <p>2 cubes and 0 cones</p>.", "comparison", masks=(2, 1, ABSENT))
    for seed in range(4):
        row = pack(tiny, sample_of((named, absent)), seed=seed, pointing=False)
        assert [bool(mask[0, 0]) for mask in row.masks] == [False, True, False, False, True, False]
        assert not row.masks[-1].any()


@pytest.mark.parametrize("order", get_args(Order))
def test_without_pointing_no_line_end_follows_a_segment(tiny: Perceptio, order: Order) -> None:
    """Nothing would be carried by it."""
    (line,) = tiny.processor.answer_ids("\n")
    both = replace(TURNS[0], depth=True)
    for pointing in (False, True):
        row = pack(tiny, sample_of((*TURNS, both)), order=order, pointing=pointing)
        last = [branch.segments[-1] for branch in row.branches if branch.segments]
        after = [row.targets[place] for place in last]
        assert (line in after) == (pointing and order == "spans_first")


def test_collating_pads_and_counts_answers_through_the_batch(tiny: Perceptio) -> None:
    rows = [pack(tiny, sample_of(TURNS[:1])), pack(tiny, sample_of())]
    batch = collate(rows, padding=0)
    short = len(rows[0].input_ids)
    assert (batch["branch_ids"][0, short:] == -1).all()
    assert (batch["targets"][0, short:] == IGNORED).all()
    assert sorted(set(batch["answer_ids"].flatten().tolist())) == [-1, 0, 1, 2, 3]
    assert batch["answer_has_span"].tolist() == [False, False, True, False]
    assert batch["segments"][:, 0].tolist() == [0, 0, 1, 1]
    assert len(batch["masks"]) == 4


def test_a_batch_without_masks_still_has_the_field(tiny: Perceptio) -> None:
    batch = collate([pack(tiny, sample_of(TURNS[2:]))], padding=0)
    assert batch["masks"].shape[0] == 0
    assert batch["segments"].shape == (0, 2)
    assert (batch["interchangeable"].shape, batch["interchangeable"].dtype) == ((0,), torch.int64)


def test_the_target_word_has_its_own_weight_where_it_is_concluded(tiny: Perceptio) -> None:
    turn = Turn("?", "A at 1,2 nearness 30; B at 3,4 nearness 50. Point B.", "marks", target="B")
    ids, weights, _ = text_weights(turn, tiny.processor, WEIGHTS)
    assert len(ids) == len(weights)
    heavy = [place for place, weight in enumerate(weights) if weight == WEIGHTS.target]
    said = tiny.processor.tokenizer.decode([ids[place] for place in heavy])
    assert said.strip() == "B"
    assert heavy[-1] > len(ids) - 4  # the verdict, not the chain
    row = pack(tiny, sample_of((turn,)), supervision=Supervision(weights=WEIGHTS))
    assert row.weights[-1] == WEIGHTS.end
    said = {weight: tiny.processor.tokenizer.decode([token]) for token, weight in zip(ids, weights, strict=True)}
    assert said[WEIGHTS.digit].strip().isdigit()
    assert set(said) == {WEIGHTS.word, WEIGHTS.digit, WEIGHTS.target}


def test_what_is_not_taught_is_not_written_and_the_questions_say_so(tiny: Perceptio) -> None:
    full = pack(tiny, sample_of(), explicit=0.5)
    for seg, depth in ((True, False), (False, True), (False, False)):
        row = pack(tiny, sample_of(), explicit=0.5, supervision=Supervision(seg, depth))
        assert len(row.segments) == len(row.masks) == len(row.interchangeable) == (len(full.segments) if seg else 0)
        assert row.answer_has_span == ([has and depth for has in full.answer_has_span])
        said = tiny.processor.tokenizer.decode(row.input_ids)
        assert said.count("depth=off]") == len(TURNS) or depth
        assert said.count("seg=off") == len(TURNS) or seg
        for turn in TURNS:
            assert turn.question in said


def test_by_default_every_token_weighs_one(tiny: Perceptio) -> None:
    """Plain cross-entropy."""
    row = pack(tiny, sample_of())
    assert {weight for weight, target in zip(row.weights, row.targets, strict=True) if target != IGNORED} == {1}


def test_an_absent_object_gets_an_empty_mask_and_needs_none(tiny: Perceptio) -> None:
    turn = Turn("Segment the cone.", "There is no <p>cone</p>.", "absent", masks=(ABSENT,))
    row = pack(tiny, sample_of((turn,), masks=()))
    assert len(row.segments) == len(row.masks) == 1
    assert not row.masks[0].any()


@pytest.mark.parametrize(
    ("turns", "changes", "message"),
    [
        ((), {}, "no questions"),
        (TURNS[:1], {"masks": ()}, "no masks"),
        (TURNS[1:2], {"depth": None}, "depth map"),
    ],
)
def test_a_sample_that_lacks_what_it_needs_is_named(
    tiny: Perceptio, turns: tuple[Turn, ...], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"test/0.*{message}"):
        pack(tiny, sample_of(turns, **changes))


EVERYTHING = Turn("Where?", "Of <p>a</p> and <p>b</p>.", "nearer", masks=(2, 1), depth=True)
NOTHING = Turn("Where?", "There.", "plain")


@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("supervise", [("seg",), ("depth",), ("text",), ("seg", "text"), ("seg", "depth", "text")])
def test_what_is_not_supervised_is_read_but_no_target(
    tiny: Perceptio, order: Order, supervise: tuple[Any, ...]
) -> None:
    whole = pack(tiny, sample_of((EVERYTHING,)), order=order)
    row = pack(tiny, sample_of((replace(EVERYTHING, supervise=supervise),)), order=order)
    assert row.input_ids == whole.input_ids
    assert (row.segments, row.spans) == (whole.segments, whole.spans)
    assert len(row.masks) == 2
    vocabulary = tiny.model.config.vocabulary
    depth = {vocabulary.depth_start, vocabulary.depth_end, *vocabulary.codes}
    for place, target in enumerate(whole.targets):
        part = "seg" if target == vocabulary.seg else "depth" if target in depth else "text"
        taught = target != IGNORED and part in supervise
        assert row.targets[place] == (target if taught else IGNORED)
        assert row.weights[place] == (whole.weights[place] if taught else 0)
        assert row.answer_ids[place] == (0 if taught else -1)
    assert row.answer_has_span == ["depth" in supervise]


def test_masks_by_index_may_overlap(tiny: Perceptio) -> None:
    first, second = np.zeros((2, 30, 40), bool)
    first[5:20, 5:25], second[10:28, 15:35] = True, True
    sample = sample_of((EVERYTHING, NOTHING), masks=(mask_rle(second), mask_rle(first), mask_rle(second)))
    row = pack(tiny, sample)
    side = tiny.processor.sam_image_size
    y, x = ((np.arange(side) + 0.5) * np.array([[30], [40]]) / side).astype(int)
    for mask, expected in zip(row.masks, (second, first), strict=True):
        np.testing.assert_array_equal(mask, expected[y][:, x])
    assert (row.masks[0] & row.masks[1]).any()


def test_given_codes_stand_in_for_a_map(tiny: Perceptio) -> None:
    codes = tuple(range(tiny.model.config.vocabulary.tokens_per_map))
    given = sample_of(TURNS[1:2], depth=None, codes=codes)
    batch = collate([pack(tiny, given), pack(tiny, sample_of())], padding=0)
    assert batch["codes"][0].tolist() == list(codes)
    assert (batch["codes"][1] == -1).all()


@pytest.mark.parametrize(("codes", "message"), [((1, 2), "2 depth codes"), ((99,) * 16, "depth code 99, .* 0 to 15")])
def test_codes_of_another_model_are_refused(tiny: Perceptio, codes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"test/0 has .*{message}"):
        pack(tiny, sample_of(TURNS[1:2], codes=codes))
