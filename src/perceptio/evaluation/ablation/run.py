"""Running an ablation: every variant is trained from one start and judged on the same scenes, resumable at any moment.

A run's folder `VARIANT-SEED` holds what its training leaves (`training/questions.py`) and one folder of results
(`evaluation/runner.py`) for each time that its model was judged: `test`, `free`, and `tokens-KIND` for the tests in
which other depth tokens take the place of the model's own.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import AutoTokenizer

from perceptio.evaluation.ablation.plan import FULL, VARIANTS, AblationPlan, Job
from perceptio.evaluation.depth_tokens import DepthTokens
from perceptio.evaluation.runner import claim_folder, run_benchmark
from perceptio.evaluation.scenes import ScenesBenchmark
from perceptio.files import locked
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.model.vocabulary import TURN_END, extend_tokenizer
from perceptio.nano.build import Sizes, build_processor
from perceptio.nano.questions import train_on_questions
from perceptio.pipeline import Perceptio
from perceptio.processes import end_with_parent
from perceptio.scenes.render_job import render_below
from perceptio.scenes.storage import SceneStore, SceneStoreError
from perceptio.tokens import Switch

TEST, FREE = "test", "free"  # folders of results
_SPLIT = "test"
REPLACED = (
    *(DepthTokens.oracle, DepthTokens.other, DepthTokens.random),
    *(DepthTokens.matched_random, DepthTokens.constant, DepthTokens.first_repeat),
)
_WEIGHTS = "model.safetensors"

logger = logging.getLogger(__name__)


def _alone() -> None:
    """In a process of its own: one thread, and data from forked workers, as in a run that is started by itself."""
    end_with_parent()
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)


def tokens_folder(kind: DepthTokens) -> str:
    """Name of the folder of results with replaced depth tokens."""
    return f"tokens-{kind.value}"


@dataclass(frozen=True)
class Ablation:
    """One plan in one folder."""

    plan: AblationPlan
    folder: Path  # of everything that is written
    scenes: Path  # of the rendered splits train, val and test; what is missing there is rendered

    def run(self, jobs: int = 1) -> None:
        """Train and judge all models; what is done is skipped.

        Args:
            jobs: models in the making at the same time, each in a process of one thread; with 1 there is one process.

        Raises:
            ValueError: if the start is missing or unusable, or the folder holds another ablation.
            OutputError: if the folder cannot be written, or another run holds it.
        """
        with locked(self.folder):
            self._run(jobs)

    def _run(self, jobs: int) -> None:
        start = _weights_hash(Path(self.plan.start))  # before minutes of rendering
        train = self._store("train", self.plan.scenes.train)
        for split, count in (("val", self.plan.scenes.val), (_SPLIT, self.plan.judging.scenes)):
            self._store(split, count)
        claim_folder(
            self.folder,
            {
                "ablation": self.plan.name,
                "start": start,
                "train_scenes": {"count": self.plan.scenes.train, "content_hash": train.meta.content_hash},
                "stage": asdict(self.plan.stage),
            },
        )
        todo = self.plan.jobs()
        if jobs > 1:
            self._run_in_processes(todo, jobs)
            return
        for number, job in enumerate(todo, 1):
            logger.info("run %d of %d: %s", number, len(todo), job.name)
            self._run_job(job)

    def _run_in_processes(self, todo: list[Job], processes: int) -> None:
        # CUDA and thread pools do not survive a fork
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_alone)
        try:
            futures = {pool.submit(self._run_job_aside, job): job for job in todo}
            for future in tqdm(as_completed(futures), total=len(todo), desc="ablation", unit="run"):
                future.result()
                logger.info("done: %s", futures[future].name)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run_job_aside(self, job: Job) -> None:
        """As `_run_job`, with what it prints in a file of its own."""
        path = self.folder / job.name / "output.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as output, redirect_stdout(output), redirect_stderr(output):
            self._run_job(job)

    def _run_job(self, job: Job) -> None:
        folder = self.folder / job.name
        if not (folder / "final").is_dir():
            self._train(job, folder)
        for checkpoint in folder.glob("checkpoint-*"):  # each is three times the model, and there are many runs
            shutil.rmtree(checkpoint)
        self._judge(job, folder)

    def _train(self, job: Job, folder: Path) -> None:
        variant = VARIANTS[job.variant]
        model, processor = load_start(Path(self.plan.start))
        model.config.order = variant.order
        scenes = self.plan.scenes
        train = self._store("train", scenes.train).first(scenes.train)
        val = self._store("val", scenes.val).first(scenes.val)
        train_on_questions(model, processor, variant.of(self.plan.stage), train, val, folder, seed=job.seed)

    def _judge(self, job: Job, folder: Path) -> None:
        loaded = Perceptio.from_pretrained(folder / "final")
        model = Perceptio(loaded.model, loaded.processor, name=job.name)  # a name that is the same on every machine
        judging, store = self.plan.judging, self._store(_SPLIT, self.plan.judging.scenes)
        for name, tokens, constrained, scenes in self._tests(job):
            seg = Switch.AUTO if VARIANTS[job.variant].seg else Switch.OFF
            benchmark = ScenesBenchmark(model, store, limit=scenes, depth_tokens=tokens, seg=seg)
            run_benchmark(model, benchmark, folder / name, constrained=constrained, batch_size=judging.batch)

    def _tests(self, job: Job) -> Iterator[tuple[str, DepthTokens, bool, int]]:
        """Folder, depth tokens, whether by the grammar, and scenes of each time that a model is judged."""
        judging = self.plan.judging
        tokens = DepthTokens.own if VARIANTS[job.variant].depth else DepthTokens.off
        yield TEST, tokens, True, judging.scenes
        yield FREE, tokens, False, min(judging.free, judging.scenes)
        if job == Job(FULL, 0):
            for kind in REPLACED:
                yield tokens_folder(kind), kind, True, judging.scenes

    def _store(self, split: str, count: int) -> SceneStore:
        """A rendered split of at least so many scenes: a larger one is never cut down."""
        with suppress(SceneStoreError):
            store = SceneStore(self.scenes / split)
            if len(store) >= count and store.meta.size == self.plan.scenes.size:
                return store
        return render_below(self.scenes, split, count, size=self.plan.scenes.size)


def load_start(folder: Path) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor]:
    """The model that a stage left, in float32, with its processor.

    Args:
        folder: a model's, or `RUN/STAGE/final` of a training run, whose tokenizer is in `RUN/tokenizer`.

    Raises:
        ValueError: if something is missing there or does not fit.
    """
    model = PerceptioForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    if (folder / "processor_config.json").is_file():
        return model, PerceptioProcessor.from_pretrained(folder)
    path = folder.parent.parent / "tokenizer"
    if not path.is_dir():
        raise ValueError(f"{folder} has no tokenizer, and neither has its run: {path} is missing")
    tokenizer, config = AutoTokenizer.from_pretrained(path, trust_remote_code=False), model.config
    vocabulary = extend_tokenizer(tokenizer, config.depth.codes, config.depth.tokens_per_map, TURN_END)
    if replace(vocabulary, order=config.order) != config.vocabulary:
        raise ValueError(f"the tokenizer in {path} is not that of the model in {folder}")
    vision = config.vlm.vision_config
    sizes = Sizes(
        image=vision.image_size[0],
        patch=vision.patch_size[0],
        context=config.vlm.text_config.max_position_embeddings,
    )
    return model, build_processor(tokenizer, sizes)


def _weights_hash(folder: Path) -> str:
    """First 16 digits of the SHA-256 of a folder's weights.

    Raises:
        ValueError: if there are none.
    """
    path = folder / _WEIGHTS
    if not path.is_file():
        raise ValueError(f"{path} is missing: train the stage that the ablation starts from, or give its folder")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
