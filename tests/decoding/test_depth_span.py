"""Depth spans in few calls: the codes of greedy decoding, one after the other, whatever the guess and the batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from perceptio.decoding import depth_span
from perceptio.decoding.depth_span import QUICK_CALLS, WIDE, Windows
from perceptio.decoding.engine import Generation, decode
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.reading import prefill
from perceptio.model.parallel_depth import set_depth_decoding
from perceptio.pipeline import Perceptio
from perceptio.tokens import Switch, parse

OFF, AUTO, ON = Switch.OFF, Switch.AUTO, Switch.ON
PROMPTS = ("hello", "Segment the small green cone.", "Which point is nearer, A or B?", "Where is the cube?")
CODES = 16  # in a span of the tiny model


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8))


def run(
    model: Perceptio, options: DecodingOptions, images: list[Image.Image], index: list[int] | None = None
) -> list[Generation]:
    count = len(options.seg)
    tokens = model.processor.tokens([PROMPTS[row % 4] for row in range(count)], options.seg, options.depth)
    start = prefill(
        model.model, tokens["input_ids"], tokens["attention_mask"], model.processor.pixels(images)[0], index
    )
    return decode(model.model, start, options)


def codes_of(model: Perceptio, found: list[Generation]) -> list[tuple[int, ...] | None]:
    return [parse(model.model.config.vocabulary, row.ids).codes for row in found]


@contextmanager
def counted(model: Perceptio) -> Iterator[list[int]]:
    """Tokens a row of each call of the language model."""
    calls: list[int] = []
    hook = model.model.vlm.model.language_model.register_forward_pre_hook(
        lambda _module, _arguments, named: calls.append(named["inputs_embeds"].shape[1]), with_kwargs=True
    )
    try:
        yield calls
    finally:
        hook.remove()


def options(rows: int, seg: Switch = OFF, depth: Switch = ON, **others: Any) -> DecodingOptions:
    return DecodingOptions((seg,) * rows, (depth,) * rows, **{"max_new_tokens": 45, **others})


@pytest.fixture(params=["image", "sequence"])
def either(request: pytest.FixtureRequest, tiny: Perceptio) -> Iterator[Perceptio]:
    """The tiny model, with codes at the places of the picture or one after the other."""
    tiny.model.config.depth_positions = request.param
    yield tiny
    tiny.model.config.depth_positions = "image"


@pytest.mark.parametrize(("batches", "at_least"), [(6, 30), pytest.param(20, 100, marks=pytest.mark.slow)])
def test_many_spans_are_those_of_greedy_decoding(either: Perceptio, batches: int, at_least: int) -> None:
    """In batches whose rows are done at different times, some after one `[SEG]` or more, some without a span."""
    switches = [(OFF, ON), (ON, ON), (AUTO, AUTO), (OFF, ON), (ON, OFF), (AUTO, ON), (OFF, ON), (OFF, ON)]
    segs, depths = zip(*switches, strict=True)
    spans, totals = 0, {"sequential": 0, "exact": 0}
    for batch in range(batches):
        images = [picture(batch * 8 + row) for row in range(8)]
        both = []
        for how in totals:
            given = DecodingOptions(segs, depths, max_new_tokens=36, depth_decoding=how)
            with counted(either) as calls:
                both.append(run(either, given, images))
            totals[how] += len(calls)
        assert [row.ids for row in both[0]] == [row.ids for row in both[1]]
        for one, other in zip(*both, strict=True):
            assert (one.depth_logits is None) == (other.depth_logits is None)
            if one.depth_logits is not None and other.depth_logits is not None:
                spans += 1
                torch.testing.assert_close(one.depth_logits, other.depth_logits, rtol=1e-3, atol=1e-3)
                expected = codes_of(either, [one])[0]
                assert tuple(other.depth_logits.argmax(-1).tolist()) == expected
    assert spans > at_least  # of each kind of model
    assert totals["exact"] < totals["sequential"]


@pytest.mark.parametrize("windows", [WIDE, Windows(1, 1, 1), Windows(3, 2, 8), Windows(5, 5, 5), Windows(7, 7, 7)])
def test_how_much_a_call_reads_changes_nothing(
    tiny: Perceptio, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(row) for row in range(12)]
    expected = run(tiny, options(12, depth_decoding="sequential"), images)
    monkeypatch.setitem(depth_span.WINDOWS, "cpu", windows)
    assert [row.ids for row in run(tiny, options(12), images)] == [row.ids for row in expected]


def test_any_guess_gives_the_same_codes_and_the_right_one_takes_one_call(
    tiny: Perceptio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(depth_span.WINDOWS, "cpu", WIDE)
    images = [picture(row) for row in range(4)]
    with counted(tiny) as calls:
        expected = run(tiny, options(4), images)
    without = len(calls)
    right = torch.tensor(codes_of(tiny, expected))
    partly = right.clone()
    partly[:, CODES // 2 :] = -1
    half = partly.clone()
    half[:2] = -1
    for guess in (torch.randint(0, CODES, right.shape), partly, half, right):
        with counted(tiny) as calls:
            found = run(tiny, options(4, depth_guess=guess), images)
        assert [row.ids for row in found] == [row.ids for row in expected]
        assert len(calls) <= without + 3
    assert calls[2] == CODES + 2  # after the picture and the question: the whole span at once
    assert set(calls[3:]) == {1}


def test_questions_about_one_picture_begin_with_the_codes_of_the_first(
    tiny: Perceptio, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(tiny, options(4, depth_decoding="sequential"), [picture(0), picture(1)], [0, 1, 0, 0])
    guesses: list[list[list[int]]] = []
    iterate = depth_span.SpanWriter._iterate

    def listen(self: depth_span.SpanWriter, spans: list[depth_span.Span]) -> Iterator[None]:
        guesses.append([span.codes.tolist() for span in spans])
        return iterate(self, spans)

    monkeypatch.setattr(depth_span.SpanWriter, "_iterate", listen)
    found = run(tiny, options(4), [picture(0), picture(1)], [0, 1, 0, 0])
    assert [row.ids for row in found] == [row.ids for row in expected]
    first = codes_of(tiny, found)[0]
    assert first is not None
    assert guesses == [[[-1] * CODES] * 2, [list(first)] * 2]


def test_quick_takes_what_is_there_after_a_few_calls(tiny: Perceptio) -> None:
    images = [picture(row) for row in range(4)]
    exact = codes_of(tiny, run(tiny, options(4, depth_decoding="exact"), images))
    with counted(tiny) as calls:
        found = run(tiny, options(4, depth_decoding="quick"), images)
    quick = codes_of(tiny, found)
    assert None not in quick
    spans = [tokens for tokens in calls[2:] if tokens > 1]
    assert len(spans) <= QUICK_CALLS
    same = np.mean(np.array(exact) == np.array(quick))
    assert 0.3 < same < 1
    for row, codes in zip(found, quick, strict=True):
        assert row.depth_logits is not None
        assert codes is not None
        assert row.depth_logits.shape == (CODES, CODES)
    # what follows has read the codes that were written: the same are given and read in one call
    given = run(tiny, options(4, forced_depth=torch.tensor(quick)), images)
    assert [row.ids for row in given] == [row.ids for row in found]


def test_given_codes_are_read_in_one_call_and_have_no_logits(tiny: Perceptio) -> None:
    codes = torch.randint(0, CODES, (2, CODES))
    with counted(tiny) as calls:
        found = run(tiny, options(2, forced_depth=codes), [picture(0), picture(1)])
    assert calls[2] == CODES + 2
    assert set(calls[3:]) <= {1}
    assert codes_of(tiny, found) == [tuple(row) for row in codes.tolist()]
    assert [row.depth_logits for row in found] == [None, None]


@pytest.mark.parametrize("order", ["answer_first", "interleaved"])
def test_other_orders_agree_with_greedy_decoding_too(tiny: Perceptio, order: str) -> None:
    pointer, kept = tiny.model.pointer, tiny.model.config.order
    if order == "interleaved":
        tiny.model.pointer = None
    tiny.model.config.order = order
    try:
        images = [picture(row) for row in range(6)]
        switches = [(OFF, ON), (ON, ON), (AUTO, AUTO), (OFF, AUTO), (ON, OFF), (AUTO, ON)]
        segs, depths = zip(*switches, strict=True)
        both = [
            run(tiny, DecodingOptions(segs, depths, max_new_tokens=60, depth_decoding=how), images)
            for how in ("sequential", "exact")
        ]
    finally:
        tiny.model.pointer, tiny.model.config.order = pointer, kept
    assert [row.ids for row in both[0]] == [row.ids for row in both[1]]
    assert sum(codes is not None for codes in codes_of(tiny, both[0])) >= 3


def test_a_free_answer_is_written_token_by_token(tiny: Perceptio) -> None:
    found = [
        run(tiny, options(4, AUTO, AUTO, constrained=False, depth_decoding=how), [picture(row) for row in range(4)])
        for how in ("exact", "sequential", "quick")
    ]
    assert len({tuple(row.ids for row in each) for each in found}) == 1
    assert all(row.depth_logits is None for each in found for row in each)


@pytest.fixture
def asking(either: Perceptio) -> Perceptio:
    """A model with a query that asks for codes."""
    torch.manual_seed(3)
    model = copy.deepcopy(either.model)
    set_depth_decoding(model, "parallel")
    with torch.no_grad():
        model.depth_query.normal_()
    return Perceptio(model, either.processor)


@torch.no_grad()
def parallel_by_hand(asking: Perceptio, prompt: str, image: Image.Image, carried: Tensor | None = None) -> list[int]:
    """Codes from one forward pass over prompt, <DEPTH_START> and queries, without a cache."""
    model = asking.model
    vocabulary, config = model.config.vocabulary, model.config
    tokens = asking.processor.tokens([prompt], OFF, ON)["input_ids"]
    visual = model.visual_tokens(asking.processor.pixels([image])[0])
    prompt_length = tokens.shape[1]
    start = model.get_input_embeddings()(torch.tensor([[vocabulary.depth_start]]))
    queries = model.depth_query.expand(1, CODES, -1)
    embeddings = torch.cat([model.embed(tokens, visual), start, queries], dim=1)
    length = prompt_length + 1 + CODES
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    mask[prompt_length + 1 :, prompt_length + 1 :] = True
    first = int((tokens[0] == config.vlm.image_token_id).nonzero().min())
    if config.depth_positions == "image":
        cells = [first + (2 * (cell // 4) + 1) * 8 + 2 * (cell % 4) + 1 for cell in range(CODES)]
        places = [*range(prompt_length), cells[0], *cells]
    else:
        places = list(range(length))
    states = model.vlm.model.language_model(
        inputs_embeds=embeddings, attention_mask=mask[None, None], position_ids=torch.tensor([places])
    ).last_hidden_state
    return (states[0, -CODES:] @ model.vlm.lm_head.weight[list(vocabulary.codes)].T).argmax(-1).tolist()


def test_parallel_codes_are_those_of_queries_that_see_each_other(asking: Perceptio) -> None:
    images = [picture(row) for row in range(4)]
    with counted(asking) as calls:
        found = run(asking, options(4), images)  # the configuration says so
    assert calls[2:4] == [CODES + 1, CODES + 1]
    assert set(calls[4:]) == {1}
    for row, codes in enumerate(codes_of(asking, found)):
        assert codes is not None
        assert list(codes) == parallel_by_hand(asking, PROMPTS[row], images[row])
    given = run(asking, options(4, forced_depth=torch.tensor(codes_of(asking, found))), images)
    assert [row.ids for row in given] == [row.ids for row in found]  # what follows has read discrete codes alone


def test_a_model_with_a_query_can_still_write_one_code_after_the_other(asking: Perceptio, either: Perceptio) -> None:
    images = [picture(row) for row in range(4)]
    found = run(asking, options(4, depth_decoding="sequential"), images)
    assert [row.ids for row in found] == [row.ids for row in run(either, options(4), images)]


def test_parallel_needs_a_model_that_was_trained_for_it(tiny: Perceptio) -> None:
    with pytest.raises(ValueError, match="no depth query"):
        tiny.ask(picture(0), "hello", depth="on", depth_decoding="parallel")
    with pytest.raises(
        ValueError, match="depth_decoding must be one of exact, quick, parallel, sequential, not 'fast'"
    ):
        tiny.ask(picture(0), "hello", depth_decoding="fast")


@pytest.mark.slow
def test_spans_of_nano_on_hundreds_of_scenes_are_those_of_greedy_decoding(tmp_path: Path) -> None:
    from perceptio.scenes.render_job import render_split

    store = render_split(tmp_path, "test", 208)
    nano = Perceptio.from_pretrained("nano", device="cpu")
    for first in range(0, 208, 16):
        images = [store.pictures(number)[0] for number in range(first, first + 16)]
        asked = {"seg": "auto", "depth": "on"}
        both = [
            nano.ask_batch(images, ["Show the depth map."] * 16, depth_decoding=how, **asked)
            for how in ("sequential", "exact")
        ]
        assert [answer.trace.raw for answer in both[0]] == [answer.trace.raw for answer in both[1]]


def test_windows_shrink_with_the_batch() -> None:
    windows = Windows(longest=48, shortest=16, together=96)
    assert [windows.of(rows) for rows in (1, 2, 4, 16)] == [48, 48, 24, 16]
    assert replace(windows, together=2048).of(16) == 48
