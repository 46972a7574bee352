"""Building a small model from nothing."""

from __future__ import annotations

import pytest
import torch

from perceptio.model.initialization import LANGUAGE, VISION, Mimetic, mimetic_attention, sine_positions
from perceptio.pipeline import Perceptio


def test_positions_differ_everywhere_and_neighbours_are_alike() -> None:
    table = sine_positions(16, 64)
    distances = torch.cdist(table, table)
    assert distances[~torch.eye(256, dtype=torch.bool)].min() > 0.05
    assert distances[0, 1] < distances[0, 2] < distances[0, 8]
    assert distances[0, 16] < distances[0, 32] < distances[0, 128]


def test_a_width_that_is_no_multiple_of_four_is_padded() -> None:
    assert sine_positions(4, 30).shape == (16, 30)


def test_embedding_and_head_share_their_weight(tiny: Perceptio) -> None:
    assert tiny.model.get_output_embeddings().weight is tiny.model.get_input_embeddings().weight


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
