"""One optimiser step for each loss alone, its gradients kept: in this process, or in two that share the samples.

worker.py BASE FOLDER BATCH ACCUMULATE
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn
from torch.multiprocessing import start_processes
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from perceptio.data.packing import pack_sample
from perceptio.data.schema import ABSENT, IdMap, Mark, Sample, Turn
from perceptio.model.loading import load
from perceptio.model.objectives import LossWeights
from perceptio.nano.attention_targets import attention_targets
from perceptio.nano.objective import NanoObjective
from perceptio.nano.questions import SupervisedRow, collate_rows
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.stage import Stage
from perceptio.training.trainer import StageTrainer, train_stage

SIDE, GRID = 64, 16  # px of a picture, and patches along a side
PAPER = tuple(each.name for each in fields(LossWeights))
POINTER = tuple(each.name for each in fields(PointerWeights))
LOSSES = (*PAPER, *POINTER, "attention", "dense")
Kept = dict[str, dict[str, Tensor]]  # loss -> parameter -> gradient; the loss itself as ""

# eight samples that hold different numbers of words, masks, codes, marks and absent objects, and in one case none
TURNS: tuple[tuple[Turn, ...], ...] = (
    (Turn("Segment the cube.", "Here is <p>the cube</p>.", "referring", masks=(1,)),),
    (Turn("Segment all.", "Here are <p>all cubes</p>.", "plural", masks=(3, 1, 2), depth=True),),
    (Turn("How many?", "3.", "counting", target="3"), Turn("Is it day?", "Yes, as far as I can see, it is.")),
    (Turn("Segment the cone.", "Nothing is <p>a cone</p>.", "absent", masks=(ABSENT,)),),
    (
        Turn("Which?", "A at 3,4 nearness 57; B at 8,1 nearness 20. Point A.", "marks", depth=True, target="A"),
        Turn("Where is A?", "Point A is at 3,4.", "marks_cell", target="3,4"),
    ),
    (Turn("Both?", "<p>The cube</p> is left of <p>the ball</p>.", "nearer", masks=(1, 2), depth=True),),
    (Turn("Depth?", "Here.", "depth", depth=True), Turn("Read it.", "Ok.", masks=(2,), supervise=("text",))),
    (Turn("The ball?", "Here is <p>the ball</p>.", masks=(2,)), Turn("A ring?", "No <p>ring</p>.", masks=(ABSENT,))),
)


def sample_of(number: int) -> Sample:
    """The picture, depth map and questions of one sample."""
    rng = np.random.default_rng(number)
    ids = np.zeros((SIDE, SIDE), np.uint8)
    for value, (row, column) in enumerate(((4, 6), (24, 40), (44, 12)), 1):
        ids[row : row + 8 + number, column : column + 16 - number] = value
    image = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    depth = np.linspace(-1, 1 - number / 8, SIDE, dtype=np.float32)[:, None].repeat(SIDE, 1)
    has_depth = any(turn.depth for turn in TURNS[number])
    marks = (Mark("A", 30, 22, 0.1), Mark("B", 10, 55, -0.6)) if number == 4 else ()
    return Sample(image, TURNS[number], f"test/{number}", IdMap(ids), depth if has_depth else None, marks=marks)


def dense_of(number: int) -> dict[str, Tensor]:
    """Dense targets of one sample: the more things, the higher the number."""
    rng = np.random.default_rng((number, 1))

    def classes(count: int, nothing: int, share: float) -> Tensor:
        drawn = rng.integers(1, count, (GRID, GRID))
        return torch.from_numpy(np.where(rng.random((GRID, GRID)) < share, drawn, nothing))

    def values(count: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=(GRID, GRID, count)).astype(np.float32))

    share = (number + 1) / 10
    there = {"shape": classes(5, 0, share), "letter": classes(4, 0, share / 4)}
    parts = {name: classes(3, -100, share) for name in ("color", "material", "size")}
    return there | parts | {"depth": values(1), "offset": values(2), "mark_offset": values(2)}


class Rows(Dataset[SupervisedRow]):
    """The eight samples as packed rows, once for each loss."""

    def __init__(self, objective: NanoObjective, processor: Any) -> None:
        config, self.rows = objective.model.config, list[SupervisedRow]()
        for number in range(len(TURNS)):
            sample = sample_of(number)
            row = pack_sample(sample, processor, config, np.random.default_rng(number))
            self.rows.append(SupervisedRow(row, attention_targets(sample, row, config), dense_of(number), None))

    def __len__(self) -> int:
        return len(self.rows) * len(LOSSES)

    def __getitem__(self, visit: int) -> SupervisedRow:
        return self.rows[visit % len(self.rows)]


def only(objective: NanoObjective, name: str) -> None:
    """Switch all losses off but one."""
    off, pointer_off = dict.fromkeys(PAPER, 0.0), dict.fromkeys(POINTER, 0.0)
    assert objective.pointing is not None
    objective.weights = LossWeights(**off | ({name: 1.0} if name in PAPER else {}))
    pointer_weights = PointerWeights(**pointer_off | ({name: 1.0} if name in POINTER else {}))
    objective.pointing = replace(objective.pointing, weights=pointer_weights)
    objective.attention, objective.dense = float(name == "attention"), float(name == "dense")


class Uncounted(nn.Module):
    """The objective without its counts: each loss is a mean over the batches' own means."""

    def __init__(self, objective: NanoObjective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, **batch: Tensor) -> dict[str, Any]:
        outputs: dict[str, Any] = self.objective(**batch)
        return outputs


