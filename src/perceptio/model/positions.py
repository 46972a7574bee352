"""Where the visual tokens of the whole picture are, and where depth codes stand: in the sequence, or at those tokens.

A depth span is a hundred look-ups of the kind "what is at the next cell?". With plain positions the model has to count
its own codes first, and the distance to the image changes with the length of the question. Here the token that
predicts a code takes the rotary position of the visual token under that code's cell, so that the distance to look at
is always zero. [ours], measured in docs/experiments.md.
"""

from __future__ import annotations

import torch
from torch import Tensor


def covering_tokens(cells: int, tokens: int) -> Tensor:
    """Index of the visual token under the centre of each depth cell, both square grids in raster order.

    Args:
        cells: N depth codes a map, a square number.
        tokens: V visual tokens a tile, a square number.

    Returns:
        (N,) int64.
    """
    side, grid = round(cells**0.5), round(tokens**0.5)
    assert (side**2, grid**2) == (cells, tokens), "depth cells and visual tokens form square grids"
    place = (2 * torch.arange(side) + 1) * grid // (2 * side)
    return (place[:, None] * grid + place).flatten()


def visual_columns(input_ids: Tensor, image_token_id: int, tokens: int) -> Tensor:
    """Places (B, V) int64 in each row of the V visual tokens that show the whole picture.

    Args:
        input_ids: (B, T) int64; the last V image placeholders of a row are the whole picture (InternVL puts the
            thumbnail after the tiles).
        image_token_id: id of the placeholder.
        tokens: V.
    """
    columns_T = torch.arange(input_ids.shape[1], device=input_ids.device)
    last_B = (columns_T * (input_ids == image_token_id)).amax(1)
    return (last_B - tokens + 1)[:, None] + torch.arange(tokens, device=input_ids.device)


def positions_of_cells(input_ids: Tensor, position_ids: Tensor, image_token_id: int, cells: int, tokens: int) -> Tensor:
    """Positions (B, N) int64 of the tokens that predict the N codes of a span in each row.

    Args:
        input_ids: (B, T) int64; the image placeholders of a row are one run, its last V the whole picture (InternVL
            puts the thumbnail after the tiles).
        position_ids: (B, T) int64.
        image_token_id: id of the placeholder.
        cells: N.
        tokens: V.
    """
    last_B = position_ids.masked_fill(input_ids != image_token_id, -1).amax(1)
    return (last_B - tokens + 1)[:, None] + covering_tokens(cells, tokens).to(input_ids.device)


def span_positions(
    input_ids: Tensor, position_ids: Tensor, spans: Tensor, image_token_id: int, cells: int, tokens: int
) -> Tensor:
    """Positions (B, T) with the tokens of depth spans that predict a code at the place of its cell.

    Args:
        input_ids: (B, T) int64, as in `positions_of_cells`.
        position_ids: (B, T) int64.
        spans: (R, 2) int64, row and column of each <DEPTH_START>; the last span of a row may be cut off.
        image_token_id: id of the placeholder.
        cells: N.
        tokens: V.
    """
    cells_BN = positions_of_cells(input_ids, position_ids, image_token_id, cells, tokens)
    rows_R, starts_R = spans.unbind(1)
    places_RN = starts_R[:, None] + torch.arange(cells, device=starts_R.device)
    inside_RN = places_RN < position_ids.shape[1]
    rows_RN = rows_R[:, None].expand_as(places_RN)
    return position_ids.index_put((rows_RN[inside_RN], places_RN[inside_RN]), cells_BN[rows_R][inside_RN])
