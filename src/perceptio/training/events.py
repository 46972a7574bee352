"""TensorBoard's events, which transformers writes, with its failures in one sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainingArguments
from transformers.integrations import TensorBoardCallback

from perceptio.training.checkpoint import saving


class WriteEvents(TensorBoardCallback):
    """Writes the losses for TensorBoard, or says why it cannot."""

    def on_train_begin(self, args: TrainingArguments, *others: Any, **kwargs: Any) -> None:
        with saving(Path(args.output_dir)):
            super().on_train_begin(args, *others, **kwargs)

    def on_log(self, args: TrainingArguments, *others: Any, **kwargs: Any) -> None:
        with saving(Path(args.output_dir)):
            super().on_log(args, *others, **kwargs)

    def on_train_end(self, args: TrainingArguments, *others: Any, **kwargs: Any) -> None:
        with saving(Path(args.output_dir)):
            super().on_train_end(args, *others, **kwargs)


@contextmanager
def writing_events() -> Iterator[None]:
    """Silence the thread that writes events: where it fails, the run is told at its next event, and says so itself."""
    report = threading.excepthook

    def silent(failure: Any) -> None:
        if not type(failure.thread).__module__.startswith("tensorboard"):
            report(failure)

    threading.excepthook = silent
    try:
        yield
    finally:
        threading.excepthook = report
