"""The decoding loop against brute force: a whole forward pass for every token, without a cache and without padding."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from perceptio.decoding.engine import Generation, decode, decode_steps
from perceptio.decoding.grammar import SpatialGrammar
from perceptio.decoding.options import DecodingOptions, check_context
from perceptio.decoding.reading import prefill
from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.pointer import Draw, Pointed
from perceptio.tokens import Switch, parse

OFF, AUTO, ON = Switch.OFF, Switch.AUTO, Switch.ON
PROMPTS = ("hello", "Segment the small green cone.", "Which point is nearer, A or B? Give the letter alone.")
BUDGET = 45


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8))


def run(
    tiny: Perceptio,
    prompts: Sequence[str],
    options: DecodingOptions,
    images: Sequence[Image.Image] | None = None,
    index: Sequence[int] | None = None,
    draw: Draw | None = None,
) -> list[Generation]:
    tokens = tiny.processor.tokens(prompts, options.seg, options.depth)
    pixels, _ = tiny.processor.pixels(images or [picture(row) for row in range(len(prompts))])
    start = prefill(tiny.model, tokens["input_ids"], tokens["attention_mask"], pixels, index)
    return decode(tiny.model, start, options, draw)


def states_at_segments(
    tiny: Perceptio,
    prompts: Sequence[str],
    options: DecodingOptions,
    images: Sequence[Image.Image] | None = None,
    index: Sequence[int] | None = None,
) -> tuple[list[Generation], list[Tensor]]:
    """What is written, and by row the states (S, D) at its `[SEG]` tokens, as whoever draws the masks is given them."""
    given: list[list[Tensor]] = [[] for _ in prompts]

    def draw(rows: Tensor, states: Tensor, pointed: Pointed | None) -> MaskPrediction:
        for row, state in zip(rows.tolist(), states, strict=True):
            given[row].append(state)
        return MaskPrediction(torch.zeros(len(rows), 16, 16), torch.ones(len(rows)), torch.full((len(rows),), -1.0))

    found = run(tiny, prompts, options, images, index, draw)
    return found, [torch.stack(states) if states else torch.zeros(0, 64) for states in given]


def single(seg: Switch, depth: Switch, budget: int | None = BUDGET, **rest: Any) -> DecodingOptions:
    return DecodingOptions((seg,), (depth,), max_new_tokens=budget, **rest)


def positions_by_hand(tiny: Perceptio, ids: list[int]) -> Tensor:
    """(1, T): in order, but the tokens that predict the 16 codes of a 4 x 4 grid stand on the 8 x 8 visual tokens."""
    vocabulary, config = tiny.model.config.vocabulary, tiny.model.config.vlm
    assert (vocabulary.tokens_per_map, config.image_seq_length) == (16, 64)
    places = list(range(len(ids)))
    if vocabulary.depth_start in ids:
        start, image = ids.index(vocabulary.depth_start), ids.index(config.image_token_id)
        end = ids.index(vocabulary.depth_end) if vocabulary.depth_end in ids else len(ids)
        for cell, place in enumerate(range(start, min(start + 16, end))):
            row, column = divmod(cell, 4)
            places[place] = image + (2 * row + 1) * 8 + 2 * column + 1
    return torch.tensor([places])


@torch.no_grad()
def whole_forward(tiny: Perceptio, ids: Tensor, pixels: Tensor, places: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """States (1, T, D) of transformers' own forward, begun again after each `[SEG]`, whose state says what comes next;
    and (64,) the cells that are covered by then: where one has pointed the next does not.

    The mask is given: without it transformers takes positions that step back for several packed sequences.
    """
    vlm, model = tiny.model.vlm, tiny.model
    seen = vlm.get_image_features(pixel_values=pixels, return_dict=True).pooler_output
    image = ids[0] == vlm.config.image_token_id
    embeddings = vlm.get_input_embeddings()(ids)
    embeddings[0, image] = seen[0]

    def forward() -> Tensor:
        return vlm.model(
            inputs_embeds=embeddings, attention_mask=torch.ones_like(ids), position_ids=places, use_cache=False
        ).last_hidden_state

    states, covered = forward(), torch.zeros(64)
    for place in (ids[0] == model.config.vocabulary.seg).nonzero().flatten().tolist():
        visual = states[0, image]
        cells = search_by_hand(tiny, model.pointer.query, states[0, place], visual, covered)
        covered[cells.argmax()] = 1
        if place + 1 < ids.shape[1]:
            row, column = divmod(int(cells.argmax()), 8)
            near = torch.zeros(8, 8)
            near[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = 1
            weights = near.flatten() * cells.exp()
            region = weights / weights.sum() @ seen[0]
            size = model.pointer.region_gain * seen[0].square().mean().sqrt()
            embeddings[0, place + 1] += size * region / region.square().mean().sqrt()
            states = forward()
    return states, covered


def search_by_hand(tiny: Perceptio, query: nn.Linear, state: Tensor, visual: Tensor, covered: Tensor) -> Tensor:
    """Logits (64,) of the cells that a state (D,) searches for, less where they are covered."""
    asked = query.weight @ (state / state.square().mean().sqrt())
    keys = (visual / visual.square().mean(1, keepdim=True).sqrt()) @ tiny.model.pointer.key.weight.T
    return keys @ asked / len(asked) ** 0.5 - math.log1p(math.exp(8)) * covered


@torch.no_grad()
def brute_force(tiny: Perceptio, prompt: str, image: Image.Image, options: DecodingOptions) -> list[int]:
    """Greedy decoding by transformers' own forward over everything written so far."""
    ids = tiny.processor.tokens([prompt], options.seg, options.depth)["input_ids"]
    pixels, _ = tiny.processor.pixels([image])
    vocabulary, length = tiny.model.config.vocabulary, ids.shape[1]
    visual = ids == tiny.model.config.vlm.image_token_id
    most = options.text_budget(vocabulary)
    grammar = SpatialGrammar(vocabulary, length, options.seg, options.depth, max_text=most)
    for _ in range(options.budget(vocabulary)):
        places = positions_by_hand(tiny, ids[0].tolist())
        states, covered = whole_forward(tiny, ids, pixels, places)
        scores = tiny.model.vlm.lm_head(states[:, -1]).float()
        if ids[0, -1] == vocabulary.seg:
            seen = states[0, :length][visual[0, :length]]
            scores[0, vocabulary.seg] += continue_logit_by_hand(tiny, states[0, -1], seen, covered)
        if options.constrained:
            scores = grammar(ids, scores)
        ids = torch.cat([ids, scores.argmax(-1, keepdim=True)], dim=1)
        if int(ids[0, -1]) == vocabulary.end_of_text:
            break
    return [int(token) for token in ids[0, length:]]


