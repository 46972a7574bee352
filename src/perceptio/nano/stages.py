"""The stages that make nano from nothing; each leaves its result in its own folder and is skipped once it is done.

scenes -> text tokenizer -> vision tower | SAM2 | depth tokenizer -> align -> words -> joint -> finish -> shipped folder
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import locked, replacing_folder
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.model.vocabulary import TURN_END, extend_tokenizer
from perceptio.nano.alignment import WordAlignment
from perceptio.nano.build import build_model, build_processor
from perceptio.nano.dense import VisionPretraining, dense_sample
from perceptio.nano.objective import HEAD_FILE
from perceptio.nano.parts import load_part, save_part
from perceptio.nano.questions import GENERATED_FOLDER, train_on_questions
from perceptio.nano.recipe import JointStage, Recipe
from perceptio.nano.sam_pretraining import SamPretraining, collate
from perceptio.nano.sam_prompts import PromptedImage, draw_prompts
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.nano.text_tokenizer import train_tokenizer
from perceptio.scenes.render_job import STORES, render_below
from perceptio.scenes.samples import corpus
from perceptio.scenes.storage import SceneStore
from perceptio.training.beginning import HOW_IT_RUNS, begin, check_reads, file_hash
from perceptio.training.stage import Stage
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Made, Passes, Visits

_WEIGHTS = "model.safetensors"
_RESULTS = {  # of each stage, in its run's folder; what is trained has a folder of its own
    "tokenizer": "tokenizer/tokenizer.json",
    "vision": f"vision/{_WEIGHTS}",
    "sam": f"sam/{_WEIGHTS}",
    "depth": "depth/final",
    "align": "align/final",
    "words": "words/final",
    "joint": "joint/final",
    "finish": "finish/final",
    "export": "model",
}
_STARTS = {  # the stages whose results it reads
    "vision": ("tokenizer",),
    "align": ("tokenizer", "vision", "sam", "depth"),
    "words": ("align", "tokenizer"),
    "joint": ("words", "tokenizer"),
    "finish": ("joint", "tokenizer"),
    "export": ("finish", "tokenizer"),
}
STAGES = ("scenes", *_RESULTS)
_OWN_FILES = (*(f"scenes/{pattern}" for pattern in STORES), *_RESULTS.values())  # in a run's folder
_TRAINED = STAGES[2:-1]
_ON_QUESTIONS = ("words", "joint", "finish")
_CORPUS = 3000  # scenes whose questions and answers the text tokenizer is trained on
_SAME_SCENE = 100  # times that one is asked about, where there are fewer
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
        """Run the stages in order; those that are done are skipped. Several may run side by side, each by itself.

        Raises:
            ValueError: for an unknown stage, or a folder that was begun with another recipe.
            OutputError: if the folder cannot be written, or another run is at the same stage.
        """
        unknown = [stage for stage in stages if stage not in STAGES]
        if unknown:
            raise ValueError(f"unknown stage {unknown[0]!r}: choose from {', '.join(STAGES)}")
        results = any((self.folder / result).exists() for result in _RESULTS.values())
        under_way = results or any(self.folder.glob("*/checkpoint-*"))
        begin(self.folder, self._shared(), under_way=under_way, ours=_OWN_FILES)
        for stage in stages:
            with locked(self.folder / stage if stage in _TRAINED else self.folder):
                self._run_stage(stage)

    def _shared(self) -> dict[str, Any]:
        """Settings that are the same for all stages of a run."""
        return {name: value for name, value in asdict(self.recipe).items() if name not in (*_TRAINED, "name")}

    def _run_stage(self, stage: str) -> None:
        logger.info("stage %s", stage)
        result = self.folder / _RESULTS.get(stage, stage)
        finished = result.exists() and stage not in ("scenes", "export")  # which are quick where nothing is new
        starts = self._starts(stage, finished)
        if stage in _TRAINED:
            self._begin(stage, starts, finished)
        if finished:
            logger.info("stage %s is finished: %s is left as it is", stage, result)
        else:
            getattr(self, f"_{stage}")(result)

    def _starts(self, stage: str, finished: bool) -> list[Path]:
        """The files of earlier results that a stage reads; those that a finished stage has read may be gone."""
        found = []
        for name in _STARTS.get(stage, ()):
            path = self.folder / _RESULTS[name]
            if path.exists():
                found.append(path / _WEIGHTS if path.is_dir() else path)
            elif not finished:
                raise ValueError(f"{path} is missing: run the stage `{name}` first")
        return found

    def _begin(self, stage: str, starts: Sequence[Path], finished: bool) -> None:
        """Refuse a stage that was begun with other settings, scenes or results of earlier stages."""
        folder = self.folder / stage
        settings = asdict(getattr(self.recipe, stage))
        under_way = finished or any(folder.glob("checkpoint-*")) or (folder / GENERATED_FOLDER).is_dir()
        begin(folder, {name: settings[name] for name in settings if name not in HOW_IT_RUNS}, under_way=under_way)
        reads = {str(path.relative_to(self.folder)): file_hash(path) for path in starts}
        if not finished:
            for split in ("train", "val") if stage in _ON_QUESTIONS else ("train",):
                reads[f"the split {split!r} of the scenes"] = self.store(split).meta.content_hash
        check_reads(folder, reads, finished=finished)

    def store(self, split: str) -> SceneStore:
        """The rendered scenes of a split, rendered now if they are not there."""
        plan = self.recipe.scenes
        return render_below(self.scenes, split, plan.val if split == "val" else plan.train, size=plan.size)

    def visits(self, make: Callable[[int, np.random.Generator], Made], items: int, stage: Stage) -> Visits[int, Made]:
        """The samples of a whole stage."""
        visits = stage.steps * stage.batch * stage.accumulate
        return Visits(Passes(items, visits, self.recipe.seed), make, self.recipe.seed)

    def _scenes(self, _: Path) -> None:
        for split in ("train", "val"):
            self.store(split)

    def _tokenizer(self, result: Path) -> None:
        store = self.store("train")
        texts = corpus(store, np.random.default_rng(self.recipe.seed), min(_CORPUS, _SAME_SCENE * len(store)))
        tokenizer = train_tokenizer(texts, self.recipe.vocabulary)
        with replacing_folder(result.parent) as beside:
            tokenizer.save_pretrained(beside)

    def _vision(self, target: Path) -> None:
        store, sizes, stage = self.store("train"), self.recipe.model, self.recipe.vision

        def make(index: int, rng: np.random.Generator) -> dict[str, Tensor]:
            return dense_sample(store[index], sizes.image, sizes.patch, rng)

        torch.manual_seed(self.recipe.seed)
        module = VisionPretraining(self.fresh_model().vlm.model.vision_tower, sizes.vision_width)
        train_stage(module, self.visits(make, len(store), stage), _stack, stage, target.parent, seed=self.recipe.seed)
        save_part(module.head, target.with_name(HEAD_FILE))
        save_part(module.tower, target)

    def _sam(self, target: Path) -> None:
        store, size, stage = self.store("train"), self.recipe.model.image, self.recipe.sam

        def make(index: int, rng: np.random.Generator) -> PromptedImage:
            rgb, _, ids = store.pictures(index)
            return draw_prompts(rgb, ids, size, prompts=_PROMPTS, seed=int(rng.integers(2**62)), mirror=True)

        torch.manual_seed(self.recipe.seed)
        module = SamPretraining(build_sam(nano_sam_config(size)))
        train_stage(module, self.visits(make, len(store), stage), collate, stage, target.parent, seed=self.recipe.seed)
        save_part(module.sam, target)

    def _depth(self, target: Path) -> None:
        store, stage = self.store("train"), self.recipe.depth
        config = self.recipe.depth_tokenizer.configuration

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

    def _align(self, target: Path) -> None:
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
            _stack,
            stage,
            target.parent,
            seed=self.recipe.seed,
            scales={"model.vision_tower": stage.tower_rate},
        )
        with replacing_folder(target) as beside:
            model.save_pretrained(beside)

    def _words(self, target: Path) -> None:
        self._questions(self.recipe.words, target, after="align")

    def _joint(self, target: Path) -> None:
        self._questions(self.recipe.joint, target, after="words")

    def _finish(self, target: Path) -> None:
        self._questions(self.recipe.finish, target, after="joint")

    def _questions(self, stage: JointStage, target: Path, after: str) -> None:
        """Train the whole model, as the stage before leaves it, on questions about scenes."""
        model = PerceptioForConditionalGeneration.from_pretrained(self.folder / _RESULTS[after])
        stores = self.store("train"), self.store("val")
        earlier = STAGES[: STAGES.index(target.parent.name)]
        heads = [self.folder / name / HEAD_FILE for name in earlier]
        head = next((path for path in reversed(heads) if path.is_file()), None)
        if stage.dense and head is None:
            logger.warning("no earlier stage left a dense head (%s): it starts afresh", HEAD_FILE)
        train_on_questions(model, self.processor(), stage, *stores, target.parent, seed=self.recipe.seed, head=head)

    def _export(self, target: Path) -> None:
        """The folder to ship: bfloat16 weights, configuration, processor."""
        model = PerceptioForConditionalGeneration.from_pretrained(self.folder / _RESULTS["finish"])
        with replacing_folder(target) as beside:
            model.to(torch.bfloat16).save_pretrained(beside)
            self.processor().save_pretrained(beside)

    def _tokenizer_files(self) -> PreTrainedTokenizerBase:
        path = self.folder / "tokenizer"
        if not path.is_dir():
            raise ValueError(f"{path} is missing: run the stage `tokenizer` first")
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False)

    def fresh_model(self) -> PerceptioForConditionalGeneration:
        """A model of the recipe's sizes with random weights; the stage `tokenizer` must be done."""
        return build_model(self._tokenizer_files(), self.recipe.depth_tokenizer.configuration, self.recipe.model)

    def processor(self) -> PerceptioProcessor:
        """The processor of the recipe's model; the stage `tokenizer` must be done."""
        tokenizer, config = self._tokenizer_files(), self.recipe.depth_tokenizer.configuration
        extend_tokenizer(tokenizer, config.codes, config.tokens_per_map, TURN_END)
        return build_processor(tokenizer, self.recipe.model)


def _stack(items: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """As torch's default, which would want shared memory for it."""
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def _stack_maps(maps: Sequence[Tensor]) -> dict[str, Tensor]:
    return {"maps": torch.stack(list(maps))[:, None]}
