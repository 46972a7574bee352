"""FSDP2: weights, gradients and optimiser state spread over processes, each layer gathered only while it computes.

torch's own `fully_shard`, so that the same code runs (and is tested) with gloo on a CPU and with NCCL on GPUs.
Checkpoints hold whole tensors: a run may be resumed on another number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from perceptio.model.packed_objective import PackedObjective


def shard(objective: PackedObjective) -> None:
    """Shard a model with its objective over all processes: every layer of both transformers apart, the rest together.

    Call it once `requires_grad` is settled, before an optimiser is made. The parameters may lie on the CPU:
    each layer's share alone goes to this process's device.
    """
    from torch.distributed.fsdp import fully_shard

    for module in objective.modules():
        for name, value in module.named_parameters(recurse=False):
            if value.dim() == 0:  # which FSDP2 refuses; a vector of one computes the same
                setattr(module, name, nn.Parameter(value.detach()[None], value.requires_grad))
    vlm = objective.model.vlm.model
    for layer in (*vlm.language_model.layers, *vlm.vision_tower.encoder.layer):
        fully_shard(layer)
    fully_shard(objective)


def is_sharded(model: nn.Module) -> bool:
    """Whether `shard` was here."""
    return any(isinstance(value, DTensor) for value in model.parameters())


def gather(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors on the CPU; every process must call it with the same names."""
    return {name: _whole(value).cpu().contiguous() for name, value in values.items()}


def gather_state(optimizer: Optimizer) -> dict[str, Any]:
    """An optimiser's state with whole tensors on the CPU; every process must call it."""
    state: dict[str, Any] = tree_map(
        lambda value: _whole(value).cpu() if isinstance(value, Tensor) else value, optimizer.state_dict()
    )
    return state


def load_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """What `gather_state` gave, sharded or not, spread as the parameters are now."""
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if name != "step":
                values[name] = spread(value, parameter)


@torch.no_grad()
def spread(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, sharded as `like` is if it is, in its shape (where a number may be a vector of one)."""
    value = value.to(like.device).reshape(like.shape)
    return distribute_tensor(value, like.device_mesh, like.placements) if isinstance(like, DTensor) else value


def _whole(value: Tensor) -> Tensor:
    value = value.detach()
    return value.full_tensor() if isinstance(value, DTensor) else value
