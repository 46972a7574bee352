"""The front door on a tiny model: ways to ask agree, switches obey, errors say what is wrong in one sentence."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.decoding.engine import Step
from perceptio.decoding.events import DepthProgress, DepthReady, Done, SegmentFound, TextDelta
from perceptio.decoding.questions import Stopwatch
from perceptio.depth.teacher_codes import teacher_codes
from perceptio.depth.teachers.loading import load_teacher
from perceptio.images import ImageError
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.tokens import Switch

PROMPTS = ("hello", "Segment the small green cone.", "Where is the cube?", "Which point is nearer, A or B?")
SWITCHES = [(seg, depth) for seg in ("off", "auto", "on") for depth in ("off", "auto", "on")]


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """60 wide, 90 high."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def certain(tiny: Perceptio) -> Callable[[float], Perceptio]:
    """The tiny model with a given object score for every mask."""

    def make(score: float) -> Perceptio:
        model = copy.deepcopy(tiny.model)
        head = model.sam.mask_decoder.pred_obj_score_head.proj_out
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, score)
        return Perceptio(model, tiny.processor)

    return make


@pytest.mark.parametrize(
    ("seg", "depth"),
    [
        pytest.param(*each, marks=pytest.mark.slow) if "auto" in each and len({*each}) == 2 else each
        for each in SWITCHES
    ],
)
def test_ask_batch_and_stream_agree(tiny: Perceptio, portrait: Image.Image, seg: str, depth: str) -> None:
    batch = tiny.ask_batch([portrait] * 4, PROMPTS, seg=seg, depth=depth, max_new_tokens=60, batch_size=3)
    for prompt, expected in zip(PROMPTS, batch, strict=True):
        *events, done = tiny.stream(portrait, prompt, seg=seg, depth=depth, max_new_tokens=60)
        assert isinstance(done, Done)
        for answer in (tiny.ask(portrait, prompt, seg=seg, depth=depth, max_new_tokens=60), done.answer):
            assert answer.trace.raw == expected.trace.raw
            assert answer.text == expected.text
            assert answer.trace.malformed == expected.trace.malformed
            assert len(answer.masks) == len(expected.masks)
            for mask, other in zip(answer.masks, expected.masks, strict=True):
                assert (mask.array != other.array).mean() < 1e-3
            assert answer.trace.no_target == expected.trace.no_target
            assert (answer.depth is None) == (expected.depth is None)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == expected.text


def test_stream_tells_masks_then_depth_then_words(certain: Callable[[float], Perceptio], portrait: Image.Image) -> None:
    *events, done = certain(5.0).stream(portrait, PROMPTS[1], seg="on", depth="on")
    assert isinstance(done, Done)
    kinds = [type(event) for event in events]
    order = [SegmentFound, DepthProgress, DepthReady, TextDelta]
    assert set(kinds) == set(order)
    assert [order.index(kind) for kind in kinds] == sorted(order.index(kind) for kind in kinds)
    masks = [event for event in events if isinstance(event, SegmentFound)]
    assert [event.index for event in masks] == list(range(len(done.answer.masks)))
    for event, mask in zip(masks, done.answer.masks, strict=True):
        np.testing.assert_array_equal(event.mask.array, mask.array)
    progress = [(event.written, event.total) for event in events if isinstance(event, DepthProgress)]
    written = [number for number, _ in progress]
    assert written == sorted(set(written))
    assert (written[-1], {total for _, total in progress}) == (16, {16})
    (ready,) = (event for event in events if isinstance(event, DepthReady))
    assert done.answer.depth is not None
    np.testing.assert_array_equal(ready.depth.array, done.answer.depth.array)


