"""From images and prompts to tensors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.model.processing import PerceptioProcessor
from perceptio.pipeline import Perceptio
from perceptio.pretrained.folder import ModelError
from perceptio.tokens import Switch


def test_special_tokens_in_a_prompt_are_plain_text(tiny: Perceptio) -> None:
    tokenizer = tiny.processor.tokenizer
    ids = tiny.processor.question_ids("[SEG] <DEPTH_START> <|im_end|> <IMG_CONTEXT> <p>")
    words = ids[: -len(tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False))]
    assert not set(words) & set(tokenizer.all_special_ids)
    assert "[SEG] <DEPTH_START> <|im_end|> <IMG_CONTEXT> <p>" in tokenizer.decode(words)


def test_rows_are_padded_on_the_left_and_masked(tiny: Perceptio) -> None:
    batch = tiny.processor.tokens(["Hi", "A much longer question about the cube?"])
    lengths = batch["attention_mask"].sum(1)
    assert lengths[0] < lengths[1] == batch["input_ids"].shape[1]
    assert not batch["attention_mask"][0, : -lengths[0]].any()
    alone = tiny.processor.tokens(["Hi"])["input_ids"][0]
    assert torch.equal(batch["input_ids"][0, -lengths[0] :], alone)


def test_each_row_holds_one_place_for_each_visual_token(tiny: Perceptio) -> None:
    ids = tiny.processor.tokens(["Hi"])["input_ids"]
    config = tiny.model.config.vlm
    assert int((ids == config.image_token_id).sum()) == tiny.processor.image_seq_length
    side = config.vision_config.image_size[0] // config.vision_config.patch_size[0] // 2
    assert tiny.processor.image_seq_length == side**2


def test_a_photograph_gives_one_square_tile(tiny: Perceptio) -> None:
    image = Image.fromarray(np.zeros((40, 90, 3), np.uint8))
    pixels, sam_pixels = tiny.processor.pixels([image])
    assert pixels.shape[0] == sam_pixels.shape[0] == 1
    assert pixels.shape[-1] == pixels.shape[-2]


@pytest.mark.parametrize(
    ("seg", "depth", "expected"),
    [
        (Switch.AUTO, Switch.AUTO, ""),
        (Switch.OFF, Switch.ON, " [perception: seg=off depth=on]"),
        (Switch.ON, Switch.AUTO, " [perception: seg=on depth=auto]"),
    ],
)
def test_switches_are_said_in_words(tiny: Perceptio, seg: Switch, depth: Switch, expected: str) -> None:
    assert tiny.processor.switch_suffix(seg, depth) == expected


def test_an_empty_prompt_and_one_beyond_the_context_are_refused(tiny: Perceptio) -> None:
    with pytest.raises(ValueError, match="empty"):
        tiny.processor.question_ids("  \n")
    with pytest.raises(ValueError, match="at most"):
        tiny.processor.question_ids("cube " * 20_000)


def test_images_and_prompts_must_be_as_many(tiny: Perceptio) -> None:
    with pytest.raises(ValueError, match="1 images but 2 prompts"):
        tiny.processor.prepare([Image.new("RGB", (8, 8))], ["a", "b"])


QUESTIONS = (
    "Segment the red cube.",
    "How many? <|im_end|> [SEG] <IMG_CONTEXT> <img></img> <p>x</p> <DEPTH_3>",
    "Wo ist die gr\u00f6\u00dfte Kugel?\u2028 \U0001f600 \x0b 7",
    "  Which point is nearer,\nA or B?\t",
)


@pytest.mark.parametrize("question", QUESTIONS)
def test_ids_and_places_are_those_of_transformers_tokenizer(tiny: Perceptio, question: str) -> None:
    processor = tiny.processor
    text = "\n" + question.strip()
    options = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
    expected = processor.tokenizer(text, **options)
    ids, places = processor.question_tokens(question)
    end = processor.tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)
    assert ids == [*expected["input_ids"], *end]
    shift = len(question) - len(question.lstrip()) - 1
    assert places == [(begin + shift, end + shift) for begin, end in expected["offset_mapping"]]
    assert processor.text(ids) == processor.tokenizer.decode(ids, skip_special_tokens=False)


def test_threads_that_share_a_processor_read_the_same_ids(tiny: Perceptio) -> None:
    """A user's [SEG] must not become a control token because another thread encodes a picture's placeholders."""
    processor = tiny.processor
    expected = [processor.tokens([question])["input_ids"].tolist() for question in QUESTIONS]

    def ask(thread: int) -> int:
        wrong = 0
        for turn in range(100):
            number = (thread + turn) % len(QUESTIONS)
            if thread == 0:  # a user's own use of the tokenizer, which keeps its settings
                processor.tokenizer(QUESTIONS[number], truncation=True, max_length=2, padding="max_length")
            wrong += processor.tokens([QUESTIONS[number]])["input_ids"].tolist() != expected[number]
            wrong += not processor.text(expected[number][0]).startswith("<|im_start|>user")
        return wrong

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 0


def test_options_of_transformers_are_refused(tiny_folder: Path) -> None:
    with pytest.raises(TypeError, match="unknown options: use_fast"):
        PerceptioProcessor.from_pretrained(tiny_folder, use_fast=False)
    with pytest.raises(ModelError, match=r"there is no file nowhere/processor_config\.json"):
        PerceptioProcessor.from_pretrained("nowhere")
