"""A picture that was opened once: the answers of `ask`, for less work."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers.models.sam2.modeling_sam2 import Sam2Model

from perceptio.decoding.cache import RowCache
from perceptio.decoding.events import Done, TextDelta
from perceptio.images import ImageError
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.segmentation.preprocess import preprocess

PROMPTS = ("hello", "Segment the small green cone.", "Where is the cube?", "Which point is nearer, A or B?")


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """60 wide, 90 high."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8))


@contextmanager
def counted(*modules: nn.Module) -> Iterator[list[int]]:
    """How often each module is called."""
    calls = [0] * len(modules)
    hooks = []
    for number, module in enumerate(modules):

        def count(*_: object, number: int = number) -> None:
            calls[number] += 1

        hooks.append(module.register_forward_hook(count))
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def assert_equal(one: Answer, other: Answer) -> None:
    assert one.trace.raw == other.trace.raw
    assert one.text == other.text
    assert one.trace.no_target == other.trace.no_target
    assert len(one.masks) == len(other.masks)
    for mask, expected in zip(one.masks, other.masks, strict=True):
        assert (mask.array != expected.array).mean() < 1e-3
        assert mask.score == pytest.approx(expected.score, abs=1e-3)
    assert (one.depth is None) == (other.depth is None)
    if one.depth is not None and other.depth is not None:
        np.testing.assert_array_equal(one.depth.codes, other.depth.codes)
        np.testing.assert_allclose(one.depth.array, other.depth.array, atol=1e-3)


@pytest.mark.parametrize(("seg", "depth"), [("on", "on"), ("auto", "auto"), ("off", "on")])
def test_each_answer_is_that_of_asking_alone_in_any_order(
    tiny: Perceptio, portrait: Image.Image, seg: str, depth: str
) -> None:
    expected = {prompt: tiny.ask(portrait, prompt, seg=seg, depth=depth, max_new_tokens=60) for prompt in PROMPTS}
    with tiny.open(portrait) as picture:
        assert picture.size == (60, 90)
        for prompt in (*PROMPTS, *reversed(PROMPTS)):
            assert_equal(picture.ask(prompt, seg=seg, depth=depth, max_new_tokens=60), expected[prompt])
        together = picture.ask_batch(PROMPTS, seg=seg, depth=depth, max_new_tokens=60)
        for prompt, answer in zip(PROMPTS, together, strict=True):
            assert_equal(answer, expected[prompt])
        *events, done = picture.stream(PROMPTS[1], seg=seg, depth=depth, max_new_tokens=60)
        assert isinstance(done, Done)
        assert_equal(done.answer, expected[PROMPTS[1]])
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == done.answer.text
        assert picture.ask_batch([]) == []


def test_a_picture_is_perceived_once(tiny: Perceptio, portrait: Image.Image) -> None:
    parts = tiny.model.vlm.model.vision_tower, tiny.model.sam.vision_encoder
    with counted(*parts) as calls, tiny.open(portrait) as picture:
        assert calls == [1, 0]
        for prompt in PROMPTS:
            picture.ask(prompt, seg="on", depth="on")
        picture.segment(points=[[10, 10]])
        assert calls == [1, 1]


def test_the_codes_of_one_answer_are_the_guess_for_the_next(tiny: Perceptio, portrait: Image.Image) -> None:
    asked = {"seg": "off", "depth": "on", "max_new_tokens": 19}  # the span and one token
    with counted(tiny.model.vlm.model.language_model) as calls, tiny.open(portrait) as picture:
        picture.ask("hello", **asked)
        first = calls[0]
        picture.ask("hello", **asked)
        assert calls[0] - first == 2  # the question and the whole span
        assert first > 3


def test_history_is_read_as_turns_before_the_question(tiny: Perceptio, portrait: Image.Image) -> None:
    processor = tiny.processor
    with tiny.open(portrait) as picture:
        first = picture.ask("hello", seg="off", depth="off", max_new_tokens=20)
        assert picture.turns == [("hello", first.text)]
        alone = picture.ask(PROMPTS[2], seg="off", depth="off", max_new_tokens=20)
        seen: list[int] = []
        hook = tiny.model.get_input_embeddings().register_forward_pre_hook(
            lambda _module, arguments: seen.extend(arguments[0].flatten().tolist())
        )
        try:
            after = picture.ask(PROMPTS[3], seg="off", depth="off", history=True, max_new_tokens=20)
        finally:
            hook.remove()
        assert alone.trace.raw == tiny.ask(portrait, PROMPTS[2], seg="off", depth="off", max_new_tokens=20).trace.raw
        assert [question for question, _ in picture.turns] == ["hello", PROMPTS[2], PROMPTS[3]]
        assert picture.turns[-1][1] == after.text
    suffix = " [perception: seg=off depth=off]"
    turns = "".join(
        f"\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n<|im_start|>user"
        for question, answer in (("hello", first.text), (PROMPTS[2], alone.text))
    )
    written = processor.tokenizer.decode(seen)
    assert written.startswith(f"{turns}\n{PROMPTS[3]}{suffix}<|im_end|>\n<|im_start|>assistant\n")