def test_masks_and_depth_have_the_size_of_the_image(
    certain: Callable[[float], Perceptio], portrait: Image.Image
) -> None:
    answer = certain(5.0).ask(portrait, PROMPTS[1], seg="on", depth="on")
    assert answer.masks
    assert {mask.array.shape for mask in answer.masks} == {(90, 60)}
    assert all(mask.array.any() and 0 <= mask.score <= 1 for mask in answer.masks)
    assert answer.depth is not None
    assert answer.depth.array.shape == (90, 60)
    assert answer.depth.array.dtype == np.float32
    assert -1 <= answer.depth.array.min() < answer.depth.array.max() <= 1
    assert answer.depth.codes.shape == (4, 4)
    assert answer.image is not None
    assert answer.image.size == (60, 90)


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000)])
def test_extreme_proportions_are_answered(
    certain: Callable[[float], Perceptio], size: tuple[int, int], tmp_path: Path
) -> None:
    answer = certain(5.0).ask(Image.new("RGB", size, "teal"), PROMPTS[1], seg="on", depth="on")
    assert answer.depth is not None
    assert answer.depth.array.shape == size[::-1]
    assert all(mask.array.shape == size[::-1] for mask in answer.masks)
    answer.save(tmp_path)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_switches_are_obeyed(tiny: Perceptio, portrait: Image.Image, prompt: str) -> None:
    neither = tiny.ask(portrait, prompt, seg="off", depth="off")
    assert (neither.masks, neither.depth, neither.trace.no_target) == ([], None, False)
    assert not {"[SEG]", "<DEPTH_START>"} & set(neither.trace.raw.split())
    assert "[SEG]" not in neither.trace.raw
    assert "<DEPTH" not in neither.trace.raw
    both = tiny.ask(portrait, prompt, seg="on", depth="on")
    assert both.trace.raw.startswith("[SEG]")
    assert both.trace.raw.count("<DEPTH_START>") == 1
    assert both.depth is not None
    assert bool(both.masks) != both.trace.no_target


def test_switches_may_differ_by_question(tiny: Perceptio, portrait: Image.Image) -> None:
    switches = {"seg": ["on", Switch.OFF], "depth": [Switch.OFF, "on"]}
    first, second = tiny.ask_batch([portrait] * 2, PROMPTS[:2], **switches)
    assert first.trace.raw == tiny.ask(portrait, PROMPTS[0], seg="on", depth="off").trace.raw
    assert second.trace.raw == tiny.ask(portrait, PROMPTS[1], seg="off", depth="on").trace.raw


def test_nothing_found_gives_no_mask_and_says_so(certain: Callable[[float], Perceptio], portrait: Image.Image) -> None:
    answer = certain(-5.0).ask(portrait, PROMPTS[1], seg="on", depth="off")
    assert answer.trace.raw.startswith("[SEG]")
    assert answer.masks == []
    assert answer.trace.no_target
    assert answer.to_dict()["no_target"] is True
    assert not any(isinstance(event, SegmentFound) for event in certain(-5.0).stream(portrait, PROMPTS[1], seg="on"))


def test_without_the_gate_no_mask_is_dropped_by_an_untrained_score(
    certain: Callable[[float], Perceptio], portrait: Image.Image
) -> None:
    model = certain(-5.0)
    assert model.ask(portrait, PROMPTS[1], seg="on").masks == []
    model.model.config.mask_gate = False
    open_gate = model.ask(portrait, PROMPTS[1], seg="on")
    gated = certain(5.0).ask(portrait, PROMPTS[1], seg="on")
    assert open_gate.masks
    assert open_gate.trace.no_target is False
    # the estimate of its IoU alone, not times an object score below 1
    assert open_gate.masks[0].score > gated.masks[0].score


def test_masks_are_numbered_as_in_the_answer_where_others_are_dropped(tiny: Perceptio) -> None:
    torch.manual_seed(1)
    model = copy.deepcopy(tiny.model)
    torch.nn.init.normal_(model.sam.mask_decoder.pred_obj_score_head.proj_out.weight, std=30.0)
    mixed = Perceptio(model, tiny.processor)
    for seed, prompt in itertools.product(range(25), PROMPTS):
        image = np.random.default_rng(seed).integers(0, 256, (30, 30, 3), dtype=np.uint8)
        *events, done = mixed.stream(image, prompt, seg="on", depth="off", max_new_tokens=40)
        assert isinstance(done, Done)
        assert [event.index for event in events if isinstance(event, SegmentFound)] == list(
            range(len(done.answer.masks))
        )
        if 0 < len(done.answer.masks) < done.answer.trace.raw.count("[SEG]"):
            return
    pytest.fail("no answer had both masks that were kept and masks that were dropped: choose other images")


def test_free_running_reports_what_is_malformed(tiny: Perceptio, portrait: Image.Image) -> None:
    free = tiny.ask_batch([portrait] * 4, PROMPTS, constrained=False, max_new_tokens=100)
    assert any(answer.trace.malformed for answer in free)
    bound = tiny.ask_batch([portrait] * 4, PROMPTS)
    assert {problem for answer in bound for problem in answer.trace.malformed if "end of text" not in problem} == set()


