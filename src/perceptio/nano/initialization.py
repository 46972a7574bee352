"""First values for a small model that is trained from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Mimetic:
    """Strengths of noise and identity in products of attention's matrices (2305.09828, section 4)."""

    query_key_noise: float
    query_key_identity: float
    value_noise: float
    value_identity: float


VISION = Mimetic(0.7, 0.7, 0.4, -0.4)  # small ViTs, as in the paper
# a head looks at what is like its own token, and adds it: words find what they name [ours]
LANGUAGE = Mimetic(0.3, 0.7, 0.3, 0.4)


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
    # unit deviation: as large as the patches themselves, so that attention can tell near from far from the first step
    return 2**0.5 * nn.functional.pad(table, (0, width - table.shape[1]))


@torch.no_grad()
def mimetic_attention(attention: Any, output: nn.Linear, heads: int, strengths: Mimetic) -> None:
    """Start self-attention as trained models end up: mimetic initialisation (2305.09828).

    Queries times keys is near the identity, so that a patch looks at patches that are alike and, with sine positions in
    its state, near; values times projection is near the identity or its negative. From independent random weights a
    small tower sees single patches only for its first thousands of steps.

    Args:
        attention: a module with linear layers `q_proj`, `k_proj` and `v_proj`, (width, width) each; changed in place.
        output: its last linear layer, likewise.
        heads: number of heads; width / heads is the width of one.
        strengths: how near.
    """
    width = attention.q_proj.weight.shape[0]
    each = width // heads
    for head in range(heads):
        part = slice(head * each, (head + 1) * each)
        left, right = _factors(strengths.query_key_noise, strengths.query_key_identity, width)
        attention.q_proj.weight[part] = left[:, :each].T
        attention.k_proj.weight[part] = right[:, :each].T
    left, right = _factors(strengths.value_noise, strengths.value_identity, width)
    attention.v_proj.weight.copy_(left.T)
    output.weight.copy_(right)


@torch.no_grad()
def transparent_language(language: Any, head: nn.Linear, heads: int) -> None:
    """Start a language model with layers that leave what they read visible. [ours], measured in docs/experiments.md.

    Where embeddings are small and every layer adds a random function of them at once, visual tokens soon consist of
    what they have in common, and a deeper layer cannot tell one from the next. Here embeddings have a root mean square
    of 1, attention adds what is alike, and MLPs add nothing at first.

    Args:
        language: Qwen2's model without head; changed in place.
        head: apart from the embeddings, likewise.
        heads: of its attention.
    """
    width = head.in_features
    for layer in language.layers:
        mimetic_attention(layer.self_attn, layer.self_attn.o_proj, heads, LANGUAGE)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    nn.init.normal_(language.embed_tokens.weight)
    # a state that is still its own token's embedding gives that token a logit of 4
    head.weight.copy_(language.embed_tokens.weight * 4 / width)


def _factors(noise: float, identity: float, width: int) -> tuple[Tensor, Tensor]:
    """(width, width) factors L, R with L @ R.T = noise * Z + identity * I, columns by falling strength."""
    target = noise * torch.randn(width, width) / width**0.5 + identity * torch.eye(width)
    left, strength, right = torch.linalg.svd(target)
    return left * strength.sqrt(), right.T * strength.sqrt()


def weight_std(width: int) -> float:
    """Standard deviation that keeps a layer's output at the scale of its input, less a margin for the residuals."""
    return 0.75 * width**-0.5
