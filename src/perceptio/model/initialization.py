"""First values for a small model that is trained from nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# strengths of noise and identity (Mimetic Initialization, 2305.09828, section 4, for small ViTs)
_QUERY_KEY_NOISE, _QUERY_KEY_IDENTITY = 0.7, 0.7
_VALUE_NOISE, _VALUE_IDENTITY = 0.4, 0.4


def sine_positions(grid: int, width: int) -> Tensor:
    """2-D sine-cosine position embeddings (MAE, 2111.06377): (grid * grid, width) float32, in raster order.

    A learnt table that starts near zero takes a small tower thousands of steps to find out where its patches are.
    """
    quarter = width // 4
    frequencies = 1 / 100 ** (torch.arange(quarter) / quarter)
    angles = torch.arange(grid)[:, None] * frequencies  # (grid, quarter)
    waves = torch.cat([angles.sin(), angles.cos()], 1)  # (grid, width / 2)
    rows = waves[:, None].expand(grid, grid, -1)
    columns = waves[None].expand(grid, grid, -1)
    table = torch.cat([rows, columns], -1).flatten(0, 1)
    # unit deviation: as loud as the patches themselves, so that attention can tell near from far from the first step
    return 2**0.5 * nn.functional.pad(table, (0, width - table.shape[1]))


@torch.no_grad()
def mimetic_attention(attention: Any, heads: int) -> None:
    """Start self-attention as trained models end up: mimetic initialisation (2305.09828).

    Queries times keys is near the identity, so that a patch looks at patches that are alike and, with sine positions in
    its state, near; values times projection is near the negative identity. From independent random weights a small
    tower sees single patches only for its first thousands of steps.

    Args:
        attention: a module with linear layers `q_proj`, `k_proj`, `v_proj` and `projection_layer`, (width, width) each;
            changed in place.
        heads: number of heads; width / heads is the width of one.
    """
    width = attention.q_proj.weight.shape[0]
    each = width // heads
    for head in range(heads):
        part = slice(head * each, (head + 1) * each)
        left, right = _factors(_QUERY_KEY_NOISE, _QUERY_KEY_IDENTITY, width)
        attention.q_proj.weight[part] = left[:, :each].T
        attention.k_proj.weight[part] = right[:, :each].T
    left, right = _factors(_VALUE_NOISE, -_VALUE_IDENTITY, width)
    attention.v_proj.weight.copy_(left.T)
    attention.projection_layer.weight.copy_(right)


def _factors(noise: float, identity: float, width: int) -> tuple[Tensor, Tensor]:
    """(width, width) factors L, R with L @ R.T = noise * Z + identity * I, columns by falling strength."""
    target = noise * torch.randn(width, width) / width**0.5 + identity * torch.eye(width)
    left, strength, right = torch.linalg.svd(target)
    return left * strength.sqrt(), right.T * strength.sqrt()


def weight_std(width: int) -> float:
    """Standard deviation that keeps a layer's output at the scale of its input, less a margin for the residuals."""
    return 0.75 * width**-0.5
