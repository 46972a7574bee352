"""Many clients, one model: their questions wait in a bounded queue, are answered in batches, and may be given up."""

from __future__ import annotations

from perceptio.serving.engine.batching import Engine, Workload
from perceptio.serving.engine.errors import (
    ClosingError,
    DeadlineError,
    EngineError,
    QueueFullError,
    UnknownPictureError,
)
from perceptio.serving.engine.observer import Observer
from perceptio.serving.engine.pictures import StoredPicture
from perceptio.serving.engine.queries import Clicked, EngineEvent, Finished, Query, Usage
from perceptio.serving.engine.settings import EngineSettings

__all__ = [
    "Clicked",
    "ClosingError",
    "DeadlineError",
    "Engine",
    "EngineError",
    "EngineEvent",
    "EngineSettings",
    "Finished",
    "Observer",
    "Query",
    "QueueFullError",
    "StoredPicture",
    "UnknownPictureError",
    "Usage",
    "Workload",
]
