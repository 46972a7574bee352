"""A recipe: everything that decides a training run, in one YAML file; an unknown or misspelt key is an error."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from perceptio.data.packing import Supervision
from perceptio.model.build import Sizes
from perceptio.model.objectives import LossWeights
from perceptio.scenes.record import Mixture
from perceptio.training.finetune_recipe import FinetuneRecipe

_T = TypeVar("_T")


class RecipeError(ValueError):
    """A recipe cannot be used; the message is one sentence for people."""


@dataclass(frozen=True)
class ScenePlan:
    """Which procedural scenes are rendered."""

    train: int = 20_000  # scenes
    val: int = 256  # scenes
    size: int = 224  # side of the pictures, px


@dataclass(frozen=True)
class DepthPlan:
    """Sizes of the depth tokenizer, see `DepthTokenizerConfig`; the defaults are nano's."""

    image_size: int = 160  # side of the maps, px
    downsample: int = 16  # map pixels per code
    codes: int = 128  # K
    code_dim: int = 32  # D
    width: int = 96  # channels at the grid
    blocks: int = 2  # residual blocks of the encoder


@dataclass(frozen=True)
class Stage:
    """How one stage is optimised; the rate warms up, may stay, and falls as a cosine."""

    steps: int = 1000  # optimiser steps
    batch: int = 32  # images a step and device
    accumulate: int = 1  # batches a step
    learning_rate: float = 1e-3  # of AdamW
    muon: float = 0.0  # rate of Muon on the matrices of hidden layers; 0: AdamW for all
    weight_decay: float = 0.05
    warmup: int = 100  # steps
    decay: float = 1.0  # share of the steps, at the end, in which the rate falls; before, it stays
    clip: float = 1.0  # largest norm of the gradient
    beta2: float = 0.98  # of AdamW
    bf16: bool = True  # autocast where the machine computes in bfloat16; weights stay float32
    workers: int = 1  # processes that prepare data
    log_every: int = 25  # steps
    save_every: int = 200  # steps


@dataclass(frozen=True)
class AlignStage(Stage):
    """Visual tokens are drawn to words."""

    tower_rate: float = 0.05  # of the stage's rates, for the vision tower: it comes trained


@dataclass(frozen=True)
class JointStage(Stage):
    """Training of the whole model on questions."""

    questions: int = 7  # an image, packed in one sequence
    length: int = 0  # tokens of a sequence: questions that do not fit any more are not asked; 0: no limit
    dense: float = 0.0  # weight of the vision tower's dense targets, see `training.cotraining`
    explicit: float = 0.3  # share of questions that say which spans they want
    own_depth: float = 0.0  # share of scenes whose answers read the depth codes that the model itself wrote
    mixture: Mixture = field(default_factory=Mixture)
    supervision: Supervision = field(default_factory=Supervision)
    losses: LossWeights = field(default_factory=LossWeights)
    decoder_rate: float = 0.1  # of the stage's rates, for SAM2's mask decoder: it comes trained, and forgets quickly
    tower_rate: float = 0.3  # likewise for the vision tower; 0 freezes it, which saves half of a small model's work
    embedding_rate: float = 1.0  # likewise for the embeddings of words, which start a hundred times larger than weights
    head_rate: float = 1.0  # likewise for the language model's head, where it is not the embeddings
    evaluate_every: int = 400  # steps between losses on the val split

    def __post_init__(self) -> None:
        if not 0 <= self.own_depth <= 1:
            raise ValueError(f"own_depth is a share of the scenes, from 0 to 1, not {self.own_depth:g}")
        if self.dense and not self.tower_rate:
            raise ValueError(
                f"dense {self.dense:g} teaches the vision tower, which tower_rate 0 freezes: set one of them"
            )


@dataclass(frozen=True)
class Recipe:
    """One training run."""

    name: str
    seed: int = 0
    vocabulary: int = 1024  # tokens of the text tokenizer
    scenes: ScenePlan = field(default_factory=ScenePlan)
    model: Sizes = field(default_factory=Sizes)
    depth_tokenizer: DepthPlan = field(default_factory=DepthPlan)
    vision: Stage = field(default_factory=Stage)
    sam: Stage = field(default_factory=Stage)
    depth: Stage = field(default_factory=Stage)
    align: AlignStage = field(default_factory=AlignStage)
    words: JointStage = field(default_factory=JointStage)
    joint: JointStage = field(default_factory=JointStage)
    finish: JointStage = field(default_factory=JointStage)


def load_recipe(path: str | Path) -> Recipe | FinetuneRecipe:
    """Read the recipe of a training run: with the key `base` a fine-tune, else one that starts from nothing.

    Raises:
        RecipeError: as `read_recipe`.
    """
    data = _mapping(path)
    return _build(FinetuneRecipe, data, str(path)) if "base" in data else _build(Recipe, data, str(path))


def read_recipe(path: str | Path, kind: type[_T]) -> _T:
    """Read a recipe of a known kind.

    Args:
        path: of a YAML file.
        kind: a frozen dataclass.

    Raises:
        RecipeError: if the file is missing, is no YAML, or holds an unknown key or a value of the wrong type.
    """
    return _build(kind, _mapping(path), str(path))


def _mapping(path: str | Path) -> dict[str, Any]:
    """The settings in a YAML file."""
    import yaml

    try:
        data = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path} must be a mapping of settings, not {data!r}")
    return data


def _build(kind: type[_T], data: Any, where: str) -> _T:
    """A dataclass from a mapping, strictly."""
    if not isinstance(data, dict):
        raise RecipeError(f"{where} must be a mapping of settings, not {data!r}")
    types_of = typing.get_type_hints(kind)
    unknown = sorted(set(data) - set(types_of))
    if unknown:
        raise RecipeError(f"{where} has the unknown setting {unknown[0]!r}; known are: {', '.join(types_of)}")
    values = {key: _convert(types_of[key], value, f"{where}: {key}") for key, value in data.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:  # a required setting is missing, or a value makes no sense
        raise RecipeError(f"{where}: {error}") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(typing.cast(type, kind), value, where)
    assert not isinstance(kind, types.UnionType)
    if typing.get_origin(kind) is typing.Literal:
        if value not in typing.get_args(kind):
            raise RecipeError(f"{where} must be one of {', '.join(typing.get_args(kind))}, not {value!r}")
        return value
    if typing.get_origin(kind) is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise RecipeError(f"{where} must be a mapping with names as keys, not {value!r}")
        return {key: _convert(typing.get_args(kind)[1], item, f"{where}: {key}") for key, item in value.items()}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise RecipeError(f"{where} must be of type {kind.__name__}, not {value!r}")
    return value
