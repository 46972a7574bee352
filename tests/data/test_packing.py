"""Packing records into sequences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch

from perceptio.data.packing import (
    IGNORED,
    PackedRow,
    Supervision,
    TokenWeights,
    choose_spans,
    collate,
    pack_sample,
    text_weights,
)
from perceptio.data.rle import mask_rle
from perceptio.data.schema import ABSENT, IdMap, Mark, Sample, Turn
from perceptio.nano.attention import DEPTH, SAID, SEEN
from perceptio.pipeline import Perceptio
from perceptio.tokens import Order, Switch, build_target, parse

SIDE = 64
TURNS = (
    Turn("Segment all cubes.", "Here are <p>all cubes</p>.", "plural", masks=(2, 1)),
    Turn("Depth?", "Here.", "depth", depth=True),
    Turn("How many?", "There are 2.", "counting", target="2"),
)


def record(turns: tuple[Turn, ...] = TURNS, **changes: Any) -> Sample:
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[:20, :20], ids[30:, 30:] = 1, 2
    whole = Sample("test/0", np.zeros((SIDE, SIDE, 3), np.uint8), turns, IdMap(ids), np.zeros((SIDE, SIDE), np.float32))
    return replace(whole, **changes)


def pack(
    tiny: Perceptio,
    item: Sample,
    explicit: float = 0.0,
    seed: int = 0,
    length: int = 0,
    order: Order = "spans_first",
    supervision: Supervision | None = None,
) -> PackedRow:
    config = tiny.model.config
    return pack_sample(
        item,
        tiny.processor,
        replace(config.vocabulary, order=order),
        np.random.default_rng(seed),
        depth_size=config.depth.image_size,
        explicit=explicit,
        length=length,
        supervision=supervision,
    )


def looks(row: PackedRow, guide: int) -> list[tuple[int, int]]:
    """The positions of words under one guide, and those they look at."""
    return [(place, column) for kind, place, column in row.gazes if kind == guide]


def word(tiny: Perceptio, row: PackedRow, place: int) -> str:
    """What a position holds, without spaces."""
    return str(tiny.processor.tokenizer.decode([row.input_ids[place]])).replace(" ", "")


def test_turns_that_do_not_fit_are_left_out_but_never_the_first(tiny: Perceptio) -> None:
    whole = pack(tiny, record())
    sizes = np.bincount([branch for branch in whole.branch_ids if branch >= 0])
    full = len(whole.input_ids)
    assert pack(tiny, record(), length=full).input_ids == whole.input_ids
    shorter = pack(tiny, record(), length=full - 1)
    assert len(shorter.input_ids) == full - sizes[3]
    without_depth = pack(tiny, record(), length=int(full - sizes[2]))
    assert without_depth.answer_has_span == [False, False]
    assert without_depth.spans == []
    assert max(without_depth.branch_ids) == 2
    alone = pack(tiny, record(), length=1)
    assert len(alone.input_ids) == sizes[0] + sizes[1]
    assert len(alone.masks) == 2


@pytest.mark.parametrize("order", get_args(Order))
def test_each_branch_is_the_question_and_the_target_that_the_grammar_builds(tiny: Perceptio, order: Order) -> None:
    row, vocabulary = pack(tiny, record(), order=order), replace(tiny.model.config.vocabulary, order=order)
    prefix = tiny.processor.prefix_ids()
    branches = np.array(row.branch_ids)
    for number, turn in enumerate(TURNS):
        codes = [0] * vocabulary.tokens_per_map if turn.depth else None
        # a line's end takes up what is told of the last [SEG], where no depth span stands between it and the words
        line = "\n" if turn.masks and not turn.depth and order == "spans_first" else ""
        answer = build_target(vocabulary, len(turn.masks), codes, tiny.processor.answer_ids(line + turn.answer))
        question = tiny.processor.question_ids(turn.question)
        here = np.flatnonzero(branches == number + 1)
        assert [row.input_ids[k] for k in here] == question + answer[:-1]
        assert [row.targets[k] for k in here if row.targets[k] != IGNORED] == answer
        assert not parse(vocabulary, answer).malformed
        weights = [row.weights[k] for k in here if row.targets[k] == vocabulary.end_of_text]
        assert weights == [TokenWeights().end]
        assert [row.position_ids[k] for k in here] == list(range(len(prefix), len(prefix) + len(here)))


def test_each_target_is_the_next_input_of_its_branch(tiny: Perceptio) -> None:
    row = pack(tiny, record())
    for place, target in enumerate(row.targets[:-1]):
        if target != IGNORED and row.branch_ids[place + 1] == row.branch_ids[place]:
            assert row.input_ids[place + 1] == target


@pytest.mark.parametrize("order", get_args(Order))
def test_segments_spans_and_masks_are_where_they_say(tiny: Perceptio, order: Order) -> None:
    item = record()
    row, vocabulary = pack(tiny, item, order=order), tiny.model.config.vocabulary
    assert [row.input_ids[place] for place in row.segments] == [vocabulary.seg] * 2
    assert [row.input_ids[place] for place in row.spans] == [vocabulary.depth_start]
    assert row.answer_has_span == [False, True, False]
    side = tiny.processor.sam_image_size
    shares = [mask.mean() for mask in row.masks]
    assert all(mask.shape == (side, side) for mask in row.masks)
    assert shares == pytest.approx([(34 / 64) ** 2, (20 / 64) ** 2], abs=0.02)


def test_what_one_phrase_names_comes_in_any_order_and_is_one_group(tiny: Perceptio) -> None:
    listed = Turn("Segment all.", "Here are <p>all cubes</p>.", "plural", masks=(1, 2))
    apart = Turn("Segment both.", "Here are <p>a cube</p> and <p>a cone</p>.", "caption", masks=(1, 2))
    one = Turn("Segment the cube.", "Here is <p>the cube</p>.", "referring", masks=(2,))
    rows = [pack(tiny, record((listed, apart, one)), seed=seed) for seed in range(8)]
    assert all(row.groups == [0, 0, 0, 1, 0] for row in rows)
    partly = Turn("More cubes?", "There are <p>2 cubes and 0 cones</p>.", "comparison", masks=(1, 2, ABSENT))
    assert pack(tiny, record((partly,))).groups == [0, 1, 2]  # what is not there has its place
    orders = [[bool(mask[0, 0]) for mask in row.masks] for row in rows]  # whether each is the first object's
    assert {tuple(order[:2]) for order in orders} == {(True, False), (False, True)}
    assert all(order[2:] == [True, False, False] for order in orders)
    assert collate(rows[:2], padding=0)["groups"].tolist() == [0, 0, 0, 1, 0] * 2


def test_what_numbers_alone_tell_apart_comes_in_any_order_within_its_kind(tiny: Perceptio) -> None:
    answer = "<p>cone 1</p>, <p>cube 1</p>, <p>cube 2</p>."
    item = record((Turn("More?", answer, "comparison", masks=(2, 1, 2)),))
    rows = [pack(tiny, item, seed=seed) for seed in range(8)]
    assert all(row.groups == [0, 1, 1] for row in rows)
    orders = {tuple(bool(mask[0, 0]) for mask in row.masks) for row in rows}
    assert orders == {(False, True, False), (False, False, True)}


def test_collating_pads_and_counts_answers_through_the_batch(tiny: Perceptio) -> None:
    rows = [pack(tiny, record(TURNS[:1])), pack(tiny, record())]
    batch = collate(rows, padding=0)
    short = len(rows[0].input_ids)
    assert (batch["branch_ids"][0, short:] == -1).all()
    assert (batch["targets"][0, short:] == IGNORED).all()
    assert sorted(set(batch["answer_ids"].flatten().tolist())) == [-1, 0, 1, 2, 3]
    assert batch["answer_has_span"].tolist() == [False, False, True, False]
    assert batch["segments"][:, 0].tolist() == [0, 0, 1, 1]
    assert len(batch["masks"]) == 4


@pytest.mark.parametrize("order", get_args(Order))
def test_gazes_stand_at_the_words_about_a_mark(tiny: Perceptio, order: Order) -> None:
    turns = (*TURNS[:2], Turn("Which?", "A at 3,4. Point A.", "marks", depth=True))
    item = record(turns, marks=(Mark("A", 60, 10, 0.0),))
    row = pack(tiny, item, order=order)
    seen = looks(row, SEEN)
    assert "".join(word(tiny, row, place) for place, _ in seen) == "Aat3,4A"
    assert {row.branch_ids[place] for place, _ in seen} == {3}
    grid = int(tiny.processor.image_seq_length**0.5)
    *chain, last, verdict = [column for _, column in seen]
    visual = row.input_ids.index(tiny.processor.image_token_id)
    assert {*chain, verdict} == {visual + 10 * grid // 64 * grid + 60 * grid // 64}
    assert last == 0  # the list ends
    batch = collate([pack(tiny, record(TURNS[1:])), row], padding=0)
    assert batch["gazes"].tolist() == [[guide, 1, place, cell] for guide, place, cell in row.gazes]
    none = collate([pack(tiny, record(TURNS[1:]))], padding=0)["gazes"]
    assert (none.shape, none.dtype) == ((0, 4), torch.int64)


def test_words_about_an_object_look_at_the_input_after_its_segment(tiny: Perceptio) -> None:
    pair = Turn("Which?", "Of <p>it</p> and <p>that</p>.", "nearer", masks=(1, 2), depth=True)
    row = pack(tiny, record((*TURNS[:1], pair)))  # one phrase for two segments, then two
    assert sorted({column for _, column in looks(row, SEEN)}) == [place + 1 for place in row.segments[2:]]
    words = {column: "" for _, column in looks(row, SEEN)}
    for place, column in looks(row, SEEN):
        words[column] += word(tiny, row, place)
    assert list(words.values()) == ["<p>it</p>and", "<p>that</p>"]
    without = pack(tiny, record((pair,)), supervision=Supervision(seg=False))
    assert without.gazes == []
    assert pack(tiny, record((pair,)), order="answer_first").gazes == []  # told only after the words


def test_the_digits_of_a_nearness_look_at_the_code_of_their_cell(tiny: Perceptio) -> None:
    turn = Turn("Which?", "<p>It</p> at 9,4 nearness 57.", "reading", masks=(1,), depth=True)
    row, vocabulary = pack(tiny, record((turn,))), tiny.model.config.vocabulary
    seen = looks(row, DEPTH)
    assert "".join(word(tiny, row, place) for place, _ in seen) == "nearness5"
    side = int(vocabulary.tokens_per_map**0.5)
    (column,) = {column for _, column in seen}
    assert column - row.spans[0] - 1 == 95 * side // 100 * side + 45 * side // 100
    assert not looks(pack(tiny, record((replace(turn, depth=False),))), DEPTH)
    assert not looks(pack(tiny, record((turn,)), order="answer_first"), DEPTH)


@pytest.mark.parametrize("order", get_args(Order))
def test_words_said_before_look_there_where_they_are_predicted(tiny: Perceptio, order: Order) -> None:
    turn = Turn("  The cone or the cube?", "<p>The cone</p> is green. The cone.", "nearer", target="the cone")
    row = pack(tiny, record((turn,)), order=order)
    pairs = looks(row, SAID)
    repeated = [tiny.processor.tokenizer.decode([row.targets[place]]) for place, _ in pairs]
    assert "".join(repeated).replace(" ", "") == "TheconeThecone"
    half = len(pairs) // 2
    question, answer = tiny.processor.question_ids(turn.question), len(tiny.processor.prefix_ids())
    assert [column for _, column in pairs[:half]] == list(range(answer + 1, answer + 1 + half))  # after its line's end
    end, *others = [column for _, column in pairs[half:]]
    assert word(tiny, row, end + 1) == "."
    assert others == [place + 1 for place, _ in pairs[1:half]]  # where those words are read
    assert min(end, *others) >= answer + len(question)


def test_a_batch_without_masks_still_has_the_field(tiny: Perceptio) -> None:
    batch = collate([pack(tiny, record(TURNS[2:]))], padding=0)
    assert batch["masks"].shape[0] == 0
    assert batch["segments"].shape == (0, 2)
    assert (batch["groups"].shape, batch["groups"].dtype) == ((0,), torch.int64)


def test_the_telling_word_weighs_most_and_the_end_least(tiny: Perceptio) -> None:
    turn = Turn("?", "A at 1,2 nearness 30; B at 3,4 nearness 50. Point B.", "marks", target="B")
    ids, weights, _ = text_weights(turn, tiny.processor, TokenWeights())
    assert len(ids) == len(weights)
    heavy = [place for place, weight in enumerate(weights) if weight == TokenWeights().telling]
    said = tiny.processor.tokenizer.decode([ids[place] for place in heavy])
    assert said.strip() == "B"
    assert heavy[-1] > len(ids) - 4  # the verdict, not the chain
    row = pack(tiny, record((turn,)))
    assert row.weights[-1] == TokenWeights().end


def test_what_is_not_taught_is_not_written_and_the_questions_say_so(tiny: Perceptio) -> None:
    full = pack(tiny, record(), explicit=0.5)
    for seg, depth in ((True, False), (False, True), (False, False)):
        row = pack(tiny, record(), explicit=0.5, supervision=Supervision(seg, depth))
        assert len(row.segments) == len(row.masks) == len(row.groups) == (len(full.segments) if seg else 0)
        assert row.answer_has_span == ([has and depth for has in full.answer_has_span])
        said = tiny.processor.tokenizer.decode(row.input_ids)
        assert said.count("depth=off]") == len(TURNS) or depth
        assert said.count("seg=off") == len(TURNS) or seg
        for turn in TURNS:
            assert turn.question in said


def test_equal_weights_weigh_every_token_alike(tiny: Perceptio) -> None:
    row = pack(tiny, record(), supervision=Supervision(weights=TokenWeights(1, 1, 1, 1, 1)))
    assert {weight for weight, target in zip(row.weights, row.targets, strict=True) if target != IGNORED} == {1}


def test_switches_change_the_spans_they_name() -> None:
    rng = np.random.default_rng(0)
    turn = Turn("?", "Of <p>x</p> and <p>y</p>, x is nearer.", "nearer", masks=(1, 2), depth=True)
    seen = set()
    for _ in range(200):
        spans = choose_spans(turn, rng, explicit=1.0)
        seen.add((spans.seg, spans.depth))
        assert (spans.masks == ()) == (spans.seg is Switch.OFF)
        assert spans.has_depth == (spans.depth is not Switch.OFF)
    assert len(seen) == 9


def test_an_absent_object_gets_an_empty_mask_and_needs_none(tiny: Perceptio) -> None:
    turn = Turn("Segment the cone.", "There is no <p>cone</p>.", "absent", masks=(ABSENT,))
    row = pack(tiny, record((turn,), masks=None))
    assert len(row.segments) == len(row.masks) == 1
    assert not row.masks[0].any()


def test_a_forced_span_is_never_promised_where_the_record_has_none() -> None:
    turn = Turn("Is there a cone?", "No.", "existence", target="no")
    rng = np.random.default_rng(0)
    for _ in range(100):
        spans = choose_spans(turn, rng, explicit=1.0)
        assert spans.seg is not Switch.ON
        assert spans.depth is not Switch.ON


@pytest.mark.parametrize(
    ("turns", "changes", "message"),
    [
        ((), {}, "no questions"),
        (TURNS[:1], {"masks": None}, "no masks"),
        (TURNS[1:2], {"inverse_depth": None}, "depth map"),
    ],
)
def test_a_record_that_lacks_what_it_needs_is_named(
    tiny: Perceptio, turns: tuple[Turn, ...], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"test/0.*{message}"):
        pack(tiny, record(turns, **changes))


EVERYTHING = Turn("Where?", "Of <p>a</p> and <p>b</p>.", "nearer", masks=(2, 1), depth=True)
NOTHING = Turn("Where?", "There.", "plain")


@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("supervise", [("seg",), ("depth",), ("text",), ("seg", "text"), ("seg", "depth", "text")])
def test_what_is_not_supervised_is_read_but_no_target(
    tiny: Perceptio, order: Order, supervise: tuple[Any, ...]
) -> None:
    whole = pack(tiny, record((EVERYTHING,)), order=order)
    row = pack(tiny, record((replace(EVERYTHING, supervise=supervise),)), order=order)
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


def test_a_span_that_is_neither_there_nor_supervised_is_ruled_out() -> None:
    rng = np.random.default_rng(0)
    for explicit in (0.0, 1.0):
        for _ in range(30):
            spans = choose_spans(replace(NOTHING, supervise=("text",)), rng, explicit)
            assert (spans.seg, spans.depth) == (Switch.OFF, Switch.OFF)
    assert choose_spans(NOTHING, rng, 0.0).seg is Switch.AUTO  # its absence is taught
    there = choose_spans(replace(EVERYTHING, supervise=("text",)), rng, 0.0)
    assert (there.seg, there.depth, there.has_depth) == (Switch.AUTO, Switch.AUTO, True)


def test_masks_by_index_may_overlap(tiny: Perceptio) -> None:
    first, second = np.zeros((2, 30, 40), bool)
    first[5:20, 5:25], second[10:28, 15:35] = True, True
    item = record((EVERYTHING, NOTHING), masks=MaskList((mask_rle(second), mask_rle(first), mask_rle(second))))
    row = pack(tiny, item)
    side = tiny.processor.sam_image_size
    y, x = ((np.arange(side) + 0.5) * np.array([[30], [40]]) / side).astype(int)
    for mask, expected in zip(row.masks, (second, first), strict=True):
        np.testing.assert_array_equal(mask, expected[y][:, x])
    assert (row.masks[0] & row.masks[1]).any()


def test_given_codes_stand_in_for_a_map(tiny: Perceptio) -> None:
    codes = tuple(range(tiny.model.config.vocabulary.tokens_per_map))
    given = record(TURNS[1:2], inverse_depth=None, codes=codes)
    batch = collate([pack(tiny, given), pack(tiny, record())], padding=0)
    assert batch["codes"][0].tolist() == list(codes)
    assert (batch["codes"][1] == -1).all()


@pytest.mark.parametrize(("codes", "message"), [((1, 2), "2 depth codes"), ((99,) * 16, "beyond the model's")])
def test_codes_of_another_model_are_refused(tiny: Perceptio, codes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"test/0 has .*{message}"):
        pack(tiny, record(TURNS[1:2], codes=codes))
