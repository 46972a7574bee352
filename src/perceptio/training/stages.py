"""The stages that make nano from nothing; each leaves its result in its own folder and is skipped once it is done.

    scenes -> text tokenizer -> vision tower | SAM2 | depth tokenizer -> joint co-training -> the shipped folder
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import replacing
from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation.config import build_sam, nano_sam_config
from perceptio.segmentation.pretraining import SamPretraining, collate
from perceptio.segmentation.prompts import PromptedImage, draw_prompts
from perceptio.training.recipe import Recipe, Stage
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Item, Visits

STAGES = ("scenes", "tokenizer", "vision", "sam", "depth", "joint", "export")
_WEIGHTS = "model.safetensors"
_PROMPTS = 3  # points, and boxes, an image

logger = logging.getLogger(__name__)


class Run:
    """One recipe in one folder.

    Args:
        recipe: what to train.
        folder: of everything the run writes.
        scenes: folder that holds (or will hold) the rendered `train` and `val` splits; `folder/scenes` by default.
    """

    def __init__(self, recipe: Recipe, folder: str | Path, scenes: str | Path | None = None) -> None:
        self.recipe = recipe
        self.folder = Path(folder)
        self.scenes = Path(scenes) if scenes else self.folder / "scenes"

    def run(self, stages: tuple[str, ...] = STAGES) -> None:
        """Run the stages in order; those that are done are skipped.

        Raises:
            ValueError: for an unknown stage.
        """
        unknown = [stage for stage in stages if stage not in STAGES]
        if unknown:
            raise ValueError(f"unknown stage {unknown[0]!r}: choose from {', '.join(STAGES)}")
        for stage in stages:
            logger.info("stage %s", stage)
            getattr(self, f"_{stage}")()

    def store(self, split: str) -> SceneStore:
        """The rendered scenes of a split, rendered now if they are not there."""
        plan = self.recipe.scenes
        return render_split(self.scenes / split, split, plan.val if split == "val" else plan.train, size=plan.size)

    def visits(self, make: Callable[[int, np.random.Generator], Item], items: int, stage: Stage) -> Visits[Item]:
        """The samples of a whole stage."""
        return Visits(make, items, stage.steps * stage.batch * stage.accumulate, self.recipe.seed)

    def _scenes(self) -> None:
        for split in ("train", "val"):
            self.store(split)

    def _sam(self) -> None:
        target = self.folder / "sam" / _WEIGHTS
        if target.is_file():
            return
        store, size, stage = self.store("train"), self.recipe.model.image, self.recipe.sam

        def make(index: int, rng: np.random.Generator) -> PromptedImage:
            rgb, _, ids = store.pictures(index)
            return draw_prompts(rgb, ids, size, prompts=_PROMPTS, seed=int(rng.integers(2**62)), mirror=True)

        torch.manual_seed(self.recipe.seed)
        module = SamPretraining(build_sam(nano_sam_config(size)))
        train_stage(
            module, self.visits(make, len(store), stage), collate, stage, target.parent, seed=self.recipe.seed
        )
        _save(module.sam, target)

    def _depth(self) -> None:
        target = self.folder / "depth" / "final"
        if target.is_dir():
            return
        store, stage = self.store("train"), self.recipe.depth
        config = DepthTokenizerConfig(**asdict(self.recipe.depth_tokenizer))

        def make(index: int, rng: np.random.Generator) -> Tensor:
            _, depth, _ = store.pictures(index)
            values = resize_nearest(inverse_depth_from_metric(depth), config.image_size)
            # a mirrored world is as good a world
            return torch.from_numpy(values[:, ::-1].copy() if rng.random() < 0.5 else values)

        torch.manual_seed(self.recipe.seed)
        module = DepthTokenizer(config)
        train_stage(
            module,
            self.visits(make, len(store), stage),
            lambda maps: {"maps": torch.stack(list(maps))[:, None]},
            stage,
            target.parent,
            seed=self.recipe.seed,
        )
        with replacing_folder(target) as beside:
            module.save_pretrained(beside)
