"""The composed model: its forward pass, saving and loading, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import InternVLConfig, Sam2Config

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.pipeline import Perceptio
from perceptio.tokens import Switch, build_target


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))


def question(tiny: Perceptio) -> tuple[Tensor, Tensor]:
    """Ids (1, T) of a question, and the pixels of its picture."""
    batch = tiny.processor.prepare([picture()], ["Where is the red cube?"], Switch.ON, Switch.ON)
    return batch["input_ids"], batch["pixel_values"]


def answered(tiny: Perceptio) -> tuple[Tensor, Tensor, int]:
    """Ids (1, T) of a question with an answer of two segments and a depth span, its pixels, and where it begins."""
    ids, pixels = question(tiny)
    vocabulary = tiny.model.config.vocabulary
    codes = [code % 16 for code in range(vocabulary.tokens_per_map)]
    target = build_target(vocabulary, 2, codes, tiny.processor.answer_ids("Here is the red cube."))
    return torch.cat([ids, torch.tensor([target])], 1), pixels, ids.shape[1]


@torch.no_grad()
def test_the_forward_pass_is_internvl_s_own(tiny: Perceptio) -> None:
    ids, pixels = question(tiny)
    expected = tiny.model.vlm(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids))
    found = tiny.model(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids))
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
    assert found.loss is None


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_of_the_labels(tiny: Perceptio) -> None:
    ids, pixels, begin = answered(tiny)
    labels = ids.clone()
    labels[:, :begin] = -100
    found = tiny.model(input_ids=ids, pixel_values=pixels, labels=labels)
    log_probabilities = found.logits.double().log_softmax(-1)[0, begin - 1 : -1]
    expected = -log_probabilities.gather(1, ids[0, begin:, None]).mean()
    torch.testing.assert_close(found.loss.double(), expected, rtol=1e-5, atol=1e-5)
    nothing = tiny.model(input_ids=ids, pixel_values=pixels, labels=torch.full_like(ids, -100))
    assert float(nothing.loss) == 0


@torch.no_grad()
def test_the_output_names_the_states_of_segments_and_the_logits_of_codes(tiny: Perceptio) -> None:
    ids, pixels, begin = answered(tiny)
    found = tiny.model(input_ids=ids, pixel_values=pixels)
    assert ids[0, begin : begin + 2].tolist() == [tiny.model.config.seg_token_id] * 2
    torch.testing.assert_close(found.seg_states, found.last_hidden_state[0, begin : begin + 2])
    codes = torch.tensor(tiny.model.config.depth_code_token_ids)
    torch.testing.assert_close(found.depth_logits, found.logits[..., codes])
    masks = tiny.model.segment(
        found.seg_states, torch.tensor([0, 0]), tiny.model.image_features(tiny.processor.pixels([picture()])[1])
    )
    assert masks.logits.shape[0] == 2


@torch.no_grad()
def test_a_cached_pass_and_a_cut_one_give_the_logits_of_the_whole(tiny: Perceptio) -> None:
    ids, pixels = question(tiny)
    whole = tiny.model(input_ids=ids, pixel_values=pixels)
    cut = tiny.model(input_ids=ids, pixel_values=pixels, logits_to_keep=2)
    torch.testing.assert_close(cut.logits, whole.logits[:, -2:], rtol=1e-4, atol=1e-4)
    first = tiny.model(input_ids=ids[:, :-1], pixel_values=pixels, use_cache=True)
    last = tiny.model(input_ids=ids[:, -1:], past_key_values=first.past_key_values, use_cache=True)
    torch.testing.assert_close(last.logits, whole.logits[:, -1:], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_padding_on_the_left_changes_nothing(tiny: Perceptio) -> None:
    prompts = ["Where?", "Where is the small green cone?"]
    batch = tiny.processor.prepare([picture()] * 2, prompts)
    found = tiny.model(
        input_ids=batch["input_ids"], pixel_values=batch["pixel_values"], attention_mask=batch["attention_mask"]
    )
    for row, prompt in enumerate(prompts):
        single = tiny.processor.prepare([picture()], [prompt])
        alone = tiny.model(input_ids=single["input_ids"], pixel_values=single["pixel_values"])
        torch.testing.assert_close(found.logits[row, -1], alone.logits[0, -1], rtol=1e-3, atol=1e-3)


def test_a_pass_without_ids_or_embeddings_is_refused(tiny: Perceptio) -> None:
    with pytest.raises(ValueError, match="input_ids or inputs_embeds"):
        tiny.model()


def test_visual_tokens_must_fill_the_placeholders(tiny: Perceptio) -> None:
    ids, _ = question(tiny)
    with pytest.raises(ValueError, match="63 visual tokens do not fit 64 image placeholders"):
        tiny.model.embed(ids, torch.zeros(1, 63, 64))


def test_training_mode_leaves_the_frozen_parts_in_evaluation_mode(tiny: Perceptio) -> None:
    tiny.model.train()
    assert not tiny.model.depth_tokenizer.quantizer.training
    assert not tiny.model.sam.training
    assert not any(parameter.requires_grad for parameter in tiny.model.sam.vision_encoder.parameters())
    tiny.model.eval()


def test_saving_and_loading_keeps_every_tensor(tiny: Perceptio, tmp_path: Path) -> None:
    tiny.model.save_pretrained(tmp_path)
    loaded = PerceptioForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.vocabulary == tiny.model.config.vocabulary
    for (name, one), (other_name, other) in zip(
        tiny.model.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one, other), name


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_weights_that_do_not_fit_fail_loudly(tiny_folder: Path, tmp_path: Path, change: str) -> None:
    weights = load_file(tiny_folder / "model.safetensors")
    name = "projector.layers.0.weight"
    if change == "missing":
        del weights[name]
    else:
        name = "projector.layers.9.weight"
        weights[name] = torch.zeros(2)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((tiny_folder / "config.json").read_text())
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        PerceptioForConditionalGeneration.from_pretrained(tmp_path)


def test_the_same_classes_hold_an_8b_model() -> None:
    text = {
        "model_type": "qwen2",
        "vocab_size": 151_936,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    }
    vision = {"model_type": "internvl_vision", "image_size": [448, 448], "patch_size": [14, 14]}
    config = PerceptioConfig(
        vlm=InternVLConfig(vision_config=vision, text_config=text, tie_word_embeddings=False),
        sam=Sam2Config(),
        depth=DepthTokenizerConfig(),
    )
    with torch.device("meta"):
        model = PerceptioForConditionalGeneration(config)
    assert 7.5e9 < sum(parameter.numel() for parameter in model.vlm.parameters()) < 8.5e9
    assert model.config.depth.tokens_per_map == 100
    assert model.projector.layers[-1].out_features == config.sam.mask_decoder_config.hidden_size


@pytest.mark.parametrize("name", ["depth_positions", "order"])
def test_an_unknown_choice_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .* or .*, not 'other'"):
        PerceptioConfig(**{name: "other"})


def test_the_number_of_code_ids_must_match_the_codebook() -> None:
    with pytest.raises(ValueError, match="3 depth code token ids"):
        PerceptioConfig(depth_code_token_ids=[1, 2, 3])


def test_a_configuration_without_spatial_tokens_says_so() -> None:
    with pytest.raises(ValueError, match="extend the vocabulary"):
        _ = PerceptioConfig().vocabulary
