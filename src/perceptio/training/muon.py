"""Muon that steps all matrices of one shape at once, in the precision that the machine computes in."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Muon

from perceptio.pretrained.precision import computes_bfloat16


class StackedMuon(Muon):
    """Muon (2502.16982) with AdamW-sized steps: torch's, in a fraction of the calls.

    torch.optim.Muon turns to one matrix after the other: more than half of all operations in a training step of nano
    are its small products, and to launch them is what keeps a GPU waiting. And it computes in bfloat16 whatever the
    parameters are; where that is emulated, one step of nano takes twenty seconds (benchmarks/precision.py). State and
    settings are torch's: a run can move between the two.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; there is no closure."""
        assert closure is None
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[tuple(parameter.shape)].append(parameter)
            for alike in by_shape.values():
                self._step_alike(alike, group)

    def _step_alike(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Step parameters of one shape."""
        rate, momentum = group["lr"], group["momentum"]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        averages = [self._average(parameter) for parameter in parameters]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        updates_NAB = torch.stack(averages)
        if group["nesterov"]:
            updates_NAB = torch.stack(gradients).lerp(updates_NAB, momentum)
        precision = torch.bfloat16 if computes_bfloat16() else torch.float32
        updates_NAB = orthogonalized(
            updates_NAB.to(precision), group["ns_coefficients"], group["ns_steps"], group["eps"]
        )
        torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
        # the size of AdamW's steps (2502.16982, section 2.2)
        size = rate * 0.2 * max(parameters[0].shape) ** 0.5
        torch._foreach_add_(parameters, list(updates_NAB.to(parameters[0].dtype)), alpha=-size)

    def _average(self, parameter: Tensor) -> Tensor:
        """The running mean of a parameter's gradients."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum_buffer"]
        return average


def orthogonalized(matrices_NAB: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """(N, A, B) with singular values near 1 and the singular vectors of each matrix: quintic Newton-Schulz iterations.

    The iteration is that of Muon (2502.16982, section 2.1).
    """
    a, b, c = coefficients
    tall = matrices_NAB.shape[1] > matrices_NAB.shape[2]
    iterate = matrices_NAB.mT if tall else matrices_NAB
    iterate = iterate / iterate.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = iterate @ iterate.mT
        iterate = torch.baddbmm(iterate, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), iterate, beta=a)
    return iterate.mT if tall else iterate
