"""Perceptio in lmms-eval: the model `perceptio` and RefCOCO tasks scored by masks; docs/lmms.md tells how to run them.

lmms-eval finds `manifest` through the entry point `lmms_eval.models`. It calls it whenever any model is looked up, so
nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

TASKS = Path(__file__).parent / "tasks"
"""The folder for lmms-eval's `--include_path`."""


def manifest() -> ModelManifest:
    """What lmms-eval has to know of the model: its name and its class."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="perceptio", simple_class_path="perceptio.evaluation.lmms.model.PerceptioLmms")
