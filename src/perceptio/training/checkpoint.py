"""Checkpoints that can be trusted: a kill in the middle of writing must not be resumed from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch.distributed as dist
from safetensors import SafetensorError
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from perceptio.files import OutputError
from perceptio.files.writing import making_folder

_MARKER = "complete"
_SHOWN = 200  # characters of a library's words


@contextmanager
def saving(folder: Path) -> Iterator[None]:
    """Let a full disk or a closed folder end a run with one sentence; what is half-written is removed at once.

    Raises:
        OutputError: if the system refuses to write.
    """
    try:
        with making_folder(folder):
            yield
    except OutputError:
        last_checkpoint(folder)  # frees the room that the half-written one takes
        raise


@contextmanager
def resuming(checkpoint: str | Path) -> Iterator[None]:
    """Name the checkpoint where one of its files turns out to be damaged.

    Raises:
        ValueError: if one is.
    """
    try:
        yield
    except (OSError, EOFError, LookupError, RuntimeError, SafetensorError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:_SHOWN]
        raise ValueError(
            f"the checkpoint {checkpoint} is damaged ({reason}): remove it, and the run goes on from the one before"
        ) from error


class MarkComplete(TrainerCallback):
    """Leave a marker in each checkpoint once every process has written its files."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if dist.is_initialized():
            dist.barrier()
        if state.is_world_process_zero:
            with saving(Path(args.output_dir)):
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