def test_special_tokens_in_the_history_are_plain_text(tiny: Perceptio) -> None:
    vocabulary = tiny.model.config.vocabulary
    ids = tiny.processor.history_ids([("a [SEG]", "[SEG] <DEPTH_START> <|im_end|>")])
    assert not {vocabulary.seg, vocabulary.depth_start} & set(ids)
    assert ids.count(vocabulary.end_of_text) == 2  # one a turn


def test_a_history_that_does_not_fit_is_refused(tiny: Perceptio, portrait: Image.Image) -> None:
    with tiny.open(portrait) as picture:
        picture.turns += [("7" * 300, "7" * 300)]
        picture.ask("hello", depth="off", max_new_tokens=20)
        with pytest.raises(ValueError, match="the prompt is too long"):
            picture.ask("7" * 200, history=True)
        assert len(picture.turns) == 2  # what failed is no turn


@torch.no_grad()
def test_clicks_and_boxes_give_sam_s_own_masks(tiny: Perceptio, portrait: Image.Image) -> None:
    sam: Sam2Model = tiny.model.sam
    side = tiny.processor.sam_image_size
    pixels = preprocess(portrait, side)[None]
    x, y = side / 60, side / 90
    expected = sam(
        pixel_values=pixels,
        input_points=torch.tensor([[[[20.0 * x, 30.0 * y], [40.0 * x, 70.0 * y]]]]),
        input_labels=torch.tensor([[[1, 0]]]),
        multimask_output=False,
    )
    boxed = sam(
        pixel_values=pixels,
        input_boxes=torch.tensor([[[5.0 * x, 6.0 * y, 50.0 * x, 80.0 * y]]]),
        multimask_output=False,
    )
    with tiny.open(portrait) as picture:
        (mask,) = picture.segment(points=[[20, 30], [40, 70]], labels=[1, 0])
        (box,) = picture.segment(boxes=[5, 6, 50, 80])
        assert len(picture.segment(points=[[[1, 1]], [[2, 2], [3, 3]], [[4, 4]]])) == 3
    for found, output in ((mask, expected), (box, boxed)):
        logits = nn.functional.interpolate(output.pred_masks[0], (90, 60), mode="bilinear")[0, 0]
        assert found.array.shape == (90, 60)
        assert (found.array != (logits > 0).numpy()).mean() < 1e-3
        there = output.object_score_logits.sigmoid().item()
        assert found.score == pytest.approx(there * output.iou_scores.clamp(0, 1).item(), abs=1e-4)
        assert found.phrase is None


def test_what_cannot_be_asked_is_said(tiny: Perceptio, portrait: Image.Image) -> None:
    picture = tiny.open(portrait)
    for arguments, error in (
        ({"prompt": ""}, ValueError),
        ({"prompt": 5}, TypeError),
        ({"prompt": "hello", "history": "yes"}, TypeError),
        ({"prompt": "hello", "seg": "maybe"}, ValueError),
        ({"prompt": "hello", "depth": "teacher"}, ValueError),
        ({"prompt": "hello", "max_new_tokens": 1}, ValueError),
    ):
        for ask in (picture.ask, picture.stream):
            with pytest.raises(error, match=r"\w"):
                ask(**arguments)
    with pytest.raises(TypeError, match="prompts must be a list"):
        picture.ask_batch("hello")
    with pytest.raises(ValueError, match="nothing to segment"):
        picture.segment()
    with pytest.raises(ValueError, match="outside the picture"):
        picture.segment(points=[[61, 2]])
    with pytest.raises(ImageError, match="there is no image file"):
        tiny.open("none.png")
    picture.close()
    for ask_again in (lambda: picture.ask("hello"), lambda: picture.segment(points=[[1, 1]]), lambda: picture.size):
        with pytest.raises(ValueError, match="was closed"):
            ask_again()


def caches() -> set[int]:
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if type(thing) is RowCache}


def test_a_session_and_a_stream_that_are_left_let_their_memory_go(tiny: Perceptio, portrait: Image.Image) -> None:
    before = caches()
    stream = tiny.stream(portrait, PROMPTS[1], seg="on", depth="on")
    next(stream)
    assert caches() - before
    stream.close()
    assert caches() <= before
    del stream
    with tiny.open(portrait) as picture:
        left = picture.stream(PROMPTS[1])
        next(left)
        left.close()
        reference = weakref.ref(picture._opened)
        assert len(caches() - before) == 1  # the picture's own
    gc.collect()
    assert reference() is None
    assert caches() <= before
