"""Building a small model from nothing."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.design import Design
from perceptio.nano.build import Sizes, build_model
from perceptio.nano.initialization import (
    LANGUAGE,
    VISION,
    Mimetic,
    mimetic_attention,
    sine_positions,
    transparent_language,
)


def test_positions_differ_everywhere_and_neighbours_are_alike() -> None:
    table = sine_positions(16, 64)
    distances = torch.cdist(table, table)
    assert distances[~torch.eye(256, dtype=torch.bool)].min() > 0.05
    assert distances[0, 1] < distances[0, 2] < distances[0, 8]
    assert distances[0, 16] < distances[0, 32] < distances[0, 128]


def test_a_width_that_is_no_multiple_of_four_is_padded() -> None:
    assert sine_positions(4, 30).shape == (16, 30)


def test_a_fresh_depth_query_is_the_mean_of_the_codes(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    sizes = Sizes(image=128, vision_layers=1, text_layers=1, design=Design(depth_decoding="parallel"))
    model = build_model(tiny_tokenizer, DepthTokenizerConfig(image_size=64, downsample=16, codes=8), sizes)
    codes = model.get_input_embeddings().weight[model.config.depth_code_token_ids]
    assert codes.std(0).min() > 0
    torch.testing.assert_close(model.depth_query, codes.mean(0))
    assert model.depth_query.requires_grad


@torch.no_grad()
def test_a_fresh_language_model_shows_its_tokens() -> None:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=200,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    model = Qwen2ForCausalLM(config).eval()
    transparent_language(model.model, model.lm_head, heads=2)
    ids = torch.randint(0, 200, (8, 40))
    outputs = model(input_ids=ids, output_hidden_states=True)
    first, last = outputs.hidden_states[0], outputs.hidden_states[-1]
    assert first.square().mean().sqrt().item() == pytest.approx(1, rel=0.05)
    assert torch.cosine_similarity(first, last, dim=-1).mean() > 0.7
    common = last.flatten(0, 1).mean(0).square().mean() / last.square().mean()
    assert common < 0.1
    own = outputs.logits.gather(-1, ids[..., None])
    assert 2 < own.mean() <= 4.5
    assert outputs.logits.std() < 1.5


@pytest.mark.parametrize("strengths", [VISION, LANGUAGE])
def test_attention_starts_near_the_identity(strengths: Mimetic) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Module()
    for name in ("q_proj", "k_proj", "v_proj"):
        setattr(layer, name, torch.nn.Linear(64, 64))
    output = torch.nn.Linear(64, 64)
    mimetic_attention(layer, output, 1, strengths)
    with torch.no_grad():
        looks = layer.q_proj.weight.T @ layer.k_proj.weight
        moves = output.weight @ layer.v_proj.weight
    assert looks.diagonal().mean().item() == pytest.approx(strengths.query_key_identity, abs=0.1)
    assert moves.diagonal().mean().item() == pytest.approx(strengths.value_identity, abs=0.1)
    off = looks - torch.diag(looks.diagonal())
    assert off.std().item() == pytest.approx(strengths.query_key_noise / 8, rel=0.1)
