"""The float32 Muon against the singular value decomposition and against torch's own."""

from __future__ import annotations

import pytest
import torch

from perceptio.training.muon import Float32Muon, orthogonalized

SETTINGS = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    result = orthogonalized(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ result @ right.T
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), atol=1e-4, rtol=0)
    assert bool(((inner.diagonal() > 0.5) & (inner.diagonal() < 1.3)).all())


@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_equal_torchs_up_to_its_rounding(nesterov: bool) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(8, 5), torch.randn(4, 8, 5)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = [
        Float32Muon([ours], nesterov=nesterov, **SETTINGS),
        torch.optim.Muon([theirs], nesterov=nesterov, **SETTINGS),
    ]
    for gradient in gradients:
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=4 * 0.02 * 8**0.5 * 0.2 * 0.02)
    torch.testing.assert_close(optimizers[0].state_dict()["state"], optimizers[1].state_dict()["state"])


def test_a_parameter_without_a_gradient_stays() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    Float32Muon([parameter], **SETTINGS).step()
    assert torch.equal(parameter, torch.ones(2, 2))
