"""SAM 2's features of each picture on disk: a frozen encoder gives the same ones in every epoch.

A file holds the three levels of the feature pyramid in float16, 44 MB for a picture of 1024 px. Worth it only where
reading is quicker than encoding: several epochs over some thousand pictures, on a local disk.

Shapes: B images, S image side, C SAM's hidden size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from perceptio.files import replacing

# fine, middle and coarse: (B, C, S/4, S/4), (B, C, S/8, S/8), (B, C, S/16, S/16)
Levels: TypeAlias = tuple[Tensor, Tensor, Tensor]
_NAMES = ("fine", "middle", "coarse")


class FeatureCache:
    """A folder of features, found by the picture's pixels and the encoder's weights.

    Args:
        folder: made if it is missing; it may hold the features of several encoders.
        encoder: whose features they are.
    """

    def __init__(self, folder: Path, encoder: nn.Module) -> None:
        self.folder = folder / _hash_weights(encoder)

    @torch.no_grad()
    def levels(self, pixels: Tensor, encode: Callable[[Tensor], Levels]) -> Levels:
        """Features of (B, 3, S, S) pixels; those that are not there are encoded, and written.

        All are rounded to float16, found or not: a run does not depend on what another left in the folder.
        """
        paths = [self.folder / f"{_hash(image)}.safetensors" for image in pixels]
        missing = [place for place, path in enumerate(paths) if not path.is_file()]
        fresh: dict[int, dict[str, Tensor]] = {}
        if missing:
            encoded = [level.half() for level in encode(pixels[missing])]
            for row, place in enumerate(missing):
                fresh[place] = {name: level[row] for name, level in zip(_NAMES, encoded, strict=True)}
                with replacing(paths[place]) as beside:
                    beside.write_bytes(save({name: level.cpu().contiguous() for name, level in fresh[place].items()}))
        found = [fresh.get(place) or load_file(path, str(pixels.device)) for place, path in enumerate(paths)]
        fine, middle, coarse = (torch.stack([each[name] for each in found]).float() for name in _NAMES)
        return fine, middle, coarse


def _hash(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()[:32]


def _hash_weights(module: nn.Module) -> str:
    whole = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        whole.update(f"{name} {_hash(value)}\n".encode())
    return whole.hexdigest()[:16]
