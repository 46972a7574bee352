"""The recipe of a fine-tune: which model, on which data, what is trained and how. It has the key `base`."""

from __future__ import annotations

from dataclasses import dataclass, field

from perceptio.data.supervision import TokenWeights
from perceptio.model.objectives import LossWeights
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.finetune.lora import LoraPlan


@dataclass(frozen=True)
class DataPlan:
    """Files of samples (docs/data.md), each with how often an epoch passes through it."""

    train: dict[str, float]
    val: dict[str, float] = field(default_factory=dict)  # for `eval_loss`, each sample once; none: no evaluation
    skip_bad: bool = False  # leave out samples that are bad, instead of refusing to start
    anneal: bool = False  # depth generation falls from all of the samples to a tenth, as in AURORA (2412.03548)


@dataclass(frozen=True)
class PackPlan:
    """How a sample becomes a sequence: the picture once, then its questions as branches."""

    length: int = 4096  # tokens of a sequence: questions that do not fit any more are left out; 0: no limit
    explicit: float = 0.3  # share of questions that say which spans they want
    weights: TokenWeights = field(default_factory=TokenWeights)  # of tokens in the text loss; plain cross-entropy


@dataclass(frozen=True)
class TuningPlan:
    """How a fine-tune is optimised; the defaults are Sa2VA's (2501.04001)."""

    epochs: float = 1.0  # passes through the mixture
    steps: int = 0  # optimiser steps, whatever the epochs say; 0: as the epochs say
    global_batch: int = 64  # sequences a step, over all devices
    batch: int = 1  # sequences that a device holds at once; the rest is accumulated
    learning_rate: float = 4e-5  # of AdamW
    decoder_rate: float = 1.0  # of that rate, for SAM 2's mask decoder
    rows_rate: float = 1.0  # of that rate, for the rows of new tokens
    beta2: float = 0.999  # of AdamW
    weight_decay: float = 0.05
    warmup: float = 0.05  # share of the steps; then the rate falls as a cosine
    clip: float = 1.0  # largest norm of the gradient
    bf16: bool = True  # frozen weights and autocast, where the machine computes in bfloat16
    checkpointing: bool = True  # keep each layer's input only, and compute the layer again going back
    shard: bool = False  # FSDP2: spread weights, gradients and optimiser over the processes
    workers: int = 2  # processes that prepare data
    log_every: int = 10  # steps
    save_every: int = 200  # steps
    evaluate_every: int = 200  # steps

    def __post_init__(self) -> None:
        if self.steps < 0 or (not self.steps and self.epochs <= 0):
            raise ValueError(f"a fine-tune needs steps or epochs above 0, not {self.steps} and {self.epochs}")
        if self.global_batch < 1 or self.batch < 1 or not 0 <= self.warmup < 1:
            raise ValueError("global_batch and batch are at least 1, and warmup is a share below 1")

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
        """Optimiser steps of a run over a mixture of so many samples a pass."""
        return self.steps or max(1, round(self.epochs * samples / self.global_batch))


@dataclass(frozen=True)
class FinetuneRecipe:
    """One fine-tune."""

    name: str
    base: str  # "nano", a folder, or a hub id of a Perceptio model
    data: DataPlan
    seed: int = 0
    sizes: str = ""  # published sizes that a dry run assumes while `base` is not there, such as internvl3-2b
    sam_cache: str = ""  # folder for SAM 2's features of each picture, about 44 MB each at 1024 px; "": none
    packing: PackPlan = field(default_factory=PackPlan)
    lora: LoraPlan = field(default_factory=LoraPlan)
    tuning: TuningPlan = field(default_factory=TuningPlan)
    losses: LossWeights = field(default_factory=LossWeights)
    pointer_losses: PointerWeights = field(default_factory=PointerWeights)  # of a base with a pointer
