"""Attention heads are taught where to look while the model reads something off the picture, the depth map or the text.

"A at 3,4 nearness 57": to write the digits the model must find the letter among the visual tokens, and nothing in the
loss of the digits says which token it is until the model looks there by chance. Where data says what a word is read
from (`nano/attention_targets.py`), a head's attention is a prediction that can be taught like any other. Each kind of
target has the first head of a layer of its own, in the order in which one needs the other: what is seen, then the depth
code of its place, then what is said again. Nothing changes in use. [ours], measured in docs/experiments.md.

Shapes: B rows, T positions, L targets, h width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention, apply_rotary_pos_emb

SEEN, DEPTH, SAID = KINDS = range(3)  # what is looked at: a thing in the picture, its depth code, the same word


def taught_layers(layers: nn.ModuleList) -> tuple[Qwen2Attention, ...]:
    """The attention whose first head each kind of target has: around the middle, so that later layers can use it.

    In a model of few layers several kinds share one.
    """
    first = max(len(layers) // 2 - 1, 0)
    places = (min(first + kind, len(layers) - 1) for kind in KINDS)
    return tuple(cast(Qwen2Attention, layers[place].self_attn) for place in places)


@contextmanager
def call_arguments(modules: Sequence[nn.Module]) -> Iterator[list[dict[str, Any]]]:
    """The keyword arguments of the last call of each module, once it has been called."""
    calls: list[dict[str, Any]] = [{} for _ in modules]
    handles = [
        module.register_forward_pre_hook(lambda _, args, kwargs, into=into: into.update(kwargs), with_kwargs=True)
        for module, into in zip(modules, calls, strict=True)
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def attention_losses(
    attentions: Sequence[Qwen2Attention], calls: Sequence[dict[str, Any]], targets_L4: Tensor
) -> list[Tensor]:
    """The loss of each kind of target, in the order of `KINDS`, see `attention_loss`.

    Args:
        attentions: of each kind, see `taught_layers`.
        calls: what each was called with, see `call_arguments`.
        targets_L4: int64: kind, row, position, and the position to look at.
    """
    return [
        attention_loss(attention, call, targets_L4[targets_L4[:, 0] == kind, 1:])
        for kind, attention, call in zip(KINDS, attentions, calls, strict=True)
    ]


def attention_loss(attention: Qwen2Attention, call: dict[str, Any], targets_L3: Tensor) -> Tensor:
    """Cross-entropy of where the first head looks, over all that it can see, with where it is to look.

    Args:
        attention: of Qwen2 or Qwen3.
        call: what it was called with: `hidden_states` (B, T, D), `position_embeddings`, `attention_mask` (B, 1, T, T).
        targets_L3: int64: row, position, and the position to look at.

    Returns:
        () float32, the mean over targets; 0 (with a gradient path) where there is none.
    """
    log_shares_LT = _log_shares(attention, call, targets_L3[:, :2])
    losses_L = -log_shares_LT.gather(1, targets_L3[:, 2:])
    return losses_L.sum() / max(len(targets_L3), 1)


def _log_shares(attention: Qwen2Attention, call: dict[str, Any], places_L2: Tensor) -> Tensor:
    """Log-attention (L, T) of the first head at some positions."""
    states_BTD = call["hidden_states"]
    queries_BTh = _first_head(attention, "q", states_BTD)
    keys_BTh = _first_head(attention, "k", states_BTD)
    turned = apply_rotary_pos_emb(queries_BTh[:, None], keys_BTh[:, None], *call["position_embeddings"])
    queries_BTh, keys_BTh = (each[:, 0].float() for each in turned)
    rows_L, positions_L = places_L2.unbind(1)
    # of all positions: to gather a row's keys for each target would take more
    logits_LT = (queries_BTh @ keys_BTh.mT)[rows_L, positions_L] * attention.scaling
    mask_LT = call["attention_mask"][rows_L, 0, positions_L]
    if mask_LT.dtype == torch.bool:
        return logits_LT.masked_fill(~mask_LT, -torch.inf).log_softmax(-1)
    return (logits_LT + mask_LT).log_softmax(-1)


def _first_head(attention: Qwen2Attention, name: str, states_BTD: Tensor) -> Tensor:
    """Queries or keys (B, T, h), before they are turned by their positions."""
    projected: Tensor = getattr(attention, f"{name}_proj")(states_BTD)
    first = projected[..., : attention.head_dim]
    norm = getattr(attention, f"{name}_norm", None)  # Qwen3 has them
    return first if norm is None else norm(first)