def continue_logit_by_hand(tiny: Perceptio, state: Tensor, visual: Tensor, covered: Tensor) -> Tensor:
    """What the search for the next object adds to the logit of `[SEG]`."""
    pointer = tiny.model.pointer
    cells = search_by_hand(tiny, pointer.next_query, state, visual, covered)
    return pointer.continuation[0] * (cells.max() - cells.mean() - pointer.continuation[1])


@torch.no_grad()
def teacher_forced_states(tiny: Perceptio, prompt: str, image: Image.Image, ids: Sequence[int], seg: Switch) -> Tensor:
    question = tiny.processor.tokens([prompt], seg, OFF)["input_ids"]
    pixels, _ = tiny.processor.pixels([image])
    whole = torch.cat([question, torch.tensor([list(ids)])], dim=1)
    states = whole_forward(tiny, whole, pixels)[0][0]
    written = torch.tensor(list(ids)) == tiny.model.config.vocabulary.seg
    return states[question.shape[1] :][written]


@pytest.mark.parametrize("seg", [OFF, ON])
@pytest.mark.parametrize("depth", [OFF, ON])
def test_cached_decoding_equals_a_full_forward_for_each_token(tiny: Perceptio, seg: Switch, depth: Switch) -> None:
    options = single(seg, depth)
    found = run(tiny, PROMPTS[1:2], options, [picture(3)])[0]
    assert list(found.ids) == brute_force(tiny, PROMPTS[1], picture(3), options)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_free_decoding_equals_a_full_forward_for_each_token(tiny: Perceptio, prompt: str) -> None:
    options = single(AUTO, AUTO, constrained=False)
    assert list(run(tiny, [prompt], options, [picture(1)])[0].ids) == brute_force(tiny, prompt, picture(1), options)


