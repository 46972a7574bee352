"""The shipped model: complete, small enough, and able to do the main job on the sample image."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from perceptio import Perceptio
from perceptio.tokens import parse

ASSETS = Path(str(files("perceptio"))) / "assets"


@pytest.fixture(scope="module")
def nano() -> Perceptio:
    return Perceptio.from_pretrained("nano")


def test_it_ships_within_25_megabytes_in_bfloat16() -> None:
    from safetensors import safe_open

    assert sum(path.stat().st_size for path in (ASSETS / "nano").iterdir()) <= 25e6
    with safe_open(ASSETS / "nano" / "model.safetensors", "pt") as weights:
        kinds = {weights.get_tensor(name).dtype for name in weights.keys()}  # noqa: SIM118 (no plain mapping)
    assert torch.bfloat16 in kinds
    assert torch.float32 not in kinds


def test_it_writes_masks_depth_and_an_answer_about_the_sample(nano: Perceptio) -> None:
    answer = nano.ask(
        ASSETS / "sample.png", "Which is nearer, the brown pyramid or the green pyramid?", seg="on", depth="on"
    )
    assert answer.text
    assert answer.masks
    assert all(mask.array.shape == (448, 448) for mask in answer.masks)
    assert answer.depth is not None
    assert answer.depth.array.shape == (448, 448)
    assert not answer.trace.malformed


def test_the_line_that_ends_before_its_words_is_no_part_of_the_answer(nano: Perceptio) -> None:
    answer = nano.ask(ASSETS / "sample.png", "Segment the brown pyramid.", seg="on", depth="off")
    assert "[SEG]\n" in answer.trace.raw
    assert answer.text
    assert answer.text == answer.text.strip()


def test_its_depth_is_better_than_none(nano: Perceptio) -> None:
    """The generated map must agree with the exact one in tendency, on scenes it never saw."""
    from perceptio.depth.normalization import inverse_depth_from_metric
    from perceptio.scenes.contact_sheet import fresh_scenes

    scenes = fresh_scenes("val", 6)
    answers = nano.ask_batch(
        [stored.rgb for stored in scenes], ["Show the depth map."] * len(scenes), seg="off", depth="on"
    )
    correlations = []
    for stored, answer in zip(scenes, answers, strict=True):
        assert answer.depth is not None
        truth = inverse_depth_from_metric(stored.depth)
        correlations.append(np.corrcoef(truth.ravel(), answer.depth.array.ravel())[0, 1])
    assert np.mean(correlations) > 0.8


def test_running_free_it_still_writes_whole_spans(nano: Perceptio) -> None:
    answer = nano.ask(ASSETS / "sample.png", "Show the depth map.", depth="on", constrained=False)
    ids = nano.processor.tokenizer.encode(answer.trace.raw, add_special_tokens=False)
    vocabulary = nano.model.config.vocabulary
    assert [span.is_valid(vocabulary.tokens_per_map) for span in parse(vocabulary, ids).spans] == [True]
