"""What a fine-tune needs, before anything is loaded: memory by part, and the time of a step.

- *weights*: parameters times the bytes of their type: 2 for the frozen vision-language model in bfloat16, 4 for SAM 2,
  the depth tokenizer and all that trains.
- *gradients*: 4 bytes for each trained parameter.
- *optimiser*: AdamW's two moments, 8 bytes for each trained parameter, and a step counter of 4 for each tensor.
- *activations*: what autograd keeps, traced on the real code (`tracing.py`). With checkpointing each layer keeps
  its input, and one layer at a time is computed again: layers * batch * length * width * bytes + one layer's own.
- *step*: operations of one step, forward, again if checkpointed, and backward, over the device's peak times a
  utilisation of 0.4. SAM 2 runs in float32.

Weights, gradients and optimiser are exact; the rest is an estimate for sequences of full length, without the
allocator's waste (10 % is common). Sharding divides the first three by the number of processes; what FSDP2 gathers
of the weights counts as activations: all that is in no layer, from the first use to the last, and the largest layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from perceptio.checkpoints.sizes import internvl_config, sam_config
from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model import objectives
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.segmentation.bridge import decode_masks, encode_image
from perceptio.segmentation.losses import mask_loss
from perceptio.tokens import SpatialVocabulary
from perceptio.training.finetune.lora import adapt
from perceptio.training.finetune.settings import FinetuneRecipe
from perceptio.training.finetune.tracing import Cost, Tracer

UTILISATION = 0.4  # share of the peak that training usually gets
_ADAPTER = "LoRA and token rows"
_PARTS = {  # by prefix; the first that fits
    "vision tower": "vlm.model.vision_tower.",
    "multimodal projector": "vlm.model.multi_modal_projector.",
    "language model": "vlm.",
    "SAM 2, mask decoder": "sam.mask_decoder.",
    "SAM 2, the rest": "sam.",
    "depth tokenizer": "depth_tokenizer.",
    "[SEG] projector": "projector.",
    "pointer": "pointer.",
    _ADAPTER: "depth_query",  # and what trains in the language model
}


@dataclass(frozen=True)
class Device:
    """Operations a second, as its vendor gives them."""

    name: str
    bfloat16: float  # dense, tensor cores
    float32: float


DEVICES = (
    Device("RTX 4090", 165e12, 83e12),
    Device("A100", 312e12, 19.5e12),
    Device("H100", 989e12, 67e12),
    Device("H200", 989e12, 67e12),
)


@dataclass(frozen=True)
class Load:
    """What one sequence holds; the estimate is for sequences like this."""

    tiles: int  # of the vision tower, the thumbnail included
    length: int  # tokens
    labels: int  # positions with a target
    masks: int = 4  # referred objects

    def with_queries(self, count: int) -> Load:
        """The load with so many depth queries at the end, each of which has a target."""
        return replace(self, length=self.length + count, labels=self.labels + count)


@dataclass(frozen=True)
class Part:
    """Memory of a part of the model, bytes."""

    parameters: int
    trained: int  # of them
    weights: int
    gradients: int
    optimizer: int

    def __add__(self, other: Part) -> Part:
        return Part(
            self.parameters + other.parameters,
            self.trained + other.trained,
            self.weights + other.weights,
            self.gradients + other.gradients,
            self.optimizer + other.optimizer,
        )

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer


@dataclass(frozen=True)
class Estimate:
    """What a fine-tune needs on one device."""

    parts: dict[str, Part]
    activations: dict[str, int]  # bytes at the fullest moment, by what they belong to
    bfloat16: int  # operations of one step of one device, in the types in which they run
    float32: int

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(part.total for part in self.parts.values()) + sum(self.activations.values())

    def seconds(self, device: Device) -> float:
        """Estimated time of a step."""
        return (self.bfloat16 / device.bfloat16 + self.float32 / device.float32) / UTILISATION


def published(name: str) -> PerceptioConfig:
    """The configuration of a model assembled from a published InternVL, SAM 2.1 large and AURORA's depth sizes.

    Raises:
        ValueError: if no such size is known.
    """
    vlm, depth = internvl_config(name), DepthTokenizerConfig()
    first = vlm.text_config.vocab_size
    codes = range(first + 3, first + 3 + depth.codes)
    vlm.text_config.vocab_size = codes.stop + 2  # <p> and </p> are the last
    config = PerceptioConfig(vlm=vlm, sam=sam_config("large"), depth=depth)
    config.set_vocabulary(SpatialVocabulary(first, first + 1, first + 2, tuple(codes), depth.tokens_per_map, first - 1))
    return config


def skeleton(config: PerceptioConfig, recipe: FinetuneRecipe, rows: int) -> PerceptioForConditionalGeneration:
    """The model as it would train on a GPU, without any content.

    Args:
        config: of the base.
        recipe: of the fine-tune.
        rows: number of token rows that train.
    """
    with torch.device("meta"):
        model = PerceptioForConditionalGeneration(config)
        if recipe.tuning.bf16:
            model.vlm.to(torch.bfloat16)
        adapt(model, recipe.lora, range(rows))
    return model.train()


def count_parts(model: nn.Module) -> dict[str, Part]:
    """Weights, gradients and AdamW's state of each part; exact."""
    parts = dict.fromkeys(_PARTS, Part(0, 0, 0, 0, 0))
    for name, value in model.named_parameters():
        owner = next(part for part, prefix in _PARTS.items() if name.startswith(prefix))
        if owner == "language model" and value.requires_grad:
            owner = _ADAPTER
        size, trains = value.numel(), value.requires_grad
        parts[owner] += Part(size, size * trains, size * value.itemsize, 4 * size * trains, (8 * size + 4) * trains)
    return parts


