"""What a `[SEG]` points at may be nothing: then nothing is told after it, and there is no mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import decode_masks
from perceptio.segmentation.projector import cell_clicks

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.fixture
def blind(tiny: Perceptio) -> Iterator[Perceptio]:
    """The tiny model, of which nothing that it points at stands out far enough."""
    presence = tiny.model.projector.presence
    before = presence.detach().clone()
    with torch.no_grad():
        presence[1] = 1e6
    yield tiny
    with torch.no_grad():
        presence.copy_(before)


@torch.no_grad()
def test_nothing_is_told_of_what_does_not_stand_out(blind: Perceptio) -> None:
    config = blind.model.config.vlm
    torch.manual_seed(0)
    states = torch.randn(3, config.text_config.hidden_size)
    seen, visual = torch.randn(2, 3, config.image_seq_length, config.text_config.hidden_size)
    cells = blind.model.point(states, seen, torch.zeros(seen.shape[:2]))
    evidence = cells.max(1).values - cells.mean(1)
    presence = blind.model.projector.presence
    presence[1] = evidence.sort().values[1] + 1e-3  # two of three do not stand out
    told = blind.model.look(cells, visual)
    assert (told.abs().sum(1) > 0).tolist() == (evidence == evidence.max()).tolist()


@torch.no_grad()
def test_the_mask_of_what_does_not_stand_out_is_refused_whatever_sam_says(tiny: Perceptio, request: Any) -> None:
    model = tiny.model
    torch.manual_seed(0)
    states = torch.randn(2, model.config.vlm.text_config.hidden_size)
    visual = torch.randn(2, model.config.vlm.image_seq_length, states.shape[1])
    features = model.image_features(tiny.processor.pixels([PICTURE])[1])
    of_first = torch.tensor([0, 0])
    cells = model.point(states, visual, torch.zeros(visual.shape[:2]))
    before = model.segment(states, cells, of_first, features).object_logit
    clicks = cell_clicks(model.sam, cells.shape[1])
    prompts = model.projector.prompts(states, model.projector.attention(cells), clicks)
    own = decode_masks(model.sam, features, of_first, prompts, model.config.sam_prompts).object_logit
    torch.testing.assert_close(before, torch.minimum(own, model.projector.presence_logits(cells)))
    request.getfixturevalue("blind")
    refused = model.segment(states, cells, of_first, features).object_logit
    assert (refused < own).all()
    torch.testing.assert_close(refused, model.projector.presence_logits(cells))


def test_an_answer_about_it_has_no_mask_and_says_so(blind: Perceptio) -> None:
    answer = blind.ask(PICTURE, "Segment the cone.", seg="on", depth="off")
    assert answer.masks == []
    assert answer.trace.no_target
