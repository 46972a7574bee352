"""The recipe of a fine-tune: which model, on which data, what is trained and how. It has the key `base`."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Annotated, Literal

from perceptio.checkpoints.sizes import INTERNVL
from perceptio.data.supervision import TokenWeights
from perceptio.model.objectives import LossWeights
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.finetune.lora import LoraPlan
from perceptio.training.limits import (
    Batch,
    Every,
    Name,
    NotEmpty,
    Range,
    Rate,
    Scale,
    Seed,
    Share,
    ShareBelowAll,
    StepsOrNone,
    Tokens,
    Workers,
)
from perceptio.training.reporting import Reporter

MOST_VISITS = 50_000_000  # their order takes up to 40 bytes each

Passes = Annotated[float, Range(0, 1000, above=True)]


@dataclass(frozen=True)
class DataPlan:
    """Files of samples (docs/data.md), each with how often an epoch passes through it."""

    train: Annotated[dict[str, Passes], NotEmpty()]
    val: dict[str, Passes] = field(default_factory=dict)  # for `eval_loss`, each sample once; none: no evaluation
    skip_bad: bool = False  # leave out samples that are bad, instead of refusing to start
    anneal: bool = False  # depth generation falls from all of the samples to a tenth, as in AURORA (2412.03548)


@dataclass(frozen=True)
class PackPlan:
    """How a sample becomes a sequence: the picture once, then its questions as branches."""

    length: Tokens = 4096  # tokens of a sequence: questions that do not fit any more are left out; 0: no limit
    explicit: Share = 0.3  # share of questions that say which spans they want
    weights: TokenWeights = field(default_factory=TokenWeights)  # of tokens in the text loss; plain cross-entropy


@dataclass(frozen=True)
class TuningPlan:
    """How a fine-tune is optimised; the defaults are Sa2VA's (2501.04001)."""

    epochs: Passes = 1.0  # passes through the mixture
    steps: StepsOrNone = 0  # optimiser steps, whatever the epochs say; 0: as the epochs say
    global_batch: Annotated[int, Range(1, 1_000_000)] = 64  # sequences a step, over all devices
    batch: Batch = 1  # sequences that a device holds at once; the rest is accumulated
    learning_rate: Rate = 4e-5  # of AdamW
    decoder_rate: Scale = 1.0  # of that rate, for SAM 2's mask decoder
    rows_rate: Scale = 1.0  # of that rate, for the rows of new tokens
    beta2: ShareBelowAll = 0.999  # of AdamW
    weight_decay: Share = 0.05
    warmup: ShareBelowAll = 0.05  # share of the steps; then the rate falls as a cosine
    clip: Annotated[float, Range(0, 1e6)] = 1.0  # largest norm of the gradient; 0: no limit
    bf16: bool = True  # frozen weights and autocast, where the machine computes in bfloat16
    checkpointing: bool = True  # keep each layer's input only, and compute the layer again going back
    shard: bool = False  # FSDP2: spread weights, gradients and optimiser over the processes
    workers: Workers = 2  # processes that prepare data
    log_every: Every = 10  # steps
    save_every: Every = 200  # steps
    evaluate_every: Every = 200  # steps
    report_to: Reporter = "none"  # "wandb": log to Weights & Biases too

    def accumulate(self, processes: int) -> int:
        """Batches that each process adds up for a step.

        Raises:
            ValueError: if the global batch cannot be split so.
        """
        accumulated, rest = divmod(self.global_batch, self.batch * processes)
        if rest:
            raise ValueError(
                f"a global batch of {self.global_batch} cannot be split into batches of {self.batch} on {processes} "
                "processes: make it a multiple"
            )
        return accumulated

    def total_steps(self, samples: int) -> int:
        """Optimiser steps of a run over a mixture of so many samples a pass.

        Raises:
            ValueError: if there are more visits of samples than a run can keep in order.
        """
        steps = self.steps or max(1, round(self.epochs * samples / self.global_batch))
        if steps * self.global_batch > MOST_VISITS:
            raise ValueError(
                f"tuning: {steps:,} steps with a global_batch of {self.global_batch:,} visit more than the "
                f"{MOST_VISITS:,} samples that a run may have"
            )
        return steps


@dataclass(frozen=True)
class FinetuneRecipe:
    """One fine-tune."""

    name: Name
    base: str  # "nano", a folder, or a hub id of a Perceptio model
    data: DataPlan
    seed: Seed = 0
    sizes: str = ""  # published sizes that a dry run assumes while `base` is not there, such as internvl3-2b
    order: Literal["base", "spans_first", "answer_first", "interleaved"] = "base"  # of an answer's parts; as the base's
    # of its depth spans in use; as the base's. "parallel" teaches a query token that finds all codes at once
    depth_decoding: Literal["base", "exact", "quick", "parallel", "sequential"] = "base"
    mask_gate: bool = False  # whether its masks are dropped by SAM 2's object score: for data with absent objects
    sam_cache: str = ""  # folder for SAM 2's features of each picture, about 44 MB each at 1024 px; "": none
    packing: PackPlan = field(default_factory=PackPlan)
    lora: LoraPlan = field(default_factory=LoraPlan)
    tuning: TuningPlan = field(default_factory=TuningPlan)
    losses: LossWeights = field(default_factory=LossWeights)
    pointer_losses: PointerWeights = field(default_factory=PointerWeights)  # of a base with a pointer

    def __post_init__(self) -> None:
        if self.sizes and self.sizes not in INTERNVL:
            raise ValueError(f"sizes {self.sizes!r} is no published InternVL: known are {', '.join(INTERNVL)}")
        if not any(astuple(self.losses)):
            raise ValueError("losses are all switched off: give at least one a weight above 0")
        if self.mask_gate and not self.losses.object:
            raise ValueError("mask_gate goes by SAM 2's object score: give losses: object a weight above 0")