def estimate(
    model: PerceptioForConditionalGeneration, recipe: FinetuneRecipe, load: Load, processes: int = 1
) -> Estimate:
    """Memory and operations of a step on one of `processes` devices.

    Args:
        model: from `skeleton`; used up.
        recipe: of the fine-tune.
        load: of each sequence.
        processes: that share a global batch, and, if the recipe says so, the model.
    """
    plan, parts = recipe.tuning, count_parts(model)
    share = processes if plan.shard else 1
    parts = {
        name: Part(p.parameters, p.trained, *(-(-size // share) for size in (p.weights, p.gradients, p.optimizer)))
        for name, p in parts.items()
    }
    layers = len(model.vlm.model.language_model.layers)
    costs = trace(model, load, plan.batch, bf16=plan.bf16)
    width = model.config.vlm.text_config.hidden_size
    inputs = plan.batch * load.length * width * (2 if plan.bf16 else 4)
    layer = costs["layer"]
    kept = layers * inputs + layer.kept if plan.checkpointing else layers * layer.kept
    activations = {
        "language model": kept,
        "vision tower and projector": costs["vision"].kept,
        "logits and their losses": costs["logits"].kept,  # with peft's copy of the head, in which trained rows are set
        "SAM 2 at its fullest": costs["sam"].peak,
    }
    if share > 1:
        activations["weights gathered by FSDP2"] = gathered(model) * (share - 1) // share
    layer_work = layers * (layer.forward * (2 if plan.checkpointing else 1) + layer.backward)
    batches = plan.accumulate(processes)
    half = layer_work + sum(costs[name].forward + costs[name].backward for name in ("vision", "logits"))
    full = costs["sam"].forward + costs["sam"].backward
    return Estimate(parts, activations, batches * half, batches * full)


def gathered(model: PerceptioForConditionalGeneration) -> int:
    """Bytes of weights that are whole on a device at the fullest moment, see `sharding.shard`."""
    vlm = model.vlm.model
    layers = [size_of(layer) for layer in (*vlm.language_model.layers, *vlm.vision_tower.encoder.layer)]
    return size_of(model) - sum(layers) + max(layers)


def size_of(module: nn.Module) -> int:
    """Bytes of a module's parameters."""
    return sum(value.numel() * value.itemsize for value in module.parameters())


def trace(model: PerceptioForConditionalGeneration, load: Load, batch: int, *, bf16: bool) -> dict[str, Cost]:
    """Costs of the pieces of a step: `vision`, one `layer` of the language model, `logits`, and `sam`."""
    tracer, config = Tracer(model, autocast=bf16), model.config
    language, vocabulary = model.vlm.model.language_model, config.vocabulary
    dtype, width = torch.bfloat16 if bf16 else torch.float32, config.vlm.text_config.hidden_size

    def meta(*shape: int, dtype: torch.dtype = dtype, gradient: bool = False) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta", requires_grad=gradient)

    def layer(states: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        angles = language.rotary_emb(states, positions)
        return language.layers[0](states, attention_mask=mask, position_ids=positions, position_embeddings=angles)

    def logits(states: Tensor, targets: Tensor, weights: Tensor, inside: Tensor) -> list[Tensor]:
        values = model.vlm.lm_head(states).float()
        codes = torch.tensor(vocabulary.codes)
        markers = torch.tensor([vocabulary.depth_start, vocabulary.depth_end])
        return [
            objectives.text_loss(values, targets, weights),
            objectives.marker_loss(values, targets, markers, inside),
            objectives.token_loss(values, targets, inside),
            objectives.count_loss(values, codes, targets, torch.ones(1, dtype=torch.bool), vocabulary.tokens_per_map),
        ]

    def sam(pixels: Tensor, prompts: Tensor, index: Tensor, targets: Tensor) -> list[Tensor]:
        prediction = decode_masks(model.sam, encode_image(model.sam, pixels), index, prompts)
        return list(mask_loss(prediction, targets).values())

    tile, side = config.vlm.vision_config.image_size, config.sam.prompt_encoder_config.image_size
    count = batch * load.masks
    length, due = load.length, batch * load.labels
    return {
        "vision": tracer.run(
            lambda pixels: model.vlm.get_image_features(pixel_values=pixels, return_dict=True).pooler_output,
            meta(batch * load.tiles, 3, *tile),
        ),
        "layer": tracer.run(
            layer,
            meta(batch, length, width, gradient=True),
            meta(batch, 1, length, length, dtype=torch.bool),
            meta(batch, length, dtype=torch.int64),
        ),
        "logits": tracer.run(
            logits,
            meta(due, width, gradient=True),
            meta(due, dtype=torch.int64),
            meta(due, dtype=torch.float32),
            meta(due, dtype=torch.bool),
        ),
        "sam": tracer.run(
            sam,
            meta(batch, 3, side, side, dtype=torch.float32),
            meta(count, config.sam.mask_decoder_config.hidden_size, dtype=torch.float32, gradient=True),
            meta(count, dtype=torch.int64),
            meta(count, side, side, dtype=torch.bool),
        ),
    }


def to_text(found: Estimate, load: Load) -> str:
    """The estimate as a table for people; GB are 10^9 bytes."""
    lines = [f"{'part':28} {'parameters':>15} {'trained':>13} {'weights':>9} {'gradients':>9} {'optimiser':>9}  GB"]
    for name, part in found.parts.items():
        sizes = "".join(f"{size / 1e9:10.2f}" for size in (part.weights, part.gradients, part.optimizer))
        lines.append(f"{name:28} {part.parameters:15,} {part.trained:13,}{sizes}")
    lines.append(
        f"\nactivations of sequences of {load.length} tokens: {load.tiles} tiles, {load.labels} tokens to predict, "
        f"{load.masks} masks"
    )
    lines += [f"{name:28} {size / 1e9:68.2f}" for name, size in found.activations.items()]
    lines.append(f"{'in all, on each device':28} {found.total / 1e9:68.2f}")
    times = ", ".join(f"{found.seconds(device):.1f} s on {device.name}" for device in DEVICES)
    lines.append(f"\na step at {UTILISATION:.0%} of a device's peak: {times}")
    return "\n".join(lines)
