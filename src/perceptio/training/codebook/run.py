"""Train a depth tokenizer from a recipe; the same call again goes on where it stopped."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import locked, replacing_folder
from perceptio.labeling.map_job import MapPlan
from perceptio.labeling.networks import Network
from perceptio.labeling.running import LabelWorkers
from perceptio.pretrained.folder import locate
from perceptio.training.beginning import HOW_IT_RUNS, begin, check_reads
from perceptio.training.codebook.pictures import DrawReconstructions
from perceptio.training.codebook.settings import CodebookRecipe
from perceptio.training.codebook.sources import MapMaker
from perceptio.training.codebook.views import WholeMaps, everything, random_view, split, stack_maps
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Passes, Visits

RESULT = "final"  # the folder of the tokenizer in that of the run
MAPS_FOLDER = "maps"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HowMaps:
    """Who makes the teacher's maps, and with what; nothing here changes one."""

    workers: LabelWorkers = field(default_factory=LabelWorkers)
    batch_size: int = 8  # pictures read by the teacher at once
    device: str = "cpu"  # of the teacher
    allow_bad: bool = False  # go on without the pictures that give no map


class CodebookRun:
    """One recipe in one folder.

    Args:
        recipe: what to train.
        folder: of everything the run writes: RUN/maps, checkpoints, curves, pictures, RUN/final.
        how: the teacher's maps are made.
    """

    def __init__(self, recipe: CodebookRecipe, folder: str | Path, how: HowMaps | None = None) -> None:
        self.recipe, self.folder, self.how = recipe, Path(folder), how or HowMaps()

    @property
    def result(self) -> Path:
        """Where the tokenizer is when the run has ended."""
        return self.folder / RESULT

    def run(self) -> Path:
        """Make the maps that are missing, and train; returns the folder of the tokenizer.

        Raises:
            ValueError: if the folder was begun with another recipe, or a source or the teacher cannot be used.
            OutputError: if the folder is not ours, cannot be written, or another run is at it.
        """
        under_way = self.result.exists() or any(self.folder.glob("checkpoint-*"))
        begin(self.folder, self._settings(), under_way=under_way)
        with locked(self.folder):
            if self.result.exists():
                logger.info("the run is finished: %s is left as it is", self.result)
            else:
                self._train()
        return self.result

    def _settings(self) -> dict[str, Any]:
        settings = asdict(self.recipe)
        del settings["name"]
        for name in HOW_IT_RUNS:
            settings["training"].pop(name, None)
        return settings

    def _train(self) -> None:
        recipe, stage, size = self.recipe, self.recipe.training, self.recipe.sizes.image_size
        maker = self._maker()
        sets, named = maker.sets(recipe.data), maker.sets(recipe.validation)
        check_reads(self.folder, {each.name: each.identity for each in (*sets, *named)})
        maps, held_out = split(sets, 0 if named else recipe.held_out, recipe.seed)
        validation = WholeMaps(everything(named) if named else held_out, size)
        logger.info("%d maps to train on, %d held out", len(maps), len(validation))

        def make(index: int, rng: np.random.Generator) -> Tensor:
            return random_view(maps[index], size, recipe.crop, rng)

        drawing = DrawReconstructions(validation)
        torch.manual_seed(recipe.seed)
        module = DepthTokenizer(recipe.sizes.configuration)
        visits = stage.steps * stage.batch * stage.accumulate
        train_stage(
            module,
            Visits(Passes(len(maps), visits, recipe.seed), make, recipe.seed),
            stack_maps,
            stage,
            self.folder,
            seed=recipe.seed,
            validation=validation if len(validation) else None,
            evaluate_every=stage.evaluate_every,
            callbacks=[drawing],
        )
        drawing.draw(module, self.folder)
        with replacing_folder(self.result) as beside:
            module.save_pretrained(beside)

    def _maker(self) -> MapMaker:
        name = self.recipe.teacher
        plan = MapPlan(self.recipe.stored_size, batch_size=self.how.batch_size, device=self.how.device)
        teacher = Network(name, locate(name)) if name else None
        return MapMaker(self.folder / MAPS_FOLDER, teacher, plan, self.how.workers, self.how.allow_bad)
