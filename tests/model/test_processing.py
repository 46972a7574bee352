"""From images and prompts to tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.pipeline import Perceptio
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
