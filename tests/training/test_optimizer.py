"""The combined optimiser equals its parts, and survives saving."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from perceptio.pipeline import Perceptio
from perceptio.training.optimizer import MatrixOptimizer, split_parameters


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


def test_only_hidden_matrices_go_to_muon() -> None:
    module = small()
    matrices, others, vectors = split_parameters(module)
    assert [tuple(item.shape) for item in matrices] == [(6, 4)]
    assert {tuple(item.shape) for item in others} == {(5, 4), (5, 6)}
    assert all(item.dim() == 1 for item in vectors)
    assert len(matrices) + len(others) + len(vectors) == len(list(module.parameters()))


def test_a_tied_embedding_and_frozen_parts_are_left_out_of_the_matrices(tiny: Perceptio) -> None:
    parts = split_parameters(tiny.model)
    ids = [{id(item) for item in part} for part in parts]
    assert id(tiny.model.get_input_embeddings().weight) in ids[1]
    frozen = {id(item) for item in tiny.model.parameters() if not item.requires_grad}
    assert not frozen & (ids[0] | ids[1] | ids[2])
    assert sum(map(len, parts)) == sum(item.requires_grad for item in tiny.model.parameters())


def test_a_step_equals_a_step_of_muon_and_of_adamw_apart() -> None:
    module, other = small(), small()
    combined = MatrixOptimizer(module, 1e-2, 1e-3, 0.05)
    matrices, tensors, vectors = split_parameters(other)
    apart = [
        torch.optim.Muon(matrices, lr=1e-2, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(tensors, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98)),
        torch.optim.AdamW(vectors, lr=1e-3, weight_decay=0.0, betas=(0.9, 0.98)),
    ]
    steps(module, combined, 3)
    for _ in range(3):
        other.zero_grad()
        loss_of(other).backward()
        for optimizer in apart:
            optimizer.step()
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


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
