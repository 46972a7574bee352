"""The same classes without a pointer: a `[SEG]` state is projected, as in LISA and Sa2VA, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.decoding.engine import decode
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.reading import prefill
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.loading import find
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.processing import PerceptioProcessor
from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.pointer import Pointed
from perceptio.tokens import Switch

TURN = Turn("Where?", "Here are <p>both</p>.", "plural", masks=(1, 2))


@pytest.fixture(scope="module")
def plain(tiny: Perceptio) -> Perceptio:
    """The tiny model's weights, less those of its pointer."""
    config = PerceptioConfig(**{**tiny.model.config.to_dict(), "pointing": False})
    model = PerceptioForConditionalGeneration(config)
    weights = tiny.model.state_dict()
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return Perceptio(model.eval(), tiny.processor)


def batch(plain: Perceptio) -> dict[str, torch.Tensor]:
    ids = np.zeros((64, 64), np.uint8)
    ids[:20, :20], ids[30:, 30:] = 1, 2
    sample = Sample(np.asarray(picture()), (TURN,), "test/0", IdMap(ids), np.zeros((64, 64), np.float32))
    row = pack_sample(sample, plain.processor, plain.model.config, np.random.default_rng(0))
    return collate([row], 0)


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def test_only_the_projection_has_weights(plain: Perceptio) -> None:
    assert plain.model.pointer is None
    others = ("vlm.", "sam.", "depth_tokenizer.")
    assert [name for name, _ in plain.model.named_parameters() if not name.startswith(others)] == [
        "projector.layers.0.weight",
        "projector.layers.0.bias",
        "projector.layers.2.weight",
        "projector.layers.2.bias",
    ]


@torch.no_grad()
def test_the_prompt_is_the_projection(plain: Perceptio) -> None:
    states = torch.randn(3, 64)
    torch.testing.assert_close(plain.model.prompts(states), plain.model.projector(states))


@torch.no_grad()
def test_the_input_after_a_segment_is_its_word_alone(plain: Perceptio) -> None:
    packed, model = PackedBatch(**batch(plain)), plain.model
    assert len(packed.segments) == 2
    expected = model.get_input_embeddings()(packed.input_ids)
    visual = model.visual_tokens(packed.pixel_values).flatten(0, 1)
    expected[packed.input_ids == model.config.vlm.image_token_id] = visual
    assert torch.equal(PackedObjective(model).embed(packed), expected)


@torch.no_grad()
def test_training_and_decoding_see_the_same_states_at_every_segment(plain: Perceptio) -> None:
    packed = PackedBatch(**batch(plain))
    states = PackedObjective(plain.model).read(packed)[0]
    given: list[torch.Tensor] = []

    def draw(rows: torch.Tensor, at_segments: torch.Tensor, pointed: Pointed | None) -> MaskPrediction:
        assert pointed is None
        given.append(at_segments)
        return MaskPrediction(torch.zeros(len(rows), 16, 16), torch.ones(len(rows)), torch.ones(len(rows)))

    ids = plain.processor.tokens([TURN.question])
    start = prefill(plain.model, ids["input_ids"], ids["attention_mask"], packed.pixel_values)
    decode(plain.model, start, DecodingOptions((Switch.ON,), (Switch.OFF,), max_segments=2), draw)
    places = packed.segments[:, 1]
    found = torch.cat(given)
    torch.testing.assert_close(found, states[places[: len(found)]], rtol=1e-3, atol=1e-4)


def test_masks_are_drawn(plain: Perceptio) -> None:
    answer = plain.ask(picture(), TURN.question, seg="on", depth="off")
    assert answer.trace.raw.count("[SEG]") > 0


def test_the_losses_are_the_paper_s_and_its_parents(plain: Perceptio) -> None:
    objective = PackedObjective(plain.model)
    names = {"text", "bce", "dice", "score", "object", "marker", "token", "count", "reconstruction"}
    assert set(objective.loss_weights) == names
    outputs = objective(**batch(plain))
    assert set(outputs["losses"]) == names
    outputs["loss"].backward()
    assert all(parameter.grad is not None for parameter in plain.model.projector.parameters())
    plain.model.zero_grad()


def test_the_setting_is_saved(plain: Perceptio, tmp_path: Path) -> None:
    plain.model.save_pretrained(tmp_path)
    plain.processor.save_pretrained(tmp_path)
    loaded = PerceptioForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.pointing is False
    assert PerceptioProcessor.from_pretrained(tmp_path).tiles(picture()) == 1


def test_a_configuration_that_does_not_say_has_no_pointer() -> None:
    content = json.loads((find("nano") / "config.json").read_text())
    content.pop("pointing", None)
    assert PerceptioConfig(**content).pointing is False


def test_padded_prompts_need_a_sam_that_makes_several_masks(plain: Perceptio) -> None:
    with pytest.raises(ValueError, match="makes only one"):
        PerceptioConfig(**{**plain.model.config.to_dict(), "sam_prompts": "padded"})
    with pytest.raises(ValueError, match="sam_prompts must be 'alone' or 'padded', not 'both'"):
        PerceptioConfig(sam_prompts="both")
