"""The losses of the shipped weights on two pictures, by the settings of the recipe's last stage: pinned.

What changes one of these numbers changes the training of nano; then docs/experiments.md says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from perceptio.data.marks import HARDBLINK_PROMPT
from perceptio.data.packing import pack_sample
from perceptio.data.schema import ABSENT, IdMap, Mark, Sample, Turn
from perceptio.model.loading import load
from perceptio.nano.attention_targets import attention_targets
from perceptio.nano.objective import NanoObjective
from perceptio.nano.questions import SupervisedRow, collate_rows
from perceptio.nano.recipe import Recipe
from perceptio.training.recipe import read_recipe

RECIPE = read_recipe(Path(__file__).parents[2] / "recipes" / "nano.yaml", Recipe)
SIDE, GRID = 224, 28  # px, and patches along a side
GOLDEN = {
    "continuation": 3.12767,
    "text": 3.41039,
    "marker": 2.92221e-05,
    "token": 4.02979,
    "count": 1.78397e-05,
    "reconstruction": 0.362647,
    "cells": 2.8812,
    "objectness": 0.0529161,
    "click": 0.194282,
    "bce": 0.352656,
    "dice": 0.235102,
    "score": 0.167891,
    "object": 0.974938,
    "attention": 6.40887,
    "dense": 17.3148,
    "dense_shape": 4.42344,
    "dense_color": 1.74927,
    "dense_material": 1.48816,
    "dense_size": 1.03675,
    "dense_letter": 3.5449,
    "dense_depth": 0.577027,
    "dense_offset": 0.620369,
    "dense_mark_offset": 1.06974,
    "dense_shape_accuracy": 0.00555556,
    "dense_color_accuracy": 0.5,
    "dense_letter_accuracy": 1,
    "": 25.518,  # the weighted sum
}
TURNS = (
    (
        Turn(
            HARDBLINK_PROMPT,
            "A at 2,2 nearness 20; B at 7,6 nearness 74. Point B.",
            "marks",
            depth=True,
            target="B",
        ),
        Turn("Segment the red cube.", "Here is <p>the red cube</p>.", "referring", masks=(1,)),
        Turn("Where are the balls?", "Here are <p>the balls</p>.", "plural", masks=(2, 3)),
        Turn("How many balls are there?", "There are 2.", "counting", target="2"),
    ),
    (
        Turn("Segment the green cone.", "There is no <p>green cone</p>.", "absent", masks=(ABSENT,)),
        Turn(
            "Which is nearer, the red cube or the blue ball?",
            "<p>The red cube</p> at 2,2 nearness 20; <p>the blue ball</p> at 7,6 nearness 74. The blue ball is nearer.",
            "nearer",
            masks=(1, 2),
            depth=True,
            target="the blue ball",
        ),
        Turn("What color is the cube?", "It is red.", "attribute", target="red"),
    ),
)
COLORS = {1: (200, 40, 40), 2: (40, 60, 200), 3: (220, 200, 60)}


def samples() -> Iterator[Sample]:
    """The same three things on a floor that comes nearer, brighter in the second picture."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[40:80, 30:75] = 1
    ids[(rows - 160) ** 2 + (columns - 140) ** 2 < 30**2] = 2
    ids[(rows - 100) ** 2 + (columns - 180) ** 2 < 22**2] = 3
    depth = (rows / SIDE * 1.6 - 0.9 + 0.2 * (ids > 0)).astype(np.float32)
    marks = (Mark("A", 52, 60, -0.6), Mark("B", 140, 160, 0.48))
    for number, turns in enumerate(TURNS):
        image = np.empty((SIDE, SIDE, 3), np.uint8)
        image[:] = (90 + 40 * number + rows // 4)[..., None]
        for value, color in COLORS.items():
            image[ids == value] = color
        yield Sample(image, turns, f"golden/{number}", IdMap(ids), depth, marks=() if number else marks)


def dense_of(sample: Sample) -> dict[str, Tensor]:
    """Dense targets of a picture, with made-up classes of its things."""
    assert isinstance(sample.masks, IdMap)
    owner = torch.from_numpy(sample.masks.ids[4::8, 4::8].astype(np.int64))
    classes = torch.where(owner > 0, owner - 1, -100)
    letter = torch.zeros(GRID, GRID, dtype=torch.int64)
    places = torch.arange(GRID) / GRID
    offset = torch.stack([places[None].expand(GRID, GRID), places[:, None].expand(GRID, GRID)], -1) - 0.5
    for number, mark in enumerate(sample.marks, 1):
        letter[mark.y // 8, mark.x // 8] = number
    return {
        **dict.fromkeys(("color", "material", "size"), classes.clamp(max=1)),
        "shape": owner,
        "letter": letter,
        "depth": torch.from_numpy(np.asarray(sample.depth)[4::8, 4::8, None].copy()),
        "offset": offset,
        "mark_offset": 0.1 * offset,
    }


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@torch.no_grad()
def test_the_losses_of_the_shipped_weights_are_those_that_they_were() -> None:
    model, processor = load("nano", device="cpu", dtype=torch.float32)
    stage = RECIPE.finish
    torch.manual_seed(0)  # of the head
    objective = NanoObjective(
        model, stage.losses, stage.pointer_losses, dense=stage.dense, attention=stage.attention
    ).eval()
    rows = []
    for number, sample in enumerate(samples()):
        row = pack_sample(sample, processor, model.config, np.random.default_rng(number), supervision=stage.supervision)
        written = tuple(range(model.config.vocabulary.tokens_per_map)) if number else None
        rows.append(SupervisedRow(row, attention_targets(sample, row, model.config), dense_of(sample), written))
    outputs = objective(**collate_rows(rows, processor.tokenizer.pad_token_id))
    found = {name: float(value) for name, value in outputs["losses"].items()} | {"": float(outputs["loss"])}
    assert found == pytest.approx(GOLDEN, rel=1e-4, abs=1e-6)
