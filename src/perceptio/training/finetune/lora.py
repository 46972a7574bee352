"""What is trained in a fine-tune, and what stays: LoRA on the language model, new token rows, and a few whole parts.

As Sa2VA does it (2501.04001; docs/method.md): the vision tower, SAM 2's image and prompt encoders and the depth
tokenizer stay frozen; trained are LoRA (2106.09685) on all linear layers of the language model, the rows of the spatial
tokens, the multimodal projector, the `[SEG]` projector (with the pointer and the depth query, where there is one) and
SAM 2's mask decoder. peft does the first two.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from perceptio.files import reading_weights, replacing_folder
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.parallel_depth import set_depth_decoding
from perceptio.pretrained.misfits import refuse_misfits
from perceptio.pretrained.weights import check_numbers
from perceptio.tokens import PHRASE_END, PHRASE_START, SpatialVocabulary
from perceptio.training.limits import Range, ShareBelowAll
from perceptio.training.sharding import spread

if TYPE_CHECKING:
    from peft import PeftModel

_WHOLE_PARTS = ("vlm.model.multi_modal_projector", "projector", "pointer", "sam.mask_decoder")
_LANGUAGE = "vlm.model.language_model"
_QUERY = "depth_query"
_PARTS_FILE = "parts.safetensors"
_ADAPTER_FILE = "adapter_model.safetensors"  # peft's


@dataclass(frozen=True)
class LoraPlan:
    """Size of the low-rank updates; the defaults are Sa2VA's."""

    rank: Annotated[int, Range(1, 1024)] = 128
    alpha: Annotated[int, Range(1, 65_536)] = 256  # an update counts alpha / rank
    dropout: ShareBelowAll = 0.05  # of the inputs of the updates


