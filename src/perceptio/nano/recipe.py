"""The recipe of a model that is made from nothing: its sizes, its scenes, and the stages of its training."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Annotated

from perceptio.data.supervision import Supervision
from perceptio.model.objectives import LossWeights
from perceptio.nano.build import Sizes
from perceptio.scenes.language.mixture import Mixture
from perceptio.scenes.samples import TASKS
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.codebook.settings import DepthSizes
from perceptio.training.limits import Every, Name, Range, Scale, Seed, Share, Tokens
from perceptio.training.stage import Stage

_WORDS = 32  # tokens for a question and its answer, at the very least


@dataclass(frozen=True)
class ScenePlan:
    """Which procedural scenes are rendered."""

    train: Annotated[int, Range(1, 1_000_000)] = 20_000  # scenes
    val: Annotated[int, Range(1, 100_000)] = 256  # scenes
    size: Annotated[int, Range(16, 2048)] = 224  # side of the pictures, px


@dataclass(frozen=True)
class AlignStage(Stage):
    """Visual tokens are drawn to words."""

    tower_rate: Scale = 0.05  # of the stage's rates, for the vision tower: it comes trained


@dataclass(frozen=True)
class JointStage(Stage):
    """Training of the whole model on questions."""

    questions: Annotated[int, Range(1, 40)] = 7  # an image, packed in one sequence
    length: Tokens = 0  # tokens of a sequence: questions that do not fit any more are not asked; 0: no limit
    dense: float = 0.0  # weight of the vision tower's dense targets, see `nano.objective`
    attention: float = 0.0  # weight of the loss of where some attention heads look, see `nano.attention`
    explicit: Share = 0.3  # share of questions that say which spans they want
    self_generated_depth: Share = 0.0  # share of scenes whose answers read the depth codes that the model itself wrote
    mixture: Mixture = field(default_factory=Mixture)
    supervision: Supervision = field(default_factory=Supervision)
    losses: LossWeights = field(default_factory=LossWeights)
    pointer_losses: PointerWeights = field(default_factory=PointerWeights)
    decoder_rate: Scale = 0.1  # of the stage's rates, for SAM2's mask decoder: it comes trained, and forgets quickly
    tower_rate: Scale = 0.3  # likewise for the vision tower; 0 freezes it, which saves half of a small model's work
    embedding_rate: Scale = 1.0  # likewise for the embeddings of words, which start a hundred times larger than weights
    head_rate: Scale = 1.0  # likewise for the language model's head, where it is not the embeddings
    evaluate_every: Every = 400  # steps between losses on the val split

    def __post_init__(self) -> None:
        if not any(getattr(self.mixture, task) for task in TASKS):
            raise ValueError("mixture asks nothing: give at least one task a weight above 0")
        if self.mixture.marked > 1:
            raise ValueError(f"mixture.marked is a share of the pictures, from 0 to 1, not {self.mixture.marked:g}")
        weights = (*astuple(self.losses), *astuple(self.pointer_losses), self.dense, self.attention)
        if not any(weights):
            raise ValueError("losses are all switched off: give at least one a weight above 0")
        if self.dense and not self.tower_rate:
            raise ValueError(
                f"dense {self.dense:g} teaches the vision tower, which tower_rate 0 freezes: set one of them"
            )


@dataclass(frozen=True)
class Recipe:
    """One training run from nothing."""

    name: Name
    seed: Seed = 0
    vocabulary: Annotated[int, Range(263, 100_000)] = 1024  # tokens of the text tokenizer
    scenes: ScenePlan = field(default_factory=ScenePlan)
    model: Sizes = field(default_factory=Sizes)
    depth_tokenizer: DepthSizes = field(default_factory=DepthSizes)
    vision: Stage = field(default_factory=Stage)
    sam: Stage = field(default_factory=Stage)
    depth: Stage = field(default_factory=Stage)
    align: AlignStage = field(default_factory=AlignStage)
    words: JointStage = field(default_factory=JointStage)
    joint: JointStage = field(default_factory=JointStage)
    finish: JointStage = field(default_factory=JointStage)

    def __post_init__(self) -> None:
        visual, depth = self.model.visual_tokens, self.depth_tokenizer
        codes = depth.configuration.tokens_per_map
        if visual + codes + _WORDS > self.model.context:
            raise ValueError(
                f"depth_tokenizer.image_size {depth.image_size} and downsample {depth.downsample} make {codes:,} "
                f"codes, which beside {visual:,} visual tokens leave no room for words in a model.context of "
                f"{self.model.context:,}"
            )
