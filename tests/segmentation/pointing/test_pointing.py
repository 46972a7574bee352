"""The same classes without pointing: a `[SEG]` state is projected, as in LISA and Sa2VA, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.decoding.engine import DecodingOptions, decode, prefill
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.loading import find
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.processing import PerceptioProcessor
from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.tokens import Switch

TURN = Turn("Where?", "Here are <p>both</p>.", "plural", masks=(1, 2))


@pytest.fixture(scope="module")
def plain(tiny: Perceptio) -> Perceptio:
    """The tiny model's weights, less those that point."""
    config = PerceptioConfig(**{**tiny.model.config.to_dict(), "pointing": False})
    model = PerceptioForConditionalGeneration(config)
    weights = tiny.model.state_dict()
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return Perceptio(model.eval(), tiny.processor)


def batch(plain: Perceptio) -> dict[str, torch.Tensor]:
    ids = np.zeros((64, 64), np.uint8)
    ids[:20, :20], ids[30:, 30:] = 1, 2
    record = Sample("test/0", np.asarray(picture()), (TURN,), IdMap(ids), np.zeros((64, 64), np.float32))
    config = plain.model.config
    rng = np.random.default_rng(0)
    row = pack_sample(record, plain.processor, config.vocabulary, rng, depth_size=config.depth.image_size)
    return collate([row], 0)


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def test_only_the_projection_has_weights(plain: Perceptio) -> None:
    assert [name for name, _ in plain.model.projector.named_parameters()] == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.2.weight",
        "layers.2.bias",
    ]


@torch.no_grad()
def test_the_prompt_is_the_projection(plain: Perceptio) -> None:
    states, visual = torch.randn(3, 64), torch.randn(3, 64, 64)
    cells = plain.model.point(states, visual, torch.zeros(3, 64))
    prompts = plain.model._prompts(states, cells)
    first, _, second = plain.model.projector.layers
    expected = (states @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias
    torch.testing.assert_close(prompts, expected)


@torch.no_grad()
def test_nothing_is_told_after_a_segment(plain: Perceptio) -> None:
    packed = PackedBatch(**batch(plain))
    model = plain.model
    assert len(packed.segments) == 2
    expected = model.get_input_embeddings()(packed.input_ids)
    expected[packed.input_ids == model.config.vlm.image_token_id] = model._see(packed.pixel_values).flatten(0, 1)
    assert torch.equal(model._embed_packed(packed), expected)


@torch.no_grad()
def test_training_and_decoding_see_the_same_states_at_every_segment(plain: Perceptio) -> None:
    packed = PackedBatch(**batch(plain))
    states = plain.model._read(packed)[0]
    ids = plain.processor.tokens([TURN.question])
    start = prefill(plain.model, ids["input_ids"], ids["attention_mask"], packed.pixel_values)
    free = decode(plain.model, start, DecodingOptions((Switch.ON,), (Switch.OFF,), max_segments=2))[0]
    places = packed.segments[:, 1]
    written = list(free.ids).count(plain.model.config.vocabulary.seg)
    torch.testing.assert_close(free.states, states[places[:written]], rtol=1e-3, atol=1e-4)


def test_masks_are_drawn_without_pointing_anywhere(plain: Perceptio, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    segment = plain.model.segment

    def spy(states: torch.Tensor, cells: torch.Tensor, *rest: Any) -> MaskPrediction:
        seen.append(cells)
        return segment(states, cells, *rest)

    monkeypatch.setattr(plain.model, "segment", spy)
    answer = plain.ask(picture(), TURN.question, seg="on", depth="off")
    assert len(seen) == answer.trace.raw.count("[SEG]") > 0
    assert all(torch.equal(cells, torch.zeros(1, 64)) for cells in seen)


def test_there_is_no_loss_for_pointing_and_the_others_train(plain: Perceptio) -> None:
    outputs = plain.model(**batch(plain))
    assert "point" not in outputs["losses"]
    outputs["loss"].backward()
    assert all(parameter.grad is not None for parameter in plain.model.projector.parameters())
    plain.model.zero_grad()


def test_the_setting_is_saved(plain: Perceptio, tmp_path: Path) -> None:
    plain.model.save_pretrained(tmp_path)
    plain.processor.save_pretrained(tmp_path)
    loaded = PerceptioForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.pointing is False
    assert PerceptioProcessor.from_pretrained(tmp_path).tiles(picture()) == 1


def test_a_configuration_that_does_not_say_points() -> None:
    content = json.loads((find("nano") / "config.json").read_text())
    content.pop("pointing", None)
    assert PerceptioConfig(**content).pointing is True


def test_padded_prompts_need_a_sam_that_makes_several_masks(plain: Perceptio) -> None:
    with pytest.raises(ValueError, match="makes only one"):
        PerceptioConfig(**{**plain.model.config.to_dict(), "sam_prompts": "padded"})
    with pytest.raises(ValueError, match="sam_prompts must be one of alone, padded, not 'both'"):
        PerceptioConfig(sam_prompts="both")