def test_rows_of_a_batch_equal_the_same_questions_alone(tiny: Perceptio) -> None:
    segs, depths = (OFF, ON, AUTO), (ON, OFF, AUTO)
    together, states = states_at_segments(tiny, PROMPTS, DecodingOptions(segs, depths, max_new_tokens=BUDGET))
    lengths = tiny.processor.tokens(PROMPTS, segs, depths)["attention_mask"].sum(1)
    assert len(set(lengths.tolist())) == 3  # so two rows are padded
    for row, prompt in enumerate(PROMPTS):
        (alone,), (own,) = states_at_segments(tiny, [prompt], single(segs[row], depths[row]), [picture(row)])
        assert together[row].ids == alone.ids
        torch.testing.assert_close(states[row], own, rtol=1e-4, atol=1e-4)


def test_rows_end_with_the_end_of_text_and_write_nothing_after_it(tiny: Perceptio) -> None:
    options = DecodingOptions((OFF,) * 3, (OFF,) * 3)
    tokens = tiny.processor.tokens(PROMPTS, options.seg, options.depth)
    pixels, _ = tiny.processor.pixels([picture(row) for row in range(3)])
    start = prefill(tiny.model, tokens["input_ids"], tokens["attention_mask"], pixels)
    steps = list(decode_steps(tiny.model, start, options))
    end = tiny.model.config.vocabulary.end_of_text
    lengths = []
    for row in range(3):
        written = [step.tokens.get(row, (None,))[0] for step in steps]
        lengths.append(written.index(end) + 1 if end in written else len(written))
        assert None not in written[: lengths[-1]]
        assert set(written[lengths[-1] :]) <= {None}
    assert min(lengths) < max(lengths)  # so at least one row waited for another
    assert len(steps) == max(lengths)


def test_decoding_stops_once_every_row_has_ended(tiny: Perceptio) -> None:
    options = single(OFF, OFF, None)
    ended = [run(tiny, [prompt], options, [picture(seed)])[0].ids for prompt in PROMPTS for seed in range(3)]
    short = [ids for ids in ended if len(ids) < options.budget(tiny.model.config.vocabulary)]
    assert short
    assert {ids[-1] for ids in short} == {tiny.model.config.vocabulary.end_of_text}
    assert all(ids.count(tiny.model.config.vocabulary.end_of_text) == 1 for ids in short)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_state_at_seg_is_that_of_a_forward_over_the_finished_sequence(tiny: Perceptio, prompt: str) -> None:
    (found,), (states,) = states_at_segments(tiny, [prompt], single(ON, OFF), [picture(5)])
    expected = teacher_forced_states(tiny, prompt, picture(5), found.ids, ON)
    assert len(expected) >= 1
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-4)


def test_state_of_a_seg_that_spends_the_budget_is_there_too(tiny: Perceptio) -> None:
    seg = tiny.model.config.vocabulary.seg
    for seed in range(40):
        options, images = single(AUTO, OFF, constrained=False), [picture(seed)]
        (free,), (expected,) = states_at_segments(tiny, PROMPTS[1:2], options, images)
        if seg in free.ids:
            break
    budget = free.ids.index(seg) + 1
    options = single(AUTO, OFF, budget, constrained=False)
    (cut,), (states,) = states_at_segments(tiny, PROMPTS[1:2], options, images)
    assert cut.ids == free.ids[:budget]
    torch.testing.assert_close(states, expected[:1], rtol=1e-4, atol=1e-4)