class Keep(TrainerCallback):
    """Keeps the gradients of each step, and turns to the next loss."""

    def __init__(self, objective: NanoObjective) -> None:
        self.objective, self.found, self.step = objective, Kept(), 0
        only(objective, LOSSES[0])

    def on_pre_optimizer_step(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        self.found[LOSSES[self.step]] = {
            name: value.grad.clone() for name, value in self.objective.named_parameters() if value.grad is not None
        }

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        self.step += 1
        if self.step < len(LOSSES):
            only(self.objective, LOSSES[self.step])
        control.should_save = False
        return control

    def on_log(self, args: TrainingArguments, state: TrainerState, *_: Any, logs: dict[str, float], **__: Any) -> None:
        name = LOSSES[min(self.step, len(LOSSES)) - 1]
        if f"loss/{name}" in logs:
            self.found[name][""] = torch.tensor(logs[f"loss/{name}"])


def steps(base: Path, folder: Path, batch: int, accumulate: int, *, counted: bool = True) -> Kept:
    """The gradients of one step of each loss alone on all samples, and the logged loss; no weight moves."""
    model, processor = load(base, device="cpu")
    torch.manual_seed(0)
    objective = NanoObjective(model, dense=1.0, attention=1.0)
    keep = Keep(objective)

    class Trainer(StageTrainer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.add_callback(keep)

    stage = Stage(len(LOSSES), batch, accumulate, 0.0, clip=0.0, warmup=0, bf16=False, workers=0, log_every=1)
    rows = Rows(objective, processor)
    padded = partial(collate_rows, padding=processor.tokenizer.pad_token_id)
    module = objective if counted else Uncounted(objective)
    train_stage(module, rows, padded, stage, folder, seed=0, trainer=Trainer)
    return keep.found


def one_of_two(rank: int, port: int, base: Path, folder: Path, batch: int, accumulate: int) -> None:
    """What torchrun starts, in a process of which the libraries are already there."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    state = PartialState(cpu=True)
    kept = steps(base, folder, batch, accumulate)
    if state.is_main_process:
        torch.save(kept, folder / "gradients.pt")
    state.wait_for_everyone()
    state.destroy_process_group()  # or a process that ends first may abort the other


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = (port, Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    start_processes(one_of_two, given, 2, start_method="fork")
