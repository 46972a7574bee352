"""Which networks label: their identity, and the terms that their labels come under."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from perceptio.data.errors import DataError
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.pretrained.folder import read_object

OWN_TERMS = "terms of the user's own network"
# of the published weights, by the width of their encoder; sources: the READMEs of their repositories and model cards
_LICENCES = {
    "depth_anything": {384: "Apache-2.0", 768: "CC-BY-NC-4.0", 1024: "CC-BY-NC-4.0"},  # Small, Base, Large
    "zoedepth": {1024: "MIT"},
    "depth_pro": {1024: "apple-amlr (research only)"},
    "sam2": {96: "Apache-2.0", 112: "Apache-2.0", 144: "Apache-2.0"},  # Tiny and Small, Base-plus, Large
}
_ENCODERS = (
    ("backbone_config",),
    ("patch_model_config",),
    ("vision_config", "backbone_config"),
)  # where config.json describes it
_CACHED = re.compile(r"models--(?:.+--)?(.+)")  # the hub's folder of a model


@dataclass(frozen=True)
class Network:
    """A network in a folder."""

    name: str  # as the user gave it: a folder or a hub id
    folder: Path  # where its files are

    @property
    def licence(self) -> str:
        """Of the published weights of that kind and size, whatever their folder is called; of others nothing is known.

        Raises:
            ModelError: if config.json is missing or damaged.
        """
        config = read_object(self.folder / "config.json")
        widths = _LICENCES.get(str(config.get("model_type")).removesuffix("_video"), {})
        for sections in _ENCODERS:
            encoder: Any = config
            for section in sections:
                encoder = encoder.get(section) if isinstance(encoder, dict) else None
            width = encoder.get("hidden_size") if isinstance(encoder, dict) else None
            if isinstance(width, int) and width in widths:
                return widths[width]
        return OWN_TERMS

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
        """The last part of a hub id, also where the hub's cache keeps it, or of a folder's path."""
        path = Path(self.name).resolve()
        cached = next((match for part in path.parts if (match := _CACHED.fullmatch(part))), None)
        return cached[1] if cached else path.name


def tokenizer_hash(tokenizer: DepthTokenizer) -> str:
    """First 16 digits of the SHA-256 over what decides a code: sizes, and all tensors in float32."""
    config = tokenizer.config
    digest = hashlib.sha256(json.dumps([config.image_size, config.downsample, config.codes]).encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
