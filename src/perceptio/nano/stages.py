"""The stages that make nano from nothing; each leaves its result in its own folder and is skipped once it is done.

scenes -> text tokenizer -> vision tower | SAM2 | depth tokenizer -> align -> words -> joint -> finish -> shipped folder
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import replacing_folder
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.model.vocabulary import TURN_END, extend_tokenizer
from perceptio.nano.alignment import WordAlignment
from perceptio.nano.build import build_model, build_processor
from perceptio.nano.dense import VisionPretraining, dense_sample
from perceptio.nano.objective import HEAD_FILE
from perceptio.nano.parts import load_part, save_part
from perceptio.nano.questions import train_on_questions
from perceptio.nano.recipe import JointStage, Recipe
from perceptio.nano.sam_pretraining import SamPretraining, collate
from perceptio.nano.sam_prompts import PromptedImage, draw_prompts
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.nano.text_tokenizer import train_tokenizer
from perceptio.scenes.render_job import render_split
from perceptio.scenes.samples import corpus
from perceptio.scenes.storage import SceneStore
from perceptio.training.stage import Stage
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Made, Passes, Visits

STAGES = ("scenes", "tokenizer", "vision", "sam", "depth", "align", "words", "joint", "finish", "export")
_WEIGHTS = "model.safetensors"
_CORPUS = 3000  # scenes whose questions and answers the text tokenizer is trained on
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

    def visits(self, make: Callable[[int, np.random.Generator], Made], items: int, stage: Stage) -> Visits[int, Made]:
        """The samples of a whole stage."""
        visits = stage.steps * stage.batch * stage.accumulate
        return Visits(Passes(items, visits, self.recipe.seed), make, self.recipe.seed)

    def _scenes(self) -> None:
        for split in ("train", "val"):
            self.store(split)

    def _tokenizer(self) -> None:
        target = self.folder / "tokenizer"
        if target.is_dir():
            return
        texts = corpus(self.store("train"), np.random.default_rng(self.recipe.seed), _CORPUS)
        tokenizer = train_tokenizer(texts, self.recipe.vocabulary)
        with replacing_folder(target) as beside:
            tokenizer.save_pretrained(beside)

    def _vision(self) -> None:
        target = self.folder / "vision" / _WEIGHTS
        if target.is_file():
            return
        store, sizes, stage = self.store("train"), self.recipe.model, self.recipe.vision

        def make(index: int, rng: np.random.Generator) -> dict[str, Tensor]:
            return dense_sample(store[index], sizes.image, sizes.patch, rng)

        torch.manual_seed(self.recipe.seed)
        module = VisionPretraining(self.fresh_model().vlm.model.vision_tower, sizes.vision_width)
        train_stage(
            module, self.visits(make, len(store), stage), default_collate, stage, target.parent, seed=self.recipe.seed
        )
        save_part(module.head, target.with_name(HEAD_FILE))
        save_part(module.tower, target)

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
        train_stage(module, self.visits(make, len(store), stage), collate, stage, target.parent, seed=self.recipe.seed)
        save_part(module.sam, target)

    def _depth(self) -> None:
        target = self.folder / "depth" / "final"
        if target.is_dir():
            return
        store, stage = self.store("train"), self.recipe.depth
        config = self.recipe.depth_configuration

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
            _stack_maps,
            stage,
            target.parent,
            seed=self.recipe.seed,
        )
        with replacing_folder(target) as beside:
            module.save_pretrained(beside)

    def _align(self) -> None:
        target = self.folder / "align" / "final"
        if target.is_dir():
            return
        store, sizes, stage = self.store("train"), self.recipe.model, self.recipe.align

        def make(index: int, rng: np.random.Generator) -> dict[str, Tensor]:
            return dense_sample(store[index], sizes.image, sizes.patch, rng)

        torch.manual_seed(self.recipe.seed)
        model = self.fresh_model()
        load_part(model.vlm.model.vision_tower, self.folder / "vision" / _WEIGHTS)
        load_part(model.sam, self.folder / "sam" / _WEIGHTS)
        load_part(model.depth_tokenizer, self.folder / "depth" / "final" / _WEIGHTS)
        train_stage(
            WordAlignment(model.vlm.model, self._tokenizer_files()),
            self.visits(make, len(store), stage),
            default_collate,
            stage,
            target.parent,
            seed=self.recipe.seed,
            scales={"model.vision_tower": stage.tower_rate},
        )
        with replacing_folder(target) as beside:
            model.save_pretrained(beside)

    def _words(self) -> None:
        self._questions(self.recipe.words, "words", after="align")

    def _joint(self) -> None:
        self._questions(self.recipe.joint, "joint", after="words")

    def _finish(self) -> None:
        self._questions(self.recipe.finish, "finish", after="joint")

    def _questions(self, stage: JointStage, name: str, after: str) -> None:
        """Train the whole model, as the stage before leaves it, on questions about scenes."""
        start, target = (self.folder / folder / "final" for folder in (after, name))
        if target.is_dir():
            return
        if not start.is_dir():
            raise ValueError(f"{start} is missing: run the stage `{after}` first")
        model = PerceptioForConditionalGeneration.from_pretrained(start)
        stores = self.store("train"), self.store("val")
        heads = [self.folder / earlier / HEAD_FILE for earlier in STAGES[: STAGES.index(name)]]
        head = next((path for path in reversed(heads) if path.is_file()), None)
        if stage.dense and head is None:
            logger.warning("no earlier stage left a dense head (%s): it starts afresh", HEAD_FILE)
        train_on_questions(model, self.processor(), stage, *stores, target.parent, seed=self.recipe.seed, head=head)

    def _export(self) -> None:
        """The folder to ship: bfloat16 weights, configuration, processor."""
        model = PerceptioForConditionalGeneration.from_pretrained(self.folder / "finish" / "final")
        with replacing_folder(self.folder / "model") as beside:
            model.to(torch.bfloat16).save_pretrained(beside)
            self.processor().save_pretrained(beside)

    def _tokenizer_files(self) -> PreTrainedTokenizerBase:
        path = self.folder / "tokenizer"
        if not path.is_dir():
            raise ValueError(f"{path} is missing: run the stage `tokenizer` first")
        return AutoTokenizer.from_pretrained(path)

    def fresh_model(self) -> PerceptioForConditionalGeneration:
        """A model of the recipe's sizes with random weights; the stage `tokenizer` must be done."""
        return build_model(self._tokenizer_files(), self.recipe.depth_configuration, self.recipe.model)

    def processor(self) -> PerceptioProcessor:
        """The processor of the recipe's model; the stage `tokenizer` must be done."""
        tokenizer, config = self._tokenizer_files(), self.recipe.depth_configuration
        extend_tokenizer(tokenizer, config.codes, config.tokens_per_map, TURN_END)
        return build_processor(tokenizer, self.recipe.model)


def _stack_maps(maps: Sequence[Tensor]) -> dict[str, Tensor]:
    return {"maps": torch.stack(list(maps))[:, None]}
