"""Muon in stacks against the singular value decomposition and against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch

from perceptio.training.muon import StackedMuon, orthogonalized

SETTINGS = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape)
    results = orthogonalized(matrices, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    for matrix, result in zip(matrices, results, strict=True):
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        inner = left.T @ result @ right.T
        torch.testing.assert_close(inner, torch.diag(inner.diagonal()), atol=1e-4, rtol=0)
        assert bool(((inner.diagonal() > 0.5) & (inner.diagonal() < 1.3)).all())


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("units", [True, False], ids=["bfloat16", "float32"])
def test_steps_equal_torchs_up_to_its_rounding(nesterov: bool, units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceptio.training.muon.computes_bfloat16", lambda: units)
    torch.manual_seed(0)
    shapes = [(8, 5), (5, 8), (8, 5), (8, 5)]  # three are stepped at once
    starts = [torch.randn(shape) for shape in shapes]
    ours, theirs = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    optimizers = [
        StackedMuon(ours, nesterov=nesterov, **SETTINGS),
        torch.optim.Muon(theirs, nesterov=nesterov, **SETTINGS),
    ]
    for _ in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=4 * 0.02 * 8**0.5 * 0.2 * 0.02)
    torch.testing.assert_close(optimizers[0].state_dict()["state"], optimizers[1].state_dict()["state"])


def test_a_parameter_without_a_gradient_stays() -> None:
    moved, still = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    moved.grad = torch.eye(2)
    optimizer = StackedMuon([moved, still], **SETTINGS)
    optimizer.step()
    assert torch.equal(still, torch.ones(2, 2))
    assert not torch.equal(moved, torch.ones(2, 2))
    assert still not in optimizer.state


def test_a_run_may_go_on_from_torchs_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceptio.training.muon.computes_bfloat16", lambda: True)  # as torch's does
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(4, 6)) for _ in range(2)]
    torchs = torch.optim.Muon(parameters, **SETTINGS)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    torchs.step()
    others = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    ours = StackedMuon(others, **SETTINGS)
    ours.load_state_dict(copy.deepcopy(torchs.state_dict()))  # or the two would share it
    for parameter, other in zip(parameters, others, strict=True):
        parameter.grad = torch.randn_like(parameter)
        other.grad = parameter.grad.clone()
    torchs.step()
    ours.step()
    for parameter, other in zip(parameters, others, strict=True):
        torch.testing.assert_close(other, parameter, rtol=0, atol=0.02 * 6**0.5 * 0.2 * 0.05)
