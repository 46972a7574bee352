"""Weights in a folder: only safetensors beside it, only finite numbers, never more memory than the files hold."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor

from perceptio.files import reading_weights
from perceptio.pretrained.folder import ModelError, naming, read_object, refuse_pointer
from perceptio.pretrained.misfits import other_types

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_SUFFIX = ".safetensors"
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_MOST = 1e12  # no network has such a weight: a bit of its exponent was flipped
_SLACK = 50_000_000  # numbers that a network may be larger than its weights: the missing ones are then named

Network = TypeVar("Network")


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder that hold its weights.

    Raises:
        ModelError: if there are none, or the index names what is no safetensors file in this folder.
    """
    index = folder / INDEX
    if (folder / WHOLE).exists() or not index.exists():
        names = [WHOLE]
    else:
        places = read_object(index).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise ModelError(f"{index} is damaged: it has no weight_map")
        names = sorted({_plain_name(index, name) for name in places.values()})
    for name in names:
        _check_file(folder / name)
    return [folder / name for name in names]


def read_weights(folder: Path, prefix: str = "", most: float = _MOST) -> dict[str, Tensor]:
    """The weights whose names begin so, under the rest of their names; they stay on disk until they are used.

    Args:
        folder: of the network.
        prefix: of the names.
        most: the largest size that a weight may have.

    Raises:
        ModelError: if a file is missing, damaged, or holds a number that no network can have.
    """
    found: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with naming(), reading_weights(path), safe_open(path, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (no dictionary)
                if name.startswith(prefix):
                    if name.removeprefix(prefix) in found:
                        raise ModelError(f"{path}: the weight {name} stands in another file too")
                    found[name.removeprefix(prefix)] = weights.get_tensor(name)
                    check_numbers(found[name.removeprefix(prefix)], f"{path}: the weight {name}", most)
    return found


def check_numbers(values: Tensor, name: str, most: float = _MOST) -> None:
    """Complain of a weight that is no floating-point tensor of numbers up to `most`; a mark of yes or no passes.

    Raises:
        ModelError: with the name.
    """
    if values.dtype == torch.bool:
        return
    if values.dtype not in _FLOATS:
        kind = str(values.dtype).removeprefix("torch.")
        raise ModelError(f"{name} is of {kind}, but only floating-point weights are read, not quantised ones")
    if values.numel():
        largest = max(abs(float(end)) for end in torch.aminmax(values))
        if not math.isfinite(largest):
            raise ModelError(f"{name} holds NaN or infinity: the file is damaged, or training failed")
        if largest > most:
            raise ModelError(f"{name} holds {largest:.3g}, which no network has: the file is damaged")


def build_network(
    kind: type[Network], config: Any, weights: Mapping[str, Tensor], dtype: torch.dtype | None = None
) -> tuple[Network, dict[str, Collection[str]]]:
    """A network of transformers with its weights, and the names of those that do not fit, by kind.

    Args:
        kind: its class.
        config: checked.
        weights: by name, as from `read_weights`.
        dtype: of the network; that of its weights by default.

    Raises:
        ValueError: if the network is far larger than its weights, or a weight is of another kind than it must be.
    """
    with torch.device("meta"):  # no memory yet
        plan: Any = kind(config)  # type: ignore[call-arg]
    stored = sum(values.numel() for values in weights.values())
    planned = sum(values.numel() for values in plan.parameters())
    if planned > stored + _SLACK:
        raise ValueError(f"its configuration describes {planned:,} weights, but its files hold {stored:,}")
    types = other_types(weights, plan.state_dict())
    if types:
        raise ValueError(f"weights are of a type that they cannot be of: {', '.join(types[:5])}")
    first = next((values.dtype for values in weights.values() if values.is_floating_point()), torch.float32)
    model, report = kind.from_pretrained(  # type: ignore[attr-defined]
        None,
        config=config,
        state_dict=dict(weights),
        dtype=dtype or first,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    for name, planned_value in plan.state_dict().items():  # the library makes a mark of yes or no a number
        if not planned_value.is_floating_point():
            owner, _, own = name.rpartition(".")
            setattr(model.get_submodule(owner), own, model.get_buffer(name).to(planned_value.dtype))
    return model, {
        "missing": report["missing_keys"],
        "unexpected": report["unexpected_keys"],
        "of another shape": [
            f"{name} {tuple(one)} instead of {tuple(two)}" for name, one, two in report["mismatched_keys"]
        ],
    }


def _plain_name(index: Path, name: Any) -> str:
    if not isinstance(name, str) or name != os.path.basename(name) or not name.endswith(_SUFFIX) or "\0" in name:
        raise ModelError(f"{index} names {name!r}: only *{_SUFFIX} files in its own folder are read")
    return name


def _check_file(path: Path) -> None:
    """A link is followed, as the hub's cache is made of them, but it must lead to a file."""
    try:
        kind = path.stat().st_mode
    except OSError as error:
        raise ModelError(
            f"{path} is missing or cannot be read: only safetensors are read ({error.strerror})"
        ) from error
    if not stat.S_ISREG(kind):
        raise ModelError(f"{path} is no file: fetch the weights again")
    with naming(path), path.open("rb") as file:
        beginning = file.read(100)
    refuse_pointer(path, beginning.decode("latin-1"))