def test_an_image_given_twice_is_encoded_once(tiny: Perceptio, portrait: Image.Image, tmp_path: Path) -> None:
    portrait.save(tmp_path / "a.png")
    seen: list[int] = []
    hook = tiny.model.vlm.model.vision_tower.register_forward_pre_hook(
        lambda _, arguments, named: seen.append(len(arguments[0] if arguments else named["pixel_values"])),
        with_kwargs=True,
    )
    try:
        answers = tiny.ask_batch([tmp_path / "a.png", portrait, str(tmp_path / "a.png")], ["hello"] * 3)
    finally:
        hook.remove()
    assert seen == [2]  # a file and a picture in memory, though of the same pixels
    assert len({answer.trace.raw for answer in answers}) == 1


def test_an_image_that_comes_again_in_the_next_batch_is_not_encoded_again(
    tiny: Perceptio, portrait: Image.Image
) -> None:
    seen: list[int] = []
    hook = tiny.model.vlm.model.vision_tower.register_forward_pre_hook(
        lambda _, arguments, named: seen.append(len(arguments[0] if arguments else named["pixel_values"])),
        with_kwargs=True,
    )
    other = Image.new("RGB", (20, 20))
    try:
        images = [portrait, other, portrait, portrait, other]
        answers = tiny.ask_batch(images, ["hello"] * 5, batch_size=2)
    finally:
        hook.remove()
    assert seen == [2]
    expected = [tiny.ask(image, "hello").trace.raw for image in (portrait, other)]
    assert [answer.trace.raw for answer in answers] == [expected[image is other] for image in images]


def test_an_order_of_the_batch_changes_no_answer(tiny: Perceptio) -> None:
    images = [np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8) for seed in range(5)]
    prompts = [*PROMPTS, "hello"]
    asked = {"seg": "on", "depth": "on", "max_new_tokens": 45}
    expected = [tiny.ask(image, prompt, **asked) for image, prompt in zip(images, prompts, strict=True)]
    for order, size in (([4, 2, 0, 1, 3], 5), ([0, 1, 2, 3, 4], 2), ([3, 4, 0, 2, 1], 3)):
        found = tiny.ask_batch(
            [images[row] for row in order], [prompts[row] for row in order], batch_size=size, **asked
        )
        assert [answer.trace.raw for answer in found] == [expected[row].trace.raw for row in order]
        for answer, row in zip(found, order, strict=True):
            for mask, other in zip(answer.masks, expected[row].masks, strict=True):
                assert (mask.array != other.array).mean() < 1e-3


