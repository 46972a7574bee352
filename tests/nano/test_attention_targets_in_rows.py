"""Attention targets of whole packed rows: which positions look, and which are looked at."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from perceptio.data.packing import PackedRow, collate, pack_sample
from perceptio.data.schema import IdMap, Mark, Sample, Turn
from perceptio.data.supervision import Supervision
from perceptio.nano.attention import DEPTH, KINDS, SAID, SEEN
from perceptio.nano.attention_targets import attention_targets
from perceptio.nano.objective import with_supervision
from perceptio.pipeline import Perceptio
from perceptio.scenes.contact_sheet import fresh_scenes
from perceptio.scenes.samples import build_sample
from perceptio.tokens import Order

SIDE = 64
TURNS = (
    Turn("Segment all cubes.", "Here are <p>all cubes</p>.", "plural", masks=(2, 1)),
    Turn("Depth?", "Here.", "depth", depth=True),
    Turn("How many?", "There are 2.", "counting", target="2"),
)
Pairs = list[tuple[int, int]]


def sample_of(turns: tuple[Turn, ...], marks: tuple[Mark, ...] = ()) -> Sample:
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[:20, :20], ids[30:, 30:] = 1, 2
    image, depth = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.float32)
    return Sample(image, turns, "test/0", IdMap(ids), depth, marks=marks)


def packed(
    tiny: Perceptio, sample: Sample, order: Order = "spans_first", supervision: Supervision | None = None
) -> tuple[PackedRow, list[tuple[int, int, int]]]:
    """A row and its targets: kind, position, and the position to look at."""
    config = deepcopy(tiny.model.config)
    config.order = order
    row = pack_sample(sample, tiny.processor, config, np.random.default_rng(0), supervision=supervision)
    return row, attention_targets(sample, row, config)


def of_kind(kind: int, found: tuple[PackedRow, list[tuple[int, int, int]]]) -> tuple[PackedRow, Pairs]:
    """A row, and where the words of one kind of target stand and look."""
    row, targets = found
    return row, [(place, column) for each, place, column in targets if each == kind]


def word(tiny: Perceptio, row: PackedRow, place: int) -> str:
    """What a position holds, without spaces."""
    return str(tiny.processor.tokenizer.decode([row.input_ids[place]])).replace(" ", "")


@pytest.mark.parametrize("order", get_args(Order))
def test_words_about_a_mark_look_at_its_visual_token(tiny: Perceptio, order: Order) -> None:
    turns = (*TURNS[:2], Turn("Which?", "A at 3,4. Point A.", "marks", depth=True))
    row, seen = of_kind(SEEN, packed(tiny, sample_of(turns, marks=(Mark("A", 60, 10, 0.0),)), order))
    assert "".join(word(tiny, row, place) for place, _ in seen) == "Aat3,4A"
    assert {row.branch_ids[place] for place, _ in seen} == {3}
    grid = int(tiny.processor.image_seq_length**0.5)
    *chain, last, verdict = [column for _, column in seen]
    visual = row.input_ids.index(tiny.processor.image_token_id)
    assert {*chain, verdict} == {visual + 10 * grid // 64 * grid + 60 * grid // 64}
    assert last == 0  # the list ends


def test_a_batch_has_the_targets_of_its_rows_with_the_number_of_the_row(tiny: Perceptio) -> None:
    turn = Turn("Which?", "A at 3,4. Point A.", "marks", depth=True)
    row, targets = packed(tiny, sample_of((turn,), marks=(Mark("A", 60, 10, 0.0),)))
    other, none = packed(tiny, sample_of(TURNS[1:]))
    assert targets
    assert not none
    batch = with_supervision(collate([other, row], padding=0), [none, targets], [{}, {}], [None, None])
    found = batch["attention_targets"]
    assert found.tolist() == [[kind, 1, place, column] for kind, place, column in targets]
    empty = with_supervision(collate([other], padding=0), [none], [{}], [None])["attention_targets"]
    assert (empty.shape, empty.dtype) == ((0, 4), torch.int64)


def test_words_about_an_object_look_at_the_input_after_its_segment(tiny: Perceptio) -> None:
    pair = Turn("Which?", "Of <p>it</p> and <p>that</p>.", "nearer", masks=(1, 2), depth=True)
    row, seen = of_kind(SEEN, packed(tiny, sample_of((*TURNS[:1], pair))))  # one phrase for two segments, then two
    assert sorted({column for _, column in seen}) == [place + 1 for place in row.segments[2:]]
    words = {column: "" for _, column in seen}
    for place, column in seen:
        words[column] += word(tiny, row, place)
    assert list(words.values()) == ["<p>it</p>and", "<p>that</p>"]
    assert packed(tiny, sample_of((pair,)), supervision=Supervision(seg=False))[1] == []
    assert packed(tiny, sample_of((pair,)), "answer_first")[1] == []  # the region feature comes only after the words


def test_the_digits_of_a_nearness_look_at_the_code_of_their_cell(tiny: Perceptio) -> None:
    turn = Turn("Which?", "<p>It</p> at 9,4 nearness 57.", "reading", masks=(1,), depth=True)
    row, seen = of_kind(DEPTH, packed(tiny, sample_of((turn,))))
    assert "".join(word(tiny, row, place) for place, _ in seen) == "nearness5"
    side = int(tiny.model.config.vocabulary.tokens_per_map**0.5)
    (column,) = {column for _, column in seen}
    assert column - row.spans[0] - 1 == 95 * side // 100 * side + 45 * side // 100
    assert not of_kind(DEPTH, packed(tiny, sample_of((replace(turn, depth=False),))))[1]
    assert not of_kind(DEPTH, packed(tiny, sample_of((turn,)), "answer_first"))[1]


@pytest.mark.parametrize("order", get_args(Order))
def test_words_said_before_look_there_where_they_are_predicted(tiny: Perceptio, order: Order) -> None:
    turn = Turn("  The cone or the cube?", "<p>The cone</p> is green. The cone.", "nearer", target="the cone")
    row, pairs = of_kind(SAID, packed(tiny, sample_of((turn,)), order))
    repeated = [tiny.processor.tokenizer.decode([row.targets[place]]) for place, _ in pairs]
    assert "".join(repeated).replace(" ", "") == "TheconeThecone"
    half = len(pairs) // 2
    question, answer = tiny.processor.question_ids(turn.question), len(tiny.processor.prefix_ids())
    assert [column for _, column in pairs[:half]] == list(range(answer + 1, answer + 1 + half))  # after its line's end
    end, *others = [column for _, column in pairs[half:]]
    assert word(tiny, row, end + 1) == "."
    assert others == [place + 1 for place, _ in pairs[1:half]]  # where those words are read
    assert min(end, *others) >= answer + len(question)


@pytest.mark.parametrize("order", get_args(Order))
def test_words_look_only_at_what_they_can_see(tiny: Perceptio, order: Order) -> None:
    config = deepcopy(tiny.model.config)
    config.order = order
    kinds = set()
    for number, stored in enumerate(fresh_scenes("test", 16)):
        rng = np.random.default_rng(number)
        sample = build_sample(stored, rng, questions=14)
        row = pack_sample(sample, tiny.processor, config, rng, explicit=0.5)
        for kind, place, column in attention_targets(sample, row, config):
            assert column <= place
            assert row.branch_ids[column] in (0, row.branch_ids[place])
            kinds.add(kind)
    assert kinds == ({*KINDS} if order == "spans_first" else {SEEN, SAID})
