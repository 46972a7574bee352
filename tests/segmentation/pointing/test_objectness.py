"""What a `[SEG]` points at may be nothing: then the next input carries nothing, and there is no mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import decode_masks
from perceptio.segmentation.clicks import cell_clicks

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.fixture
def blind(tiny: Perceptio) -> Iterator[Perceptio]:
    """The tiny model, of which nothing that it points at stands out far enough."""
    objectness = tiny.model.pointer.objectness
    before = objectness.detach().clone()
    with torch.no_grad():
        objectness[1] = 1e6
    yield tiny
    with torch.no_grad():
        objectness.copy_(before)


@torch.no_grad()
def test_what_does_not_stand_out_has_no_region_feature(blind: Perceptio) -> None:
    config, pointer = blind.model.config.vlm, blind.model.pointer
    torch.manual_seed(0)
    states = torch.randn(3, config.text_config.hidden_size)
    seen, visual = torch.randn(2, 3, config.image_seq_length, config.text_config.hidden_size)
    cells = pointer.cells(states, seen, torch.zeros(seen.shape[:2]))
    evidence = cells.max(1).values - cells.mean(1)
    pointer.objectness[1] = evidence.sort().values[1] + 1e-3  # two of three do not stand out
    steps = blind.model.start_pointing(visual, seen)
    assert steps is not None
    _, features = steps.segment(torch.arange(3), states, None)
    there = evidence == evidence.max()
    assert torch.equal(features.abs().sum(1) > 0, there)
    assert torch.equal(steps.covered.any(1), there)


@torch.no_grad()
def test_the_mask_of_what_does_not_stand_out_is_refused_whatever_sam_says(tiny: Perceptio, request: Any) -> None:
    model, pointer = tiny.model, tiny.model.pointer
    torch.manual_seed(0)
    states = torch.randn(2, model.config.vlm.text_config.hidden_size)
    visual = torch.randn(2, model.config.vlm.image_seq_length, states.shape[1])
    features = model.image_features(tiny.processor.pixels([PICTURE])[1])
    of_first = torch.tensor([0, 0])
    cells, clicks = pointer.cells(states, visual, torch.zeros(visual.shape[:2])), cell_clicks(model.sam, 64)
    pointed = pointer.pointed(cells, clicks)
    before = model.segment(states, of_first, features, pointed).object_logit
    prompts = model.projector(states) + pointer.attention(cells) @ clicks
    own = decode_masks(model.sam, features, of_first, prompts).object_logit
    torch.testing.assert_close(before, torch.minimum(own, pointer.objectness_logits(cells)))
    request.getfixturevalue("blind")
    refused = model.segment(states, of_first, features, pointer.pointed(cells, clicks)).object_logit
    assert (refused < own).all()
    torch.testing.assert_close(refused, pointer.objectness_logits(cells))


def test_an_answer_about_it_has_no_mask_and_says_so(blind: Perceptio) -> None:
    answer = blind.ask(PICTURE, "Segment the cone.", seg="on", depth="off")
    assert answer.masks == []
    assert answer.trace.no_target
