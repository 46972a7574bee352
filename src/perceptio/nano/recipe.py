"""The recipe of a model that is made from nothing: its sizes, its scenes, and the stages of its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from inspect import signature

from perceptio.data.supervision import Supervision
from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.objectives import LossWeights
from perceptio.nano.build import Sizes
from perceptio.scenes.samples import Mixture
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.stage import Stage


@dataclass(frozen=True)
class ScenePlan:
    """Which procedural scenes are rendered."""

    train: int = 20_000  # scenes
    val: int = 256  # scenes
    size: int = 224  # side of the pictures, px


@dataclass(frozen=True)
class AlignStage(Stage):
    """Visual tokens are drawn to words."""

    tower_rate: float = 0.05  # of the stage's rates, for the vision tower: it comes trained


@dataclass(frozen=True)
class JointStage(Stage):
    """Training of the whole model on questions."""

    questions: int = 7  # an image, packed in one sequence
    length: int = 0  # tokens of a sequence: questions that do not fit any more are not asked; 0: no limit
    dense: float = 0.0  # weight of the vision tower's dense targets, see `nano.objective`
    attention: float = 0.0  # weight of the loss of where some attention heads look, see `nano.attention`
    explicit: float = 0.3  # share of questions that say which spans they want
    self_generated_depth: float = 0.0  # share of scenes whose answers read the depth codes that the model itself wrote
    mixture: Mixture = field(default_factory=Mixture)
    supervision: Supervision = field(default_factory=Supervision)
    losses: LossWeights = field(default_factory=LossWeights)
    pointer_losses: PointerWeights = field(default_factory=PointerWeights)
    decoder_rate: float = 0.1  # of the stage's rates, for SAM2's mask decoder: it comes trained, and forgets quickly
    tower_rate: float = 0.3  # likewise for the vision tower; 0 freezes it, which saves half of a small model's work
    embedding_rate: float = 1.0  # likewise for the embeddings of words, which start a hundred times larger than weights
    head_rate: float = 1.0  # likewise for the language model's head, where it is not the embeddings
    evaluate_every: int = 400  # steps between losses on the val split

    def __post_init__(self) -> None:
        if not 0 <= self.self_generated_depth <= 1:
            raise ValueError(
                f"self_generated_depth is a share of the scenes, from 0 to 1, not {self.self_generated_depth:g}"
            )
        if self.dense and not self.tower_rate:
            raise ValueError(
                f"dense {self.dense:g} teaches the vision tower, which tower_rate 0 freezes: set one of them"
            )


@dataclass(frozen=True)
class Recipe:
    """One training run from nothing."""

    name: str
    seed: int = 0
    vocabulary: int = 1024  # tokens of the text tokenizer
    scenes: ScenePlan = field(default_factory=ScenePlan)
    model: Sizes = field(default_factory=Sizes)
    depth_tokenizer: dict[str, int] = field(default_factory=dict)  # sizes, see `DepthTokenizerConfig`
    vision: Stage = field(default_factory=Stage)
    sam: Stage = field(default_factory=Stage)
    depth: Stage = field(default_factory=Stage)
    align: AlignStage = field(default_factory=AlignStage)
    words: JointStage = field(default_factory=JointStage)
    joint: JointStage = field(default_factory=JointStage)
    finish: JointStage = field(default_factory=JointStage)

    def __post_init__(self) -> None:
        known = signature(DepthTokenizerConfig).parameters.keys() - {"kwargs"}
        for name in self.depth_tokenizer.keys() - known:
            raise ValueError(f"depth_tokenizer has the unknown setting {name!r}; known are: {', '.join(sorted(known))}")
        _ = self.depth_configuration  # sizes that do not fit are refused here, not hours later

    @property
    def depth_configuration(self) -> DepthTokenizerConfig:
        """Of the depth tokenizer."""
        return DepthTokenizerConfig(**self.depth_tokenizer)
