"""Building a small model from nothing."""

from __future__ import annotations

import torch

from perceptio.model.build import sine_positions
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
