"""Muon for matrices, AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from perceptio.training.muon import StackedMuon

Kind = Literal["matrix", "other", "vector"]

_EMBEDDINGS = (nn.Embedding,)
_ALIKE: Mapping[str, float] = MappingProxyType({})


class MatrixOptimizer(Optimizer):
    """Muon (2502.16982) on the matrices inside a model; AdamW on embeddings, heads, norms, biases and kernels.

    Muon's steps are scaled to AdamW's size ("match_rms_adamw"), so that one rate has one meaning. On the vision
    stage of nano it needs less than half of AdamW's steps (docs/experiments.md).

    Args:
        module: whose trainable parameters are optimised.
        matrix_rate: learning rate of the matrices; 0 leaves them to AdamW.
        rate: of everything else.
        weight_decay: of matrices; AdamW's parameters decay likewise, except vectors.
        scales: factors on both rates, by the name of a submodule ("sam") or a parameter; the rest learns at the full
            rates.
        beta2: of AdamW.

    Raises:
        ValueError: if the module has no trainable parameter of such a name.
    """

    def __init__(
        self,
        module: nn.Module,
        matrix_rate: float,
        rate: float,
        weight_decay: float,
        scales: Mapping[str, float] = _ALIKE,
        beta2: float = 0.98,
    ) -> None:
        # no super().__init__: the two optimisers hold the groups, and `param_groups` below shows both
        groups: dict[tuple[Kind, float], list[nn.Parameter]] = {}
        unused = set(scales)
        for name, parameter, kind in sort_parameters(module):
            if kind == "matrix" and not matrix_rate:
                kind = "other"
            part = next((part for part in scales if f"{name}.".startswith(f"{part}.")), None)
            unused.discard(part or "")
            groups.setdefault((kind, 1.0 if part is None else scales[part]), []).append(parameter)
        if unused:
            raise ValueError(f"no trainable parameter belongs to {min(unused)!r}, whose rate was to be scaled")
        matrices = [
            {"params": parameters, "lr": matrix_rate * scale}
            for (kind, scale), parameters in groups.items()
            if kind == "matrix"
        ]
        rest = [
            {"params": parameters, "lr": rate * scale, "weight_decay": 0.0 if kind == "vector" else weight_decay}
            for (kind, scale), parameters in groups.items()
            if kind != "matrix"
        ]
        self._parts: list[Optimizer] = []
        if matrices:
            self._parts.append(
                StackedMuon(matrices, lr=matrix_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )
        if rest:
            self._parts.append(AdamW(rest, lr=rate, betas=(0.9, beta2)))
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


def sort_parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter, Kind]]:
    """Name and kind of every trainable parameter: matrix of a hidden layer, other tensor, vector.

    A matrix that turns ids into states or states into classes is no hidden layer: embeddings (and heads tied to them),
    `lm_head` and `head` count as other.
    """
    outer = {id(part.weight) for part in module.modules() if isinstance(part, _EMBEDDINGS)}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        is_head = any(word in ("lm_head", "head") for word in name.split("."))
        if parameter.dim() < 2:
            yield name, parameter, "vector"
        elif parameter.dim() == 2 and id(parameter) not in outer and not is_head:
            yield name, parameter, "matrix"
        else:
            yield name, parameter, "other"
