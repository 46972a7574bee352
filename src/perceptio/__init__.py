"""Perceptio: a vision-language model that writes masks and a depth map as tokens before it answers.

The front door is `Perceptio`; everything else is reached through its own module. Names are imported on first use, so
that `import perceptio` (and `perceptio --help`) does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perceptio.images import ImageError
    from perceptio.pipeline import Perceptio
    from perceptio.results import Answer, DepthMap, Mask, Trace
    from perceptio.tokens import Switch

__version__ = "0.1.0"
__all__ = ["Answer", "DepthMap", "ImageError", "Mask", "Perceptio", "Switch", "Trace", "__version__"]

_HOME = {
    "Answer": "perceptio.results",
    "DepthMap": "perceptio.results",
    "ImageError": "perceptio.images",
    "Mask": "perceptio.results",
    "Switch": "perceptio.tokens",
    "Perceptio": "perceptio.pipeline",
    "Trace": "perceptio.results",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'perceptio' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