def test_what_a_mask_covers_is_not_pointed_at_again(tiny: Perceptio) -> None:
    side = 16
    left = torch.zeros(side, side, dtype=torch.bool)
    left[:, : side // 2] = True
    asked: list[Tensor] = []
    given: list[Tensor] = []

    def draw(rows: Tensor, states: Tensor, pointed: Pointed | None) -> MaskPrediction:
        """The left half, then the whole picture, then nothing that is there."""
        assert pointed is not None
        asked.append(pointed.cells)
        given.append(states)
        mask = left if len(asked) == 1 else torch.ones_like(left)
        sure = torch.full((len(rows),), -1.0 if len(asked) == 3 else 1.0)
        return MaskPrediction((mask.float() - 0.5).expand(len(rows), -1, -1), torch.ones(len(rows)), sure)

    model = copy.deepcopy(tiny.model)
    with torch.no_grad():
        model.pointer.continuation[1] = -1e6  # there is always more
    greedy, options = Perceptio(model, tiny.processor), single(ON, OFF, max_segments=4)
    found, plain = run(greedy, PROMPTS[:1], options, draw=draw)[0], run(greedy, PROMPTS[:1], options)[0]
    assert len(found.masks) == len(asked) == 4
    assert plain.masks == ()
    tokens, (pixels, _) = tiny.processor.tokens(PROMPTS[:1], (ON,), (OFF,)), tiny.processor.pixels([picture(0)])
    visual = prefill(model, tokens["input_ids"], tokens["attention_mask"], pixels).visual_states
    covers = [torch.zeros(8, 8), *(torch.ones(8, 8) for _ in range(3))]  # all after the second
    covers[1][:, 4:] = 0
    covers[1].view(-1)[asked[0].argmax()] = 1
    for state, cells, covered in zip(given, asked, covers, strict=True):
        torch.testing.assert_close(cells, model.pointer.cells(state, visual, covered.reshape(1, 64)))


def test_constrained_answers_are_well_formed(tiny: Perceptio) -> None:
    switches = [(seg, depth) for seg in (OFF, AUTO, ON) for depth in (OFF, AUTO, ON)]
    options = DecodingOptions(tuple(seg for seg, _ in switches), tuple(depth for _, depth in switches))
    found = run(tiny, [PROMPTS[2]] * len(switches), options)
    for (seg, depth), generation in zip(switches, found, strict=True):
        parsed = parse(tiny.model.config.vocabulary, generation.ids)
        assert [str(item) for item in parsed.malformed if "end of text" not in str(item)] == []
        assert len(parsed.segments) >= (seg is ON)
        assert not (seg is OFF and parsed.segments)
        assert not (depth is OFF and parsed.codes)
        assert not (depth is ON and parsed.codes is None)


@pytest.fixture
def answer_first(tiny: Perceptio) -> Iterator[Perceptio]:
    """The same model, told to answer before its spatial tokens."""
    tiny.model.config.order = "answer_first"
    yield tiny
    tiny.model.config.order = "spans_first"


@pytest.fixture
def interleaved(tiny: Perceptio) -> Iterator[Perceptio]:
    """The same model, told to write [SEG] in its text."""
    pointer, tiny.model.pointer = tiny.model.pointer, None
    tiny.model.config.order = "interleaved"
    yield tiny
    tiny.model.config.order, tiny.model.pointer = "spans_first", pointer


@pytest.mark.parametrize("budget", [None, 40])
def test_constrained_interleaved_answers_are_well_formed_and_have_what_is_due(
    interleaved: Perceptio, budget: int | None
) -> None:
    switches = [(seg, depth) for seg in (OFF, AUTO, ON) for depth in (OFF, AUTO, ON)]
    segs, depths = zip(*switches, strict=True)
    options = DecodingOptions(segs, depths, max_segments=3, max_new_tokens=budget)
    found = run(interleaved, [PROMPTS[2]] * len(switches), options)
    for (seg, depth), generation in zip(switches, found, strict=True):
        parsed = parse(interleaved.model.config.vocabulary, generation.ids)
        assert [str(item) for item in parsed.malformed if "end of text" not in str(item)] == []
        assert (seg is ON) <= len(parsed.segments) <= 3 * (seg is not OFF)
        assert (depth is ON) <= (parsed.codes is not None) <= (depth is not OFF)


@pytest.mark.parametrize("seg", [OFF, ON])
@pytest.mark.parametrize("depth", [OFF, ON])
def test_decoding_with_the_answer_first_equals_a_full_forward_for_each_token(
    answer_first: Perceptio, seg: Switch, depth: Switch
) -> None:
    options = single(seg, depth)
    found = run(answer_first, PROMPTS[1:2], options, [picture(3)])[0]
    assert list(found.ids) == brute_force(answer_first, PROMPTS[1], picture(3), options)


@pytest.mark.parametrize("budget", [None, 40])
def test_constrained_answers_that_come_first_are_well_formed_and_always_end(
    answer_first: Perceptio, budget: int | None
) -> None:
    switches = [(seg, depth) for seg in (OFF, AUTO, ON) for depth in (OFF, AUTO, ON)]
    segs, depths = zip(*switches, strict=True)
    vocabulary = answer_first.model.config.vocabulary
    found = run(answer_first, [PROMPTS[2]] * len(switches), DecodingOptions(segs, depths, max_new_tokens=budget))
    for (seg, depth), generation in zip(switches, found, strict=True):
        parsed = parse(vocabulary, generation.ids)
        assert parsed.malformed == ()  # words never use up the room of what is due after them
        assert len(parsed.segments) >= (seg is ON)
        assert (depth is ON) <= (parsed.codes is not None) <= (depth is not OFF)
        words = len(parsed.text_ids)
        assert all(token not in vocabulary.spatial for token in generation.ids[:words])


def test_one_image_for_several_questions_equals_as_many_images(tiny: Perceptio) -> None:
    options = DecodingOptions((AUTO, ON, OFF), (OFF, OFF, ON), max_new_tokens=BUDGET)
    once, states = states_at_segments(tiny, PROMPTS, options, [picture(7), picture(8)], index=[1, 0, 1])
    separate, expected = states_at_segments(tiny, PROMPTS, options, [picture(8), picture(7), picture(8)])
    assert [row.ids for row in once] == [row.ids for row in separate]
    for one, other in zip(states, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_answer_depends_on_the_image(tiny: Perceptio) -> None:
    answers = {run(tiny, PROMPTS[:1], single(ON, ON), [picture(seed)])[0].ids for seed in range(4)}
    assert len(answers) > 1


def test_given_codes_replace_the_model_s_own(tiny: Perceptio) -> None:
    vocabulary = tiny.model.config.vocabulary
    codes = torch.stack([torch.arange(16), torch.arange(15, -1, -1)])
    options = DecodingOptions((OFF, ON), (ON, ON), max_new_tokens=BUDGET, forced_depth=codes)
    found = run(tiny, PROMPTS[:2], options)
    for row, generation in enumerate(found):
        assert parse(vocabulary, generation.ids).codes == tuple(codes[row].tolist())
    free = run(tiny, PROMPTS[:2], DecodingOptions((OFF, ON), (ON, ON), max_new_tokens=BUDGET))
    # what follows the codes was written in their light
    assert [row.ids[-20:] for row in found] != [row.ids[-20:] for row in free]


def test_the_model_s_own_codes_given_back_change_nothing(tiny: Perceptio) -> None:
    own = run(tiny, PROMPTS[:1], single(OFF, ON))[0]
    codes = torch.tensor([parse(tiny.model.config.vocabulary, own.ids).codes])
    assert run(tiny, PROMPTS[:1], single(OFF, ON, forced_depth=codes))[0].ids == own.ids


def test_given_codes_leave_an_answer_without_a_span_alone(tiny: Perceptio) -> None:
    codes = torch.zeros(1, 16, dtype=torch.long)
    forced = run(tiny, PROMPTS[2:], single(ON, OFF, forced_depth=codes))[0]
    assert forced.ids == run(tiny, PROMPTS[2:], single(ON, OFF))[0].ids


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [
        (torch.zeros(1, 15, dtype=torch.long), r"needs 16 codes for each of 1 rows, .*\(1, 15\)"),
        (torch.zeros(2, 16, dtype=torch.long), r"needs 16 codes for each of 1 rows, .*\(2, 16\)"),
        (torch.full((1, 16), 16), r"must lie in 0\.\.15"),
        (torch.full((1, 16), -1), r"must lie in 0\.\.15"),
    ],
)
def test_given_codes_that_do_not_fit_are_refused(tiny: Perceptio, codes: Tensor, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        run(tiny, PROMPTS[:1], single(OFF, ON, forced_depth=codes))


@pytest.mark.parametrize(
    ("seg", "depth", "constrained", "least"),
    [(OFF, OFF, True, 1), (OFF, AUTO, True, 19), (AUTO, OFF, True, 17), (ON, ON, True, 35),
     (ON, ON, False, 1)],
)  # fmt: skip
def test_smallest_budget_holds_what_the_switches_allow(
    tiny: Perceptio, seg: Switch, depth: Switch, constrained: bool, least: int
) -> None:
    vocabulary = tiny.model.config.vocabulary
    assert single(seg, depth, least, constrained=constrained).budget(vocabulary) == least
    with pytest.raises(ValueError, match=rf"max_new_tokens={least - 1} is too small: .* need {least};"):
        single(seg, depth, least - 1, constrained=constrained).budget(vocabulary)


def test_answer_never_exceeds_its_budget(tiny: Perceptio) -> None:
    assert all(len(row.ids) <= 19 for row in run(tiny, PROMPTS, DecodingOptions((OFF,) * 3, (ON,) * 3, True, 16, 19)))


def test_each_row_has_a_budget_of_its_own(tiny: Perceptio) -> None:
    segs, depths, most = (OFF, ON, AUTO), (ON, OFF, OFF), (30, None, 18)
    together = run(tiny, PROMPTS, DecodingOptions(segs, depths, max_new_tokens=most))
    for row, each in enumerate(zip(segs, depths, most, strict=True)):
        alone = run(tiny, [PROMPTS[row]], single(*each), [picture(row)])
        assert together[row].ids == alone[0].ids


@pytest.mark.parametrize("depth", [OFF, ON])
def test_a_row_that_nobody_waits_for_ends_and_changes_no_other(tiny: Perceptio, depth: Switch) -> None:
    options = DecodingOptions((ON,) * 3, (depth,) * 3, max_new_tokens=BUDGET)
    expected = run(tiny, PROMPTS, options)
    tokens = tiny.processor.tokens(PROMPTS, options.seg, options.depth)
    pixels, _ = tiny.processor.pixels([picture(row) for row in range(3)])
    start = prefill(tiny.model, tokens["input_ids"], tokens["attention_mask"], pixels)
    left: set[int] = set()
    written: list[list[int]] = [[], [], []]
    for number, step in enumerate(decode_steps(tiny.model, start, options, dropped=left.__contains__)):
        assert not left & set(step.tokens)
        for row, ids in step.tokens.items():
            written[row] += ids
        if number == 1:
            left.add(1)
    assert 0 < len(written[1]) < len(expected[1].ids)
    for row in (0, 2):
        assert tuple(written[row]) == expected[row].ids


def test_default_budget_has_room_for_all_parts(tiny: Perceptio) -> None:
    assert single(ON, ON, None).budget(tiny.model.config.vocabulary) == 16 + 2 + 16 + 192


def test_prompt_that_leaves_no_room_names_the_numbers(tiny: Perceptio) -> None:
    check_context(tiny.model, 924, single(OFF, OFF, 100))
    with pytest.raises(ValueError, match=r"925 tokens .* holds 1,024 of which the answer keeps 100, so at most 924"):
        check_context(tiny.model, 925, single(OFF, OFF, 100))
    with pytest.raises(ValueError, match=r"max_new_tokens=2000 is too large: the model's context holds 1,024"):
        run(tiny, PROMPTS[:1], single(OFF, OFF, 2000))


def test_switches_must_be_as_many_as_prompts(tiny: Perceptio) -> None:
    tokens = tiny.processor.tokens(PROMPTS[:1], OFF, OFF)
    pixels, _ = tiny.processor.pixels([picture(0)])
    start = prefill(tiny.model, tokens["input_ids"], tokens["attention_mask"], pixels)
    with pytest.raises(ValueError, match="1 prompts need 1 switches, got 2 seg and 1 depth"):
        decode(tiny.model, start, DecodingOptions((OFF, OFF), (OFF,)))
