"""Which networks label: their identity, and the terms that their labels come under."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from perceptio.data.errors import DataError
from perceptio.depth.tokenizer import DepthTokenizer

OWN_TERMS = "terms of the user's own network"
# of the published weights, by name; Depth Anything V2: its README, SAM 2: its README
_LICENCES = (
    (r"depth-anything-v2-small", "Apache-2.0"),
    (r"depth-anything-v2-(base|large)", "CC-BY-NC-4.0"),
    (r"sam2(\.1)?-hiera", "Apache-2.0"),
)


@dataclass(frozen=True)
class Network:
    """A network in a folder."""

    name: str  # as the user gave it: a folder or a hub id
    folder: Path  # where its files are

    @property
    def licence(self) -> str:
        """Of the published weights of that name; nothing is known of a folder of another name."""
        name = self._title.lower()
        return next((licence for pattern, licence in _LICENCES if re.match(pattern, name)), OWN_TERMS)

    def identity(self) -> str:
        """Its name and a hash of its files, "Depth-Anything-V2-Small-hf@0123456789abcdef".

        Raises:
            DataError: if the folder holds no weights.
        """
        weights = sorted(self.folder.glob("*.safetensors"))
        if not weights:
            raise DataError(f"{self.folder} holds no weights (*.safetensors): name a folder with a trained network")
        digest = hashlib.sha256()
        for path in [*weights, *sorted(self.folder.glob("*config.json"))]:
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return f"{self._title}@{digest.hexdigest()[:16]}"

    @property
    def _title(self) -> str:
        """The last part of a hub id or of a folder's path."""
        return Path(self.name).resolve().name


def tokenizer_hash(tokenizer: DepthTokenizer) -> str:
    """First 16 digits of the SHA-256 over what decides a code: sizes, and all tensors in float32."""
    config = tokenizer.config
    digest = hashlib.sha256(json.dumps([config.image_size, config.downsample, config.codes]).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
