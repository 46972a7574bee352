"""Training of the whole model on questions about scenes: what a sample is, and one stage from start to saved model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from perceptio.data.packing import PackedRow, collate, pack_sample
from perceptio.files import replacing_folder
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.nano.attention_targets import attention_targets
from perceptio.nano.dense import dense_targets
from perceptio.nano.objective import HEAD_FILE, NanoObjective, with_supervision
from perceptio.nano.parts import save_part
from perceptio.nano.recipe import JointStage
from perceptio.nano.self_generated_depth import GeneratedDepth, write_depth
from perceptio.scenes.samples import build_sample
from perceptio.scenes.storage import SceneStore
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Passes, Visits, pass_order

GENERATED_FOLDER = "self-generated-depth"  # in the stage's


@dataclass(frozen=True)
class SupervisedRow:
    """A packed row with what only a model made from nothing needs."""

    row: PackedRow
    attention: list[tuple[int, int, int]]  # see `attention_targets`; empty where its loss is off
    dense: dict[str, Tensor]  # see `dense_targets`; likewise
    generated: tuple[int, ...] | None  # depth codes that the model itself wrote


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
        head: file of the dense head that an earlier stage left, see `NanoObjective`.

    Raises:
        ValueError: see `write_depth`.
    """
    torch.manual_seed(seed)
    objective = NanoObjective(
        model, stage.losses, stage.pointer_losses, dense=stage.dense, attention=stage.attention, head=head
    )
    if not stage.tower_rate:
        model.vlm.model.vision_tower.requires_grad_(False)
    visits = stage.steps * stage.batch * stage.accumulate
    generated: GeneratedDepth = {}
    if stage.self_generated_depth:
        seen = pass_order(len(train), seed, 0)[:visits]
        chosen = np.random.default_rng(seed).permutation(seen)[: round(stage.self_generated_depth * len(seen))]
        generated = write_depth(model, processor, train, chosen.tolist(), folder / GENERATED_FOLDER, seed)
    rates = {
        "sam": stage.decoder_rate,
        **({"vlm.model.vision_tower": stage.tower_rate} if stage.tower_rate else {}),
        "vlm.model.language_model.embed_tokens": stage.embedding_rate,
        **({} if model.config.tie_word_embeddings else {"vlm.lm_head": stage.head_rate}),
        **({} if model.depth_query is None else {"depth_query": stage.embedding_rate}),
    }
    train_stage(
        objective,
        Visits(Passes(len(train), visits, seed), row_maker(train, stage, model, processor, generated), seed),
        partial(collate_rows, padding=processor.tokenizer.pad_token_id),
        stage,
        folder,
        seed=seed,
        validation=Visits(Passes(len(val), len(val), seed), row_maker(val, stage, model, processor, {}), seed),
        evaluate_every=stage.evaluate_every,
        scales={f"model.{name}": rate for name, rate in rates.items()},
    )
    if objective.head is not None:
        save_part(objective.head, folder / HEAD_FILE)
    with replacing_folder(folder / "final") as beside:
        model.save_pretrained(beside)
        processor.save_pretrained(beside)


def row_maker(
    store: SceneStore,
    stage: JointStage,
    model: PerceptioForConditionalGeneration,
    processor: PerceptioProcessor,
    generated: GeneratedDepth,
) -> Callable[[int, np.random.Generator], SupervisedRow]:
    """What makes a row of a scene: its questions, packed, and the supervisions that the stage turns on.

    Args:
        store: scenes to ask about.
        stage: how.
        model: to be taught.
        processor: of the model.
        generated: depth codes that the model wrote, of some of the scenes.
    """
    config = model.config
    grid = 2 * math.isqrt(config.vlm.image_seq_length)  # patches along a side: pixel shuffle merges 2 x 2

    def make(index: int, rng: np.random.Generator) -> SupervisedRow:
        stored = store[index]
        sample = build_sample(stored, rng, questions=stage.questions, mixture=stage.mixture)
        row = pack_sample(
            sample,
            processor,
            config,
            rng,
            explicit=stage.explicit,
            length=stage.length,
            supervision=stage.supervision,
        )
        return SupervisedRow(
            row,
            attention_targets(sample, row, config) if stage.attention else [],
            dense_targets(stored, sample.marks, grid) if stage.dense else {},
            generated.get(index),
        )

    return make


def collate_rows(rows: Sequence[SupervisedRow], padding: int) -> dict[str, Tensor]:
    """Pad and stack rows to what `NanoObjective` reads."""
    return with_supervision(
        collate([each.row for each in rows], padding),
        [each.attention for each in rows],
        [each.dense for each in rows],
        [each.generated for each in rows],
    )