@pytest.mark.parametrize("size", [1, 2, 16])
def test_what_cannot_be_asked_costs_its_own_answer_alone(
    tiny: Perceptio, portrait: Image.Image, tmp_path: Path, size: int
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    images = [portrait, tmp_path / "none.png", portrait, tmp_path / "text.png", portrait, portrait]
    prompts = ["hello", "hello", "", "hello", "7" * 850, PROMPTS[1]]
    found = tiny.ask_batch(images, prompts, on_error="return", batch_size=size)
    kinds = [type(each).__name__ for each in found]
    assert kinds == ["Answer", "ImageError", "ValueError", "ImageError", "ValueError", "Answer"]
    assert "none.png" in str(found[1])
    assert "text.png" in str(found[3])
    assert "empty" in str(found[2])
    for row in (0, 5):
        answer = found[row]
        assert isinstance(answer, Answer)
        assert answer.trace.raw == tiny.ask(portrait, prompts[row]).trace.raw
    with pytest.raises(ImageError, match=r"none\.png"):
        tiny.ask_batch(images, prompts, batch_size=size)
    with pytest.raises(TypeError, match="prompt must be a text"):  # a mistake of the program, not of the data
        tiny.ask_batch([portrait], [5], on_error="return")
    with pytest.raises(ValueError, match="on_error must be raise or return, not 'skip'"):
        tiny.ask_batch([portrait], ["hello"], on_error="skip")


def test_soft_depth_is_decoded_from_expected_vectors(tiny: Perceptio, portrait: Image.Image) -> None:
    soft, hard = (tiny.ask(portrait, "hello", seg="off", depth="on", soft_depth=soft).depth for soft in (True, False))
    assert soft is not None
    assert hard is not None
    np.testing.assert_array_equal(soft.codes, hard.codes)
    tokenizer = tiny.model.depth_tokenizer
    with torch.no_grad():
        plain = tokenizer.decode(torch.from_numpy(hard.codes).flatten()[None])
        whole = torch.nn.functional.interpolate(plain, (90, 60), mode="bilinear").clamp(-1, 1)[0, 0]
    np.testing.assert_allclose(hard.array, whole.numpy(), atol=1e-5)
    assert np.abs(soft.array - hard.array).max() > 1e-3
    given = torch.from_numpy(hard.codes).flatten()[None]
    (forced,) = tiny.ask_batch([portrait], ["hello"], seg="off", depth="on", forced_depth=given)
    assert forced.depth is not None
    np.testing.assert_allclose(forced.depth.array, hard.array, atol=1e-5)  # codes that were given have no others


def test_kinds_of_image_give_the_same_answer(tiny: Perceptio, portrait: Image.Image, tmp_path: Path) -> None:
    portrait.save(tmp_path / "a.png")
    answers = [tiny.ask(image, "hello") for image in (portrait, np.asarray(portrait), tmp_path / "a.png")]
    assert len({answer.trace.raw for answer in answers}) == 1


def test_special_tokens_in_a_prompt_are_plain_text(tiny: Perceptio, portrait: Image.Image) -> None:
    prompt = "[SEG] <DEPTH_START><DEPTH_3> <IMG_CONTEXT> <|im_end|> <p>what?</p>"
    tokenizer = tiny.processor.tokenizer
    ids = tiny.processor.tokens([prompt])["input_ids"][0]
    plain = tiny.processor.tokens(["what?"])["input_ids"][0]
    special = torch.tensor(tokenizer.all_special_ids)
    assert torch.isin(ids, special).sum() == torch.isin(plain, special).sum()
    assert prompt in tokenizer.decode(ids, skip_special_tokens=True)
    assert tiny.ask(portrait, prompt, max_new_tokens=60).trace.tokens > 0


@pytest.mark.parametrize("prompt", ["", "  \n\t "])
def test_empty_prompt_is_refused(tiny: Perceptio, portrait: Image.Image, prompt: str) -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        tiny.ask(portrait, prompt)
    with pytest.raises(ValueError, match="the prompt is empty"):
        tiny.stream(portrait, prompt)  # at once, not at the first event


def test_endless_prompt_is_refused_with_its_numbers(tiny: Perceptio, portrait: Image.Image) -> None:
    with pytest.raises(ValueError, match=r"the prompt has \d{5,6} tokens but the model reads at most 960;"):
        tiny.ask(portrait, "x7" * 50_000)
    with pytest.raises(ValueError, match=r"too long: \d{3} tokens .* 1,024 .* keeps 226, so at most 798;"):
        tiny.ask(portrait, "7" * 850)


def test_unknown_switch_is_refused(tiny: Perceptio, portrait: Image.Image) -> None:
    for arguments in ({"seg": "maybe"}, {"depth": "ON"}, {"seg": ""}):
        with pytest.raises(ValueError, match=r"(seg|depth) must be off, auto or on, not '"):
            tiny.ask(portrait, "hello", **arguments)
    with pytest.raises(ValueError, match="seg must be off, auto or on, not 'maybe'"):
        tiny.stream(portrait, "hello", seg="maybe")


def test_numbers_must_agree(tiny: Perceptio, portrait: Image.Image) -> None:
    with pytest.raises(ValueError, match="2 images but 1 prompts"):
        tiny.ask_batch([portrait] * 2, ["hello"])
    with pytest.raises(ValueError, match="3 switches for 2 prompts"):
        tiny.ask_batch([portrait] * 2, ["hello"] * 2, seg=["on"] * 3)
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        tiny.ask_batch([portrait], ["hello"], batch_size=0)
    with pytest.raises(ValueError, match="max_new_tokens=3 is too small"):
        tiny.ask(portrait, "hello", max_new_tokens=3)
    assert tiny.ask_batch([], []) == []


def test_unusable_image_is_refused(tiny: Perceptio, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no image file"):
        tiny.ask(tmp_path / "none.png", "hello")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"prompt": None}, TypeError),
        ({"prompt": ["hello"]}, TypeError),
        ({"prompt": b"hello"}, TypeError),
        ({"prompt": "a\ud800"}, ValueError),
        ({"prompt": "a\0"}, ValueError),
        ({"seg": None}, TypeError),
        ({"depth": 1}, TypeError),
        ({"constrained": "x"}, TypeError),
        ({"max_new_tokens": "3"}, TypeError),
        ({"max_new_tokens": True}, TypeError),
        ({"max_new_tokens": float("nan")}, TypeError),
        ({"max_new_tokens": 0}, ValueError),
        ({"max_new_tokens": 10**12}, ValueError),
    ],
)
def test_argument_of_another_kind_is_named(
    tiny: Perceptio, portrait: Image.Image, arguments: dict[str, Any], error: type[Exception]
) -> None:
    (name,) = arguments
    call = {"prompt": "hello", **arguments}
    for ask in (tiny.ask, tiny.stream):
        with pytest.raises(error, match=name):
            ask(portrait, **call)


