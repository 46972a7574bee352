"""The taught attention heads, against the attention that transformers itself computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model

from perceptio.nano.attention import (
    DEPTH,
    KINDS,
    SAID,
    SEEN,
    attention_loss,
    attention_losses,
    call_arguments,
    taught_layers,
)

SIZES: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
TARGETS = torch.tensor([[0, 9, 3], [1, 7, 1], [1, 8, 4], [1, 9, 0]])


def make(kind: str, implementation: str) -> nn.Module:
    torch.manual_seed(0)
    config, model = (Qwen2Config, Qwen2Model) if kind == "qwen2" else (Qwen3Config, Qwen3Model)
    made = model(config(**SIZES, head_dim=8, initializer_range=0.3, attn_implementation=implementation))
    for parameter in made.parameters():  # biases and norms too
        nn.init.normal_(parameter, std=0.3)
    return made


def read(model: nn.Module, **more: Any) -> Any:
    ids = torch.randint(0, 30, (2, 10), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(10, 10, dtype=torch.bool).tril().expand(2, 1, 10, 10)
    if model.config._attn_implementation == "eager":  # adds its mask
        mask = torch.where(mask, 0.0, -torch.inf)
    places = torch.arange(10).expand(2, 10) * torch.tensor([[1], [2]])
    return model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, **more)


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_the_loss_is_that_of_the_attention_in_use(kind: str) -> None:
    model = make(kind, "sdpa")
    attentions = taught_layers(model.layers)
    assert attentions == tuple(model.layers[number].self_attn for number in (1, 2, 3))
    with call_arguments(attentions) as calls:
        read(model)
    loss = attention_loss(attentions[0], calls[0], TARGETS)
    with torch.no_grad():
        shares = read(make(kind, "eager"), output_attentions=True).attentions[1][:, 0].double()
    expected = -torch.stack([shares[0, 9, 3], shares[1, 7, 1], shares[1, 8, 4], shares[1, 9, 0]]).log().mean()
    torch.testing.assert_close(loss.detach().double(), expected, rtol=1e-4, atol=1e-5)


def test_learning_turns_the_head_to_its_place() -> None:
    model = make("qwen2", "sdpa")
    attention, *_ = taught_layers(model.layers)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(40):
        with call_arguments([attention]) as (call,):
            read(model)
        loss = attention_loss(attention, call, TARGETS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]


def test_nothing_to_look_at_costs_nothing_but_keeps_the_gradient() -> None:
    model = make("qwen2", "sdpa")
    attention, *_ = taught_layers(model.layers)
    with call_arguments([attention]) as (call,):
        read(model)
    loss = attention_loss(attention, call, TARGETS[:0])
    loss.backward()
    assert loss.item() == 0
    assert attention.q_proj.weight.grad is not None


def test_calls_are_kept_inside_the_block_only() -> None:
    model = make("qwen2", "sdpa")
    with call_arguments(taught_layers(model.layers)) as calls:
        pass
    read(model)
    assert calls == [{}, {}, {}]


def test_each_kind_of_target_has_a_head_and_a_loss_of_its_own() -> None:
    model = make("qwen2", "sdpa")
    attentions = taught_layers(model.layers)
    with call_arguments(attentions) as calls:
        read(model)
    kinds = torch.tensor([2, 0, 2, 1])[:, None]
    losses = attention_losses(attentions, calls, torch.cat([kinds, TARGETS], 1))
    assert len(losses) == len(KINDS)
    for kind, places in ((SEEN, [1]), (DEPTH, [3]), (SAID, [0, 2])):
        alone = attention_loss(attentions[kind], calls[kind], TARGETS[places])
        torch.testing.assert_close(losses[kind], alone)


def test_in_a_model_of_few_layers_one_has_two_kinds_of_target() -> None:
    layers = make("qwen2", "sdpa").layers[:2]
    assert taught_layers(layers) == tuple(layers[number].self_attn for number in (0, 1, 1))