def adapt(model: PerceptioForConditionalGeneration, plan: LoraPlan, rows: Sequence[int]) -> PeftModel:
    """Freeze a model, add LoRA and trainable token rows in place, and unfreeze the parts that train whole.

    Frozen weights keep their type. What trains becomes float32: at a rate of 4e-5 most steps of a bfloat16 weight would
    be rounded away.

    Args:
        model: changed in place; the adapted model shares it.
        plan: of the low-rank updates.
        rows: ids of the tokens whose rows train, see `new_rows`.

    Returns:
        peft's model around `model`, for `save_adapter` and `merge`; train `model` itself.
    """
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = model.vlm.model.language_model.named_modules()
    linear = sorted({name.rpartition(".")[2] for name, part in layers if isinstance(part, nn.Linear)})
    trained_rows = {"embed_tokens": list(rows)}
    if not model.config.tie_word_embeddings:
        trained_rows["lm_head"] = list(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft calls transformers by a name that is going out of use
        adapted = get_peft_model(
            model,
            LoraConfig(
                r=plan.rank,
                lora_alpha=plan.alpha,
                lora_dropout=plan.dropout,
                target_modules=rf".*{_LANGUAGE.replace('.', '[.]')}[.].*[.]({'|'.join(linear)})",
                trainable_token_indices=trained_rows,
            ),
        )
    tuned: list[Any] = [part for part in model.modules() if isinstance(part, BaseTunerLayer)]
    for layer in tuned:
        # autocast casts where it must; peft would keep a float32 copy of each layer's input for the way back
        layer.cast_input_dtype_enabled = False
    for part in whole_parts(model).values():
        part.requires_grad_(True)
    if model.depth_query is not None:
        model.depth_query.requires_grad_(True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def whole_parts(model: nn.Module) -> dict[str, nn.Module]:
    """The parts of a model that train whole, by name; the pointer only where there is one."""
    found = {name: attrgetter(name)(model) for name in _WHOLE_PARTS}
    return {name: part for name, part in found.items() if part is not None}


def new_rows(tokenizer: PreTrainedTokenizerBase, vocabulary: SpatialVocabulary) -> list[int]:
    """Ids of the tokens that a language model did not come with: the spatial ones, and `<p>` and `</p>`."""
    phrase = tokenizer.convert_tokens_to_ids([PHRASE_START, PHRASE_END])
    return sorted({vocabulary.seg, vocabulary.depth_start, *vocabulary.codes, vocabulary.depth_end, *phrase})


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter that trains, by name, on its device."""
    return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}


@torch.no_grad()
def load_trained(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """What `trained_weights` gave, strictly.

    Raises:
        ValueError: if a weight is missing, unexpected or of another shape: the model was adapted in another way.
    """
    own = {name: value for name, value in model.named_parameters() if value.requires_grad}
    wrong = sorted(own.keys() ^ weights.keys()) or [
        name for name, value in own.items() if value.shape.numel() != weights[name].numel()
    ]
    if wrong:
        raise ValueError(
            f"the trained weights do not fit the model: {wrong[0]} ({len(wrong)} in all); resume with the recipe that "
            "wrote them, or start in a fresh folder"
        )
    for name, value in own.items():
        value.copy_(spread(weights[name], value))


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write a folder as peft does (LoRA and token rows), and the parts that train whole in a file beside."""
    model: Any = adapted.base_model.model
    parts = {name: value.detach().cpu().contiguous() for name, value in _parts_of(model).items()}
    with replacing_folder(folder) as beside:
        adapted.save_pretrained(str(beside), save_embedding_layers=False)
        save_file(parts, beside / _PARTS_FILE)


@torch.no_grad()
def load_adapter(model: PerceptioForConditionalGeneration, folder: Path) -> PerceptioForConditionalGeneration:
    """A base model with an adapter folder merged into it, in place.

    Raises:
        ValueError: if the folder is no adapter of this model; the message lists what does not fit.
    """
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict

    absent = [name for name in (_PARTS_FILE, _ADAPTER_FILE) if not (folder / name).is_file()]
    if absent:
        raise ValueError(f"{folder} is no adapter of a Perceptio fine-tune: {absent[0]} is missing")
    what = f"the model that the adapter in {folder} is for"
    with reading_weights(folder):
        parts, stored = load_file(folder / _PARTS_FILE), load_file(folder / _ADAPTER_FILE)
        for file, weights in ((_PARTS_FILE, parts), (_ADAPTER_FILE, stored)):
            for name, values in weights.items():
                check_numbers(values, f"{folder / file}: the weight {name}")
        if _QUERY in parts:
            set_depth_decoding(model, "parallel")
        _refuse_misfits(_parts_of(model), parts, what)
        try:
            adapted = PeftModel.from_pretrained(model, str(folder))
        except RuntimeError as error:  # of torch, where a weight is of another shape
            raise ValueError(f"the weights do not fit {what}: {' '.join(str(error).split())}") from error
    _refuse_misfits(get_peft_model_state_dict(adapted, save_embedding_layers=False), stored, what)
    for name, value in parts.items():
        model.get_parameter_or_buffer(name).copy_(value)
    return merge(adapted)


def _parts_of(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the parts that train whole, by their names in the model."""
    modules = {
        f"{part}.{name}": value
        for part, module in whole_parts(model).items()
        for name, value in module.state_dict().items()
    }
    return modules | _query_of(model)


def _query_of(model: Any) -> dict[str, Tensor]:
    """The depth query by its name, of a model that has one."""
    return {} if model.depth_query is None else {_QUERY: model.depth_query}


def _refuse_misfits(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], what: str) -> None:
    shared = own.keys() & stored.keys()
    report = {
        "missing": own.keys() - stored.keys(),
        "unexpected": stored.keys() - own.keys(),
        "of another shape": {name for name in shared if own[name].shape != stored[name].shape},
    }
    refuse_misfits(report, what)


def merge(adapted: PeftModel) -> PerceptioForConditionalGeneration:
    """The plain model with its updates added to its weights; the adapted one is used up."""
    merged: PerceptioForConditionalGeneration = adapted.merge_and_unload()
    return merged