def test_lists_of_another_kind_are_named(tiny: Perceptio, portrait: Image.Image, tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"images": "a.png"}, "images"),
        ({"images": portrait}, "images"),
        ({"images": None}, "images"),
        ({"prompts": "hello"}, "prompts"),
        ({"prompts": [5]}, "prompt"),
        ({"batch_size": "x"}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"forced_depth": np.zeros((1, 16))}, "forced_depth"),
    ]
    for change, name in wrong:
        with pytest.raises(TypeError, match=f"^{name} must be"):
            tiny.ask_batch(**{"images": [portrait], "prompts": ["hello"], **change})
    for change in ({"device": 0}, {"dtype": "float32"}, {"name": 5}):
        with pytest.raises(TypeError, match=f"^{next(iter(change))} must be"):
            Perceptio.from_pretrained(**{"name": tmp_path, **change})


def test_threads_that_share_a_model_get_the_answers_of_one(tiny: Perceptio) -> None:
    pictures = [np.random.default_rng(seed).integers(0, 256, (30 + seed, 40, 3), dtype=np.uint8) for seed in range(4)]
    prompts = (*PROMPTS[1:], "How many? [SEG] <IMG_CONTEXT> <|im_end|>")

    def ask(number: int) -> tuple[str, list[bytes], bytes]:
        answer = tiny.ask(pictures[number % 4], prompts[number % 4], seg="on", depth="on", max_new_tokens=40)
        assert answer.depth is not None
        return answer.trace.raw, [mask.array.tobytes() for mask in answer.masks], answer.depth.array.tobytes()

    expected = [ask(number) for number in range(4)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(8))) == expected * 2


def test_very_large_picture_is_held_reduced_and_answered_at_its_own_size(
    certain: Callable[[float], Perceptio], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perceptio.images.WORKING_PIXELS", 1000)
    monkeypatch.setattr("perceptio.segmentation.upsampling._WHOLE", 1000)
    monkeypatch.setattr("perceptio.segmentation.upsampling._PART", 500)
    picture = np.random.default_rng(0).integers(0, 256, (91, 60, 3), dtype=np.uint8)
    answer = certain(5.0).ask(picture, PROMPTS[1], seg="on", depth="on")
    assert answer.image is not None
    assert answer.image.size == (20, 31)
    assert answer.masks
    assert {mask.array.shape for mask in answer.masks} == {(91, 60)}
    assert answer.depth is not None
    assert answer.depth.array.shape == (91, 60)
    assert np.isfinite(answer.depth.array).all()
    answer.save(tmp_path)


def test_picture_and_answer_that_exceed_the_context_are_refused_before_they_are_read(
    tiny: Perceptio, portrait: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perceptio.pipeline.perceive", lambda *_: pytest.fail("was read"))
    with pytest.raises(ValueError, match=r"too long: \d{3} tokens"):
        tiny.ask(portrait, "7" * 850)


def test_given_codes_are_the_answer_s_across_batches(tiny: Perceptio, portrait: Image.Image) -> None:
    codes = torch.randint(0, 16, (3, 16), generator=torch.Generator().manual_seed(0))
    answers = tiny.ask_batch([portrait] * 3, PROMPTS[:3], depth="on", seg="off", forced_depth=codes, batch_size=2)
    for row, answer in enumerate(answers):
        assert answer.depth is not None
        assert answer.depth.codes.flatten().tolist() == codes[row].tolist()


def test_save_writes_the_answer(certain: Callable[[float], Perceptio], portrait: Image.Image, tmp_path: Path) -> None:
    answer = certain(5.0).ask(portrait, PROMPTS[1], seg="on", depth="on")
    folder = answer.save(tmp_path / "deep" / "er")
    assert sorted(path.name for path in folder.iterdir()) == ["answer.json", "depth.png", "overlay.png"]
    assert json.loads((folder / "answer.json").read_text()) == answer.to_dict("depth.png")
    with Image.open(folder / "overlay.png") as overlay:
        assert overlay.size == (427, 640)


def test_half_precision_answers_too_and_sam_stays_in_float32(tiny_folder: Path, portrait: Image.Image) -> None:
    model = Perceptio.from_pretrained(tiny_folder, device="cpu", dtype=torch.bfloat16)
    assert model.model.vlm.dtype == torch.bfloat16
    assert model.model.sam.dtype == torch.float32
    answer = model.ask(portrait, PROMPTS[1], seg="on", depth="on")
    assert answer.depth is not None
    assert answer.depth.array.dtype == np.float32


def test_loading_twice_gives_the_same_answer(tiny: Perceptio, tiny_folder: Path, portrait: Image.Image) -> None:
    again = Perceptio.from_pretrained(str(tiny_folder), device="cpu")
    assert again.ask(portrait, PROMPTS[1]).trace.raw == tiny.ask(portrait, PROMPTS[1]).trace.raw
    assert not again.model.training


def test_the_time_of_a_stage_inside_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 3.0, 10.0])
    monkeypatch.setattr("perceptio.decoding.questions.time.perf_counter", lambda: next(ticks))
    watch = Stopwatch()
    with watch.timed("generate"), watch.timed("masks"):
        pass
    assert watch.seconds == {"masks": 2.0, "generate": 8.0}


