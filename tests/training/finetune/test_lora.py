"""What trains and what stays, and updates that can be merged, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from perceptio.model.loading import load
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.training.finetune.lora import (
    LoraPlan,
    adapt,
    load_adapter,
    load_trained,
    merge,
    new_rows,
    save_adapter,
    trained_weights,
    whole_parts,
)

PLAN = LoraPlan(rank=4, alpha=8, dropout=0.0)


def base(folder: Path, *, tied: bool = True) -> tuple[PerceptioForConditionalGeneration, list[int]]:
    """A fresh model, its head tied to its embeddings or apart as InternVL3's is, and the rows that train."""
    model, processor = load(folder, device="cpu")
    own = nn.Parameter(model.vlm.lm_head.weight.detach() * 0.5)
    model.vlm.lm_head.weight = model.get_input_embeddings().weight if tied else own
    for config in (model.config, model.config.vlm, model.config.vlm.text_config):
        config.tie_word_embeddings = tied
    return model, new_rows(processor.tokenizer, model.config.vocabulary)


@torch.no_grad()
def disturb(model: nn.Module) -> None:
    """Move everything that trains, as training would."""
    generator = torch.Generator().manual_seed(0)
    for value in trained_weights(model).values():
        value.add_(0.02 * torch.randn(value.shape, generator=generator))


@torch.no_grad()
def logits(model: PerceptioForConditionalGeneration, rows: list[int]) -> Tensor:
    ids = torch.tensor([[5, rows[0], 40, rows[-1], 7]])
    states = model.vlm.model.language_model(inputs_embeds=model.get_input_embeddings()(ids)).last_hidden_state
    return model.vlm.lm_head(states)


@pytest.mark.parametrize("tied", [True, False])
def test_merged_saved_and_loaded_it_is_the_same_model(tiny_folder: Path, tmp_path: Path, tied: bool) -> None:
    model, rows = base(tiny_folder, tied=tied)
    before = logits(model, rows)
    adapted = adapt(model, PLAN, rows)
    torch.testing.assert_close(logits(model, rows), before)  # LoRA starts as nothing
    disturb(model)
    save_adapter(adapted, tmp_path / "adapter")
    expected = logits(model.eval().double(), rows)  # float32 sums of this model's loud weights differ by 3e-5
    assert (expected - before).abs().max() > 0.01
    merged = merge(adapted)
    torch.testing.assert_close(logits(merged, rows), expected, rtol=1e-5, atol=1e-5)
    loaded = load_adapter(base(tiny_folder, tied=tied)[0].double(), tmp_path / "adapter")
    torch.testing.assert_close(logits(loaded, rows), expected, rtol=1e-5, atol=1e-5)
    heads = merged.vlm.lm_head.weight is merged.get_input_embeddings().weight
    assert heads is tied


def test_the_folder_is_one_that_peft_itself_loads(tiny_folder: Path, tmp_path: Path) -> None:
    model, rows = base(tiny_folder)
    adapted = adapt(model, PLAN, rows)
    disturb(model)
    save_adapter(adapted, tmp_path / "adapter")
    fresh, _ = base(tiny_folder)
    loaded = PeftModel.from_pretrained(fresh, str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(loaded.base_model.model, rows), logits(model.eval(), rows))


def test_the_parts_of_the_recipe_train_and_nothing_else(tiny_folder: Path) -> None:
    model, rows = base(tiny_folder)
    linear = [name for name, part in model.vlm.model.language_model.layers.named_modules() if type(part) is nn.Linear]
    adapt(model, PLAN, rows)
    trained = trained_weights(model)
    assert all(value.dtype == torch.float32 for value in trained.values())
    for name in linear:
        assert f"vlm.model.language_model.layers.{name}.lora_A.default.weight" in trained
    parts = ("vlm.model.multi_modal_projector", "projector", "pointer", "sam.mask_decoder")
    whole = {f"{part}.{name}" for part in parts for name, _ in model.get_submodule(part).named_parameters()}
    assert tuple(whole_parts(model)) == parts
    rest = {name for name in trained if ".lora_" not in name} - whole
    assert rest == {"vlm.model.language_model.embed_tokens.token_adapter.trainable_tokens_delta.default"}
    assert whole <= trained.keys()


def test_a_model_without_a_pointer_trains_its_other_parts(tiny_folder: Path) -> None:
    model, _ = base(tiny_folder)
    model.pointer = None
    assert tuple(whole_parts(model)) == ("vlm.model.multi_modal_projector", "projector", "sam.mask_decoder")


def test_only_new_rows_get_a_gradient(tiny_folder: Path) -> None:
    model, rows = base(tiny_folder)
    adapt(model, PLAN, rows)
    ids = torch.tensor([[5, rows[0]]])
    states = model.vlm.model.language_model(inputs_embeds=model.get_input_embeddings()(ids)).last_hidden_state
    model.vlm.lm_head(states).sum().backward()
    frozen = model.get_input_embeddings().token_adapter.base_layer.weight
    (delta,) = model.get_input_embeddings().token_adapter.trainable_tokens_delta.values()
    assert frozen.grad is None
    assert delta.shape[0] == len(rows)
    assert delta.grad.abs().sum() > 0


def test_weights_of_another_adapter_are_refused(tiny_folder: Path) -> None:
    model, rows = base(tiny_folder)
    adapt(model, PLAN, rows)
    other, _ = base(tiny_folder)
    adapt(other, LoraPlan(rank=2, alpha=8), rows)
    with pytest.raises(ValueError, match="the trained weights do not fit the model"):
        load_trained(model, trained_weights(other))


def test_a_folder_without_an_adapter_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no adapter of a Perceptio fine-tune"):
        load_adapter(base(tiny_folder)[0], tmp_path)


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("parts.safetensors", lambda name, value: None, "missing: "),
        ("parts.safetensors", lambda name, value: value[None], "of another shape: "),
        ("adapter_model.safetensors", lambda name, value: None if "layers.0" in name else value, "missing: "),
        ("adapter_model.safetensors", lambda name, value: value[:1].contiguous(), "do not fit"),
        ("parts.safetensors", lambda name, value: value * float("nan"), r"parts\.safetensors: the weight .* NaN"),
        ("adapter_model.safetensors", lambda name, value: value.to(torch.int8), r"adapter_model.* the weight .* int8"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    tiny_folder: Path, tmp_path: Path, file: str, change: Callable[[str, Tensor], Tensor | None], complaint: str
) -> None:
    model, rows = base(tiny_folder)
    save_adapter(adapt(model, PLAN, rows), tmp_path / "adapter")
    path = tmp_path / "adapter" / file
    changed = {name: change(name, value) for name, value in load_file(path).items()}
    save_file({name: value for name, value in changed.items() if value is not None}, path, {"format": "pt"})
    with pytest.raises(ValueError, match=complaint):
        load_adapter(base(tiny_folder)[0], tmp_path / "adapter")


def test_an_adapter_that_was_cut_short_is_one_sentence(tiny_folder: Path, tmp_path: Path) -> None:
    model, rows = base(tiny_folder)
    save_adapter(adapt(model, PLAN, rows), tmp_path / "adapter")
    path = tmp_path / "adapter" / "parts.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="are damaged or cut short"):
        load_adapter(base(tiny_folder)[0], tmp_path / "adapter")
