"""What an ablation compares: variants of one training stage, the seeds of each, and how the models are judged."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Annotated

from perceptio.data.supervision import Supervision, TokenWeights
from perceptio.nano.recipe import JointStage, ScenePlan
from perceptio.tokens import Order
from perceptio.training.limits import Batch, Name, Range
from perceptio.training.recipe import RecipeError

FULL = "full"  # the variant that all others are compared with
Number = Annotated[int, Range(0, 1000)]  # of runs


@dataclass(frozen=True)
class Variant:
    """The full training with one thing taken away."""

    title: str  # for tables
    seg: bool = True  # answers hold [SEG]
    depth: bool = True  # answers hold depth spans
    weighted: bool = True  # the words that answers are judged by weigh more than others
    without: str | None = None  # name of the loss that is off
    order: Order = "spans_first"

    def of(self, stage: JointStage) -> JointStage:
        """The stage with this variant's change."""
        weights = stage.supervision.weights if self.weighted else TokenWeights()
        losses = replace(stage.losses, **{self.without: 0.0}) if self.without else stage.losses
        return replace(stage, supervision=Supervision(self.seg, self.depth, weights), losses=losses)


VARIANTS = {
    FULL: Variant("full"),
    "no_depth": Variant("no depth tokens", depth=False),
    "neither": Variant("answer only", seg=False, depth=False),
    "no_segmentation": Variant("no segmentation tokens", seg=False),
    "answer_first": Variant("answer first", order="answer_first"),
    "no_weighting": Variant("no token weighting", weighted=False),
    "no_marker": Variant("no marker loss", without="marker"),
    "no_count": Variant("no count loss", without="count"),
    "no_reconstruction": Variant("no reconstruction loss", without="reconstruction"),
}


@dataclass(frozen=True)
class Seeds:
    """Number of runs of each variant, with the seeds 0, 1, ...; 0 leaves a variant out."""

    full: Number = 2
    no_depth: Number = 2
    neither: Number = 2
    no_segmentation: Number = 1
    answer_first: Number = 1
    no_weighting: Number = 1
    no_marker: Number = 1
    no_count: Number = 1
    no_reconstruction: Number = 1


@dataclass(frozen=True)
class Judging:
    """What each trained model is asked."""

    scenes: Annotated[int, Range(1, 100_000)] = 200  # of the test split
    free: Annotated[int, Range(0, 100_000)] = 50  # of them, asked once more without the grammar
    batch: Batch = 32  # questions decoded together


@dataclass(frozen=True)
class Job:
    """One model to train and to judge."""

    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant}-{self.seed}"


@dataclass(frozen=True)
class AblationPlan:
    """One ablation: everything but what a variant changes is the same for all.

    Raises:
        RecipeError: if runs could not be compared.
    """

    name: Name
    start: str  # folder with the weights that all runs begin with
    scenes: ScenePlan = field(default_factory=ScenePlan)
    stage: JointStage = field(default_factory=JointStage)
    seeds: Seeds = field(default_factory=Seeds)
    judging: Judging = field(default_factory=Judging)

    def __post_init__(self) -> None:
        if self.stage.length:
            raise RecipeError(
                f"stage.length is {self.stage.length}, but must be 0: answers without spans are shorter, and with a "
                "limit their variants would be taught more questions"
            )
        for seeds in fields(Seeds):
            number = getattr(self.seeds, seeds.name)
            if not 0 <= number <= self.seeds.full:
                raise RecipeError(
                    f"seeds.{seeds.name} is {number}, but must lie in 0..{self.seeds.full}: every run is compared with "
                    "the full one of the same seed"
                )
        if self.seeds.full < 1:
            raise RecipeError("seeds.full must be at least 1: the other variants are compared with it")

    def jobs(self) -> list[Job]:
        """All runs, the first seed of each variant before the second of any."""
        return [
            Job(variant, seed)
            for seed in range(self.seeds.full)
            for variant in VARIANTS
            if seed < getattr(self.seeds, variant)
        ]
