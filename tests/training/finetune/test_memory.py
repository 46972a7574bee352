"""The estimate against brute force: a real model, its gradients, its optimiser, and what autograd really keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from perceptio.model.loading import load
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.training.finetune.lora import LoraPlan, adapt, new_rows
from perceptio.training.finetune.memory import (
    DEVICES,
    Load,
    count_parts,
    estimate,
    published,
    size_of,
    skeleton,
    to_text,
    trace,
)
from perceptio.training.finetune.settings import DataPlan, FinetuneRecipe, PackPlan, TuningPlan

RECIPE = FinetuneRecipe(
    name="tiny",
    base="",
    data=DataPlan({}),
    packing=PackPlan(length=96),
    lora=LoraPlan(rank=4, alpha=8),
    tuning=TuningPlan(batch=2, global_batch=8, bf16=False),
)
LOAD = Load(tiles=1, length=96, labels=20, masks=3)


@pytest.fixture
def real(tiny_folder: Path) -> tuple[PerceptioForConditionalGeneration, int]:
    """The model with real weights, adapted, in training mode; and its number of trained rows."""
    model, processor = load(tiny_folder, device="cpu")
    rows = new_rows(processor.tokenizer, model.config.vocabulary)
    adapt(model, RECIPE.lora, rows)
    return model.train(), len(rows)


def test_weights_gradients_and_optimiser_are_exact(real: tuple[PerceptioForConditionalGeneration, int]) -> None:
    model, rows = real
    parts = count_parts(skeleton(model.config, RECIPE, rows)).values()
    assert sum(part.parameters for part in parts) == sum(value.numel() for value in model.parameters())
    assert sum(part.weights for part in parts) == sum(value.nbytes for value in model.parameters())
    trained = [value for value in model.parameters() if value.requires_grad]
    for value in trained:
        value.grad = torch.zeros_like(value)
    assert sum(part.gradients for part in parts) == sum(
        value.grad.nbytes for value in trained if value.grad is not None
    )
    optimizer = torch.optim.AdamW(trained)
    optimizer.step()
    state = sum(value.nbytes for values in optimizer.state.values() for value in values.values())
    assert sum(part.optimizer for part in parts) == state


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_autograd_keeps(
    real: tuple[PerceptioForConditionalGeneration, int], checkpointing: bool
) -> None:
    """Within 5 %: final norm and rotary angles belong to no layer."""
    model, rows = real
    language = model.vlm.model.language_model
    states = torch.randn(2, 96, 64, requires_grad=True)
    own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers(), states)}
    kept: dict[int, Tensor] = {}

    def pack(value: Tensor) -> Tensor:
        kept.setdefault(value.untyped_storage().data_ptr(), value)
        return value

    mask = torch.ones(2, 1, 96, 96, dtype=torch.bool)
    layers = list(language.layers)
    if checkpointing:  # what is kept, but for the inputs, is what the one layer that is computed again keeps
        language.layers = language.layers[:1]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        language(inputs_embeds=states, attention_mask=mask, use_cache=False)
    found = sum(value.untyped_storage().nbytes() for pointer, value in kept.items() if pointer not in own)
    found += len(layers) * states.nbytes * checkpointing
    recipe = replace(RECIPE, tuning=replace(RECIPE.tuning, checkpointing=checkpointing))
    guess = estimate(skeleton(model.config, recipe, rows), recipe, LOAD).activations["language model"]
    assert guess == pytest.approx(found, rel=0.05)


def test_the_operations_of_a_layer_are_those_of_its_matrices(
    real: tuple[PerceptioForConditionalGeneration, int],
) -> None:
    model, rows = real
    cost = trace(skeleton(model.config, RECIPE, rows), LOAD, 2, bf16=False)["layer"]
    layer = model.vlm.model.language_model.layers[0]
    matrices = sum(value.numel() for value in layer.parameters() if value.dim() == 2)
    attention = 2 * 96 * 96 * 64 * 2 * 2  # two products, batch 2
    assert cost.forward == 2 * 2 * 96 * matrices + attention
    lora = sum(value.numel() for value in layer.parameters() if value.dim() == 2 and value.requires_grad)
    # every matrix passes a gradient on, LoRA's get one as well; attention recomputes its weights
    assert cost.backward == 2 * 2 * 96 * (matrices + lora) + attention * 5 // 2


def test_sharding_spreads_what_the_model_holds(tiny_folder: Path) -> None:
    config = load(tiny_folder, device="cpu")[0].config
    whole, recipe = (
        count_parts(skeleton(config, RECIPE, 20)),
        replace(RECIPE, tuning=replace(RECIPE.tuning, shard=True)),
    )
    found = estimate(skeleton(config, recipe, 20), recipe, LOAD, processes=2)
    spread = found.parts
    # a share of one half is kept, the other half of what is gathered comes on top
    vlm = (model := skeleton(config, recipe, 20)).vlm.model
    layers = [size_of(layer) for layer in (*vlm.language_model.layers, *vlm.vision_tower.encoder.layer)]
    assert found.activations["weights gathered by FSDP2"] == (size_of(model) - sum(layers) + max(layers)) // 2
    for name, part in whole.items():
        assert spread[name].weights == -(-part.weights // 2)
        assert spread[name].optimizer == -(-part.optimizer // 2)


def test_a_published_model_is_planned_without_its_weights() -> None:
    recipe = replace(RECIPE, lora=LoraPlan(), tuning=TuningPlan(global_batch=2))
    parts = count_parts(skeleton(published("InternVL3-1B"), recipe, 133))
    assert parts["vision tower"].parameters == 304_012_288  # InternViT-300M
    assert parts["SAM 2, mask decoder"].trained == parts["SAM 2, mask decoder"].parameters == 4_215_109
    assert parts["language model"].trained == parts["SAM 2, the rest"].trained == 0
    layer = 128 * (2 * (896 + 896) + 2 * (896 + 128) + 3 * (896 + 4864))  # q and o, k and v, the three of the MLP
    assert parts["LoRA and token rows"].trained == 24 * layer + 2 * 133 * 896
    assert parts["language model"].weights == 2 * parts["language model"].parameters


def test_the_table_has_a_line_for_each_part(tiny_folder: Path) -> None:
    model = skeleton(load(tiny_folder, device="cpu")[0].config, RECIPE, 20)
    found = estimate(model, RECIPE, LOAD)
    text = to_text(found, LOAD)
    for name in (*found.parts, *found.activations):
        assert name in text
    assert f"{found.seconds(DEVICES[0]):.1f} s on RTX 4090" in text
