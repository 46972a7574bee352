"""What bfloat16 costs on this machine in a matrix product of nano's sizes, and a step of torch's Muon against ours.

python benchmarks/precision.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.optim import Muon

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.pretrained.precision import computes_bfloat16
from perceptio.training.muon import StackedMuon
from perceptio.training.optimizer import sort_parameters


def seconds(action: Callable[[], object], times: int) -> float:
    """Of one call, after one to warm up."""
    action()
    start = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - start) / times


@reporting()
def main() -> None:
    """Print both ratios and what training would choose."""
    rates = {}
    for kind in (torch.float32, torch.bfloat16):
        left, right = torch.randn(4000, 256).to(kind), torch.randn(256, 768).to(kind)
        rates[kind] = 2 * 4000 * 256 * 768 / seconds(partial(torch.matmul, left, right), 5) / 1e9
        print(f"(4000 x 256) @ (256 x 768), {str(kind).removeprefix('torch.')}: {rates[kind]:.1f} GFLOP/s")
    model = Perceptio.from_pretrained("nano").model.float()
    matrices = [nn.Parameter(p.detach()) for _, p, kind in sort_parameters(model) if kind == "matrix"]
    for matrix in matrices:
        matrix.grad = torch.randn_like(matrix)
    steps = {kind: seconds(kind(matrices, lr=0.0).step, 3) for kind in (Muon, StackedMuon)}
    print(
        f"a step of Muon on {len(matrices)} matrices: torch's {steps[Muon]:.3f} s, ours {steps[StackedMuon]:.3f} s, "
        f"{steps[Muon] / steps[StackedMuon]:.1f}x as fast"
    )
    print(
        f"products in float32 over bfloat16: {rates[torch.float32] / rates[torch.bfloat16]:.1f}x as fast; "
        f"training takes bfloat16 here: {computes_bfloat16()}"
    )


if __name__ == "__main__":
    main()
