"""Which precision this machine computes in."""

from __future__ import annotations

from functools import cache

import torch


@cache
def computes_bfloat16() -> bool:
    """Whether matrix products in bfloat16 run on units made for them; elsewhere they are emulated.

    On a CPU with AVX2 alone the emulation is a hundred times slower than float32 (benchmarks/precision.py).
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
