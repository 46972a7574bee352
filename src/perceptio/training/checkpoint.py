"""Checkpoints that can be trusted: a kill in the middle of writing must not be resumed from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_MARKER = "complete"


class MarkComplete(TrainerCallback):
    """Leave a marker in each checkpoint once every process has written its files."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if dist.is_initialized():
            dist.barrier()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _MARKER).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a stage's folder; later, half-written ones are removed."""
    numbered = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    found = sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        if (path / _MARKER).is_file():
            return path
        shutil.rmtree(path)
    return None