def test_a_teacher_s_codes_take_the_place_of_the_model_s(
    tiny: Perceptio, tiny_folder: Path, depth_anything: Path, portrait: Image.Image
) -> None:
    taught = Perceptio.from_pretrained(tiny_folder, device="cpu", depth_teacher=depth_anything)
    codes = teacher_codes(load_teacher(depth_anything), tiny.model.depth_tokenizer, [portrait])
    asked = {"seg": "off", "max_new_tokens": 30}
    answer = taught.ask(portrait, "hello", depth="teacher", **asked)
    (forced,) = tiny.ask_batch([portrait], ["hello"], depth="on", forced_depth=codes, **asked)
    assert answer.trace.raw == forced.trace.raw
    assert answer.depth is not None
    assert answer.depth.codes.flatten().tolist() == codes[0].tolist()
    with taught.open(portrait) as picture:
        assert picture.ask("hello", depth="teacher", **asked).trace.raw == forced.trace.raw
        # the model's own codes are its own, not guessed from the teacher's
        own = picture.ask("hello", depth="on", **asked)
    assert own.trace.raw == tiny.ask(portrait, "hello", depth="on", **asked).trace.raw
    assert any(isinstance(event, DepthReady) for event in taught.stream(portrait, "hello", depth="teacher", **asked))
    with pytest.raises(ValueError, match="needs a teacher"):
        tiny.ask(portrait, "hello", depth="teacher")
    with pytest.raises(ValueError, match="both give the codes"):
        taught.ask_batch([portrait], ["hello"], depth="teacher", forced_depth=codes)
    with pytest.raises(TypeError, match=r"^depth_teacher must be"):
        Perceptio.from_pretrained(tiny_folder, depth_teacher=5)


def test_the_depth_map_is_told_once(tiny: Perceptio, portrait: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """A free answer may write a second end marker, or none."""
    vocabulary = tiny.model.config.vocabulary
    span = (vocabulary.depth_start, *vocabulary.codes)
    for after in ((vocabulary.depth_end, vocabulary.depth_end), tuple(tiny.processor.answer_ids("a"))):
        written = (*span, *after, vocabulary.end_of_text)
        monkeypatch.setattr(
            "perceptio.decoding.answering.decode_steps", lambda *_, w=written: iter([Step({0: (t,)}) for t in w])
        )
        *events, done = tiny.stream(portrait, "hello", constrained=False)
        assert isinstance(done, Done)
        assert done.answer.depth is not None
        (told,) = [event for event in events if isinstance(event, DepthReady)]
        np.testing.assert_array_equal(told.depth.codes, done.answer.depth.codes)
