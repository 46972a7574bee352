"""Training of the whole model on questions about scenes: what a sample is, and one stage from start to saved model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from perceptio.data.packing import PackedRow, pack_record
from perceptio.data.packing import collate as collate_rows
from perceptio.files import replacing_folder
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.scenes.record import build_record
from perceptio.scenes.storage import SceneStore
from perceptio.training.cotraining import HEAD_FILE, CotrainedPerceptio, with_targets
from perceptio.training.dense import dense_targets
from perceptio.training.own_depth import OwnDepth, write_own_depth
from perceptio.training.parts import save_part
from perceptio.training.recipe import JointStage
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Visits, pass_order

Sample = tuple[PackedRow, dict[str, Tensor]]


def train_on_questions(
    model: PerceptioForConditionalGeneration,
    processor: PerceptioProcessor,
    stage: JointStage,
    train: SceneStore,
    val: SceneStore,
    folder: Path,
    *,
    seed: int,
    head: Path | None = None,
) -> None:
    """Train a model, from the last checkpoint if there is one, and leave it with its processor in `folder/final`.

    Args:
        model: as the stage before leaves it; changed in place.
        processor: of the model.
        stage: how to train it, and on what.
        train: scenes to ask about.
        val: scenes for the validation losses.
        folder: of the stage.
        seed: of everything random.
        head: file of the dense head that an earlier stage left, see `CotrainedPerceptio`.

    Raises:
        ValueError: see `write_own_depth`.
    """
    torch.manual_seed(seed)
    model.loss_weights = stage.losses
    trained = CotrainedPerceptio.around(model, stage.dense, head) if stage.dense else model
    if not stage.tower_rate:
        trained.vlm.model.vision_tower.requires_grad_(False)
    visits = stage.steps * stage.batch * stage.accumulate
    own: OwnDepth = {}
    if stage.own_depth:
        seen = pass_order(len(train), seed, 0)[:visits]
        chosen = np.random.default_rng(seed).permutation(seen)[: round(stage.own_depth * len(seen))]
        own = write_own_depth(model, processor, train, chosen.tolist(), folder / "own-depth", seed)
    train_stage(
        trained,
        Visits(_packer(train, stage, model, processor, own), len(train), visits, seed),
        partial(_collate, padding=processor.tokenizer.pad_token_id),
        stage,
        folder,
        seed=seed,
        validation=Visits(_packer(val, stage, model, processor, {}), len(val), len(val), seed),
        evaluate_every=stage.evaluate_every,
        scales={
            "sam": stage.decoder_rate,
            **({"vlm.model.vision_tower": stage.tower_rate} if stage.tower_rate else {}),
            "vlm.model.language_model.embed_tokens": stage.embedding_rate,
            **({} if model.config.tie_word_embeddings else {"vlm.lm_head": stage.head_rate}),
        },
    )
    if isinstance(trained, CotrainedPerceptio):
        save_part(trained.head, folder / HEAD_FILE)
        trained = trained.bare()
    with replacing_folder(folder / "final") as beside:
        trained.save_pretrained(beside)
        processor.save_pretrained(beside)


def _packer(
    store: SceneStore,
    stage: JointStage,
    model: PerceptioForConditionalGeneration,
    processor: PerceptioProcessor,
    own: OwnDepth,
) -> Callable[[int, np.random.Generator], Sample]:
    """What makes a sample: a packed sequence, and its picture's dense targets if they are wanted.

    Args:
        store: scenes to ask about.
        stage: how.
        model: to be taught.
        processor: of the model.
        own: depth codes that the model wrote, of some of the scenes.
    """
    config = model.config
    grid = 2 * math.isqrt(config.vlm.image_seq_length)  # patches along a side: pixel shuffle merges 2 x 2

    def make(index: int, rng: np.random.Generator) -> Sample:
        stored = store[index]
        record = build_record(stored, rng, questions=stage.questions, mixture=stage.mixture)
        row = pack_record(
            replace(record, own_codes=own.get(index)),
            processor,
            config.vocabulary,
            rng,
            depth_size=config.depth.image_size,
            explicit=stage.explicit,
            length=stage.length,
            supervision=stage.supervision,
        )
        return row, dense_targets(stored, record.marks, grid) if stage.dense else {}

    return make


def _collate(samples: Sequence[Sample], padding: int) -> dict[str, Tensor]:
    rows, targets = zip(*samples, strict=True)
    return with_targets(collate_rows(rows, padding), list(targets))
