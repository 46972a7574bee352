"""Muon for matrices, AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

_EMBEDDINGS = (nn.Embedding,)


class MatrixOptimizer(Optimizer):
    """Muon (2502.16982) on the matrices inside a model; AdamW on embeddings, heads, norms, biases and kernels.

    Muon's steps are scaled to AdamW's size ("match_rms_adamw"), so that one rate has one meaning. On the vision
    stage of nano it needs less than half of AdamW's steps (docs/experiments.md).

    Args:
        module: whose trainable parameters are optimised.
        matrix_rate: learning rate of the matrices.
        rate: of everything else.
        weight_decay: of matrices; AdamW's parameters decay likewise, except vectors.
    """

    def __init__(self, module: nn.Module, matrix_rate: float, rate: float, weight_decay: float) -> None:
        # no super().__init__: the two optimisers hold the groups, and `param_groups` below shows both
        matrices, others, vectors = split_parameters(module)
        decays = [{"params": others, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self._parts: list[Optimizer] = []
        if matrices:
            self._parts.append(
                Muon(matrices, lr=matrix_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )
        self._parts.append(AdamW([group for group in decays if group["params"]], lr=rate, betas=(0.9, 0.98)))
        self.defaults = dict(self._parts[-1].defaults)

    # Optimizer declares attributes and an overloaded step; a view of two optimisers cannot be plain attributes,
    # since each part replaces its own lists when it loads a state.
    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of both; a scheduler changes them in place."""
        return [group for part in self._parts for group in part.param_groups]

    @property
    def state(self) -> dict[Tensor, Any]:  # type: ignore[override]
        """The state of both, by parameter."""
        return {parameter: value for part in self._parts for parameter, value in part.state.items()}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both; there is no closure."""
        assert closure is None
        for part in self._parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of both, in order."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Trainable parameters in three: matrices of hidden layers, other tensors, vectors.

    A matrix that turns ids into states or states into classes is no hidden layer: embeddings (and heads tied to them),
    `lm_head` and `head` count as other.
    """
    outer = {id(part.weight) for part in module.modules() if isinstance(part, _EMBEDDINGS)}
    matrices, others, vectors = [], [], []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        is_head = any(word in ("lm_head", "head") for word in name.split("."))
        if parameter.dim() < 2:
            vectors.append(parameter)
        elif parameter.dim() == 2 and id(parameter) not in outer and not is_head:
            matrices.append(parameter)
        else:
            others.append(parameter)
    return matrices, others, vectors
