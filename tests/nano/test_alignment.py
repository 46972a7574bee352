"""Which words a visual token is drawn to, and what is trained."""

from __future__ import annotations

import torch

from perceptio.data.marks import LETTERS
from perceptio.nano.alignment import WordAlignment, shown_words
from perceptio.pipeline import Perceptio
from perceptio.scenes.tabletop.world import COLORS, MATERIALS, SHAPES, SIZES

WORDS = len(SHAPES) + len(COLORS) + len(MATERIALS) + len(SIZES) + len(LETTERS)


def targets(grid: int) -> dict[str, torch.Tensor]:
    """One image: a object of the last shape and first colour in one patch, nothing elsewhere."""
    found = {name: torch.full((1, grid, grid), -100) for name in ("color", "material", "size")}
    found["shape"], found["letter"] = (torch.zeros(1, grid, grid, dtype=torch.int64) for _ in range(2))
    found["letter"][0, 0, 3] = 2  # the same visual token
    found["shape"][0, 1, 2], found["color"][0, 1, 2] = len(SHAPES), 0
    found["material"][0, 1, 2], found["size"][0, 1, 2] = 1, 2
    return found


def test_a_visual_token_shows_the_words_of_any_of_its_patches() -> None:
    shown = shown_words(targets(4))
    assert shown.shape == (1, 4, WORDS)
    assert shown[0, [0, 2, 3]].sum() == 0
    first = len(SHAPES) + len(COLORS)
    assert shown[0, 1].nonzero().flatten().tolist() == [
        len(SHAPES) - 1,
        len(SHAPES),
        first + 1,
        first + len(MATERIALS) + 2,
        first + len(MATERIALS) + len(SIZES) + 1,
    ]


def test_tower_and_projector_learn_and_the_language_model_stays(tiny: Perceptio) -> None:
    module = WordAlignment(tiny.model.vlm.model, tiny.processor.tokenizer)
    try:
        grid = round(tiny.model.config.vlm.image_seq_length**0.5) * 2
        side = tiny.processor.sam_image_size
        pixels = torch.randint(0, 255, (1, 3, side, side), dtype=torch.uint8)
        outputs = module(pixels, **targets(grid))
        outputs["loss"].backward()
        trained = {name for name, value in module.named_parameters() if value.grad is not None}
        assert {"scale", "bias"} <= trained
        assert {name.split(".")[1] for name in trained - {"scale", "bias"}} == {"vision_tower", "multi_modal_projector"}
    finally:
        tiny.model.vlm.requires_grad_(True)
        tiny.model.zero_grad()
