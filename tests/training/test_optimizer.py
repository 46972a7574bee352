"""The combined optimiser equals its parts, and survives saving."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from perceptio.pipeline import Perceptio
from perceptio.training.muon import StackedMuon
from perceptio.training.optimizer import MatrixOptimizer, sort_parameters


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.norm = nn.LayerNorm(4)
        self.hidden = nn.Linear(4, 6)
        self.head = nn.Linear(6, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.hidden(self.norm(self.embed(ids)))))


def loss_of(module: Small) -> torch.Tensor:
    ids = torch.arange(5)
    return nn.functional.cross_entropy(module(ids), ids.flip(0))


def small() -> Small:
    torch.manual_seed(0)
    return Small()


def steps(module: Small, optimizer: torch.optim.Optimizer, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        loss_of(module).backward()
        optimizer.step()


def parts_of(module: Small, scale: float = 1.0) -> list[torch.optim.Optimizer]:
    """The optimisers by hand; `scale` is that of the rates of `hidden`."""
    vectors = [module.norm.weight, module.norm.bias, module.head.bias]
    adam = {"betas": (0.9, 0.98)}
    return [
        StackedMuon([module.hidden.weight], lr=1e-2 * scale, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([module.embed.weight, module.head.weight], lr=1e-3, weight_decay=0.05, **adam),
        torch.optim.AdamW(vectors, lr=1e-3, weight_decay=0.0, **adam),
        torch.optim.AdamW([module.hidden.bias], lr=1e-3 * scale, weight_decay=0.0, **adam),
    ]


def test_only_hidden_matrices_go_to_muon() -> None:
    module = small()
    kinds = {name: kind for name, _, kind in sort_parameters(module)}
    assert {name for name, kind in kinds.items() if kind == "matrix"} == {"hidden.weight"}
    assert {name for name, kind in kinds.items() if kind == "other"} == {"embed.weight", "head.weight"}
    assert len(kinds) == len(list(module.parameters()))


def test_a_tied_embedding_and_frozen_parts_are_left_out_of_the_matrices(tiny: Perceptio) -> None:
    kinds = {id(item): kind for _, item, kind in sort_parameters(tiny.model)}
    assert kinds[id(tiny.model.get_input_embeddings().weight)] == "other"
    assert set(kinds) == {id(item) for item in tiny.model.parameters() if item.requires_grad}


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_step_equals_steps_of_the_parts_at_their_own_rates(scale: float) -> None:
    module, other = small(), small()
    combined = MatrixOptimizer(module, 1e-2, 1e-3, 0.05, {} if scale == 1 else {"hidden": scale})
    apart = parts_of(other, scale)
    steps(module, combined, 3)
    for _ in range(3):
        other.zero_grad()
        loss_of(other).backward()
        for optimizer in apart:
            optimizer.step()
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_without_a_matrix_rate_everything_is_adamws() -> None:
    combined = MatrixOptimizer(small(), 0.0, 1e-3, 0.05, {"hidden": 0.5})
    assert {group["lr"] for group in combined.param_groups} == {1e-3, 5e-4}
    assert all("betas" in group for group in combined.param_groups)


def test_a_single_parameter_may_have_a_rate_of_its_own() -> None:
    module = small()
    combined = MatrixOptimizer(module, 0.0, 1e-3, 0.05, {"head.bias": 3.0})
    (scaled,) = [group for group in combined.param_groups if group["lr"] == pytest.approx(3e-3)]
    assert [id(parameter) for parameter in scaled["params"]] == [id(module.head.bias)]


def test_a_scale_for_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="'hiden'"):
        MatrixOptimizer(small(), 1e-2, 1e-3, 0.05, {"hiden": 0.5})


def test_training_lowers_the_loss_and_a_scheduler_reaches_both_parts() -> None:
    module = small()
    optimizer = MatrixOptimizer(module, 1e-2, 1e-2, 0.0)
    before = loss_of(module).item()
    steps(module, optimizer, 80)
    assert loss_of(module).item() < before / 2
    LambdaLR(optimizer, lambda step: 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {5e-3}


def test_loading_a_saved_state_goes_on_exactly() -> None:
    module = small()
    optimizer = MatrixOptimizer(module, 1e-2, 1e-3, 0.05)
    steps(module, optimizer, 3)
    twin = copy.deepcopy(module)
    resumed = MatrixOptimizer(twin, 1e-2, 1e-3, 0.05)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(module, optimizer, 3)
    steps(twin, resumed, 3)
    for one, two in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)
