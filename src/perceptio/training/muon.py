"""torch's Muon, its orthogonalisation in float32: for machines on which products in bfloat16 are emulated."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Muon


class Float32Muon(Muon):
    """Muon (2502.16982) with AdamW-sized steps, on CPUs without bfloat16 units.

    torch.optim.Muon computes its Newton-Schulz iteration in bfloat16 whatever the parameters are; where that is
    emulated, one step of nano takes twenty seconds (benchmarks/precision.py). State and settings are torch's: a run can
    move between the two.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; there is no closure."""
        assert closure is None
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
                update = gradient.lerp(average, momentum) if group["nesterov"] else average
                update = orthogonalized(update.float(), group["ns_coefficients"], group["ns_steps"], group["eps"])
                parameter.mul_(1 - rate * group["weight_decay"])
                # the size of AdamW's steps (2502.16982, section 2.2)
                parameter.add_(update.to(parameter.dtype), alpha=-rate * 0.2 * max(parameter.shape) ** 0.5)


def orthogonalized(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """(A, B) with singular values near 1 and the singular vectors of `matrix`: a quintic Newton-Schulz iteration."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    iterate = matrix.T if tall else matrix
    iterate = iterate / iterate.norm().clamp(min=eps)
    for _ in range(steps):
        gram = iterate @ iterate.T
        iterate = torch.addmm(iterate, torch.addmm(gram, gram, gram, beta=b, alpha=c), iterate, beta=a)
    return iterate.T if tall else iterate
