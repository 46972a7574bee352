"""Parts of the model that a stage leaves in a file of their own: safetensors, read strictly."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save
from torch import nn

from perceptio.files import replacing


def load_part(module: nn.Module, path: Path) -> None:
    """Read weights strictly.

    Raises:
        ValueError: if the file is missing: an earlier stage has not run.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing: run the stage `{path.parent.name}` first")
    module.load_state_dict(load_file(path))


def save_part(module: nn.Module, path: Path) -> None:
    """Write weights."""
    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    with replacing(path) as beside:
        beside.write_bytes(save(weights))  # `save_file` would write to a name of its own first, which a kill leaves
