"""Rotary positions of depth codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perceptio.model.positions import covering_tokens, positions_of_cells, visual_columns


@pytest.mark.parametrize(("cells", "tokens"), [(100, 64), (100, 256), (16, 16), (64, 100)])
def test_each_cells_token_holds_the_cells_centre(cells: int, tokens: int) -> None:
    side, grid = round(cells**0.5), round(tokens**0.5)
    found = covering_tokens(cells, tokens).numpy()
    for cell, token in enumerate(found):
        for centre, place in zip(np.divmod(cell, side), np.divmod(token, grid), strict=True):
            assert place / grid <= (centre + 0.5) / side <= (place + 1) / grid


def test_equal_grids_map_one_to_one() -> None:
    assert covering_tokens(16, 16).tolist() == list(range(16))


def test_the_positions_are_those_of_the_last_tile() -> None:
    image, words = 9, [1, 2]
    row = [*words, *[image] * 8, *words]  # two tiles of four tokens
    padded = [0, 0, 0, 0, *words, *[image] * 4, *words]
    ids = torch.tensor([row, padded])
    places = torch.tensor([range(12), [0, 0, 0, 0, *range(8)]])
    assert positions_of_cells(ids, places, image, 4, 4).tolist() == [[6, 7, 8, 9], [2, 3, 4, 5]]


def test_the_visual_columns_are_those_of_the_last_tile() -> None:
    ids = torch.tensor([[1, 9, 9, 9, 9, 9, 9, 9, 9, 2], [0, 0, 0, 1, 9, 9, 9, 9, 2, 2]])
    assert visual_columns(ids, 9, 4).tolist() == [[5, 6, 7, 8], [4, 5, 6, 7]]
