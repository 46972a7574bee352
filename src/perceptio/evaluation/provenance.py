"""Where figures come from: the model and a hash of its weights, the versions of what computed them."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from typing import Any

import torch

from perceptio.pipeline import Perceptio

_NO_SETTING = ("_name_or_path", "transformers_version", "architectures", "dtype", "truncation", "padding")
_PACKAGES = ("perceptio", "torch", "transformers", "numpy", "pillow")


def provenance(model: Perceptio) -> dict[str, Any]:
    """Model, precision, device and versions; the same on every run with the same model on the same installation."""
    parameter = next(model.model.parameters())
    return {
        "model": model.name,
        "weights": weights_hash(model),
        "configuration": configuration_hash(model),
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "device": parameter.device.type,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def weights_hash(model: Perceptio) -> str:
    """First 16 digits of the SHA-256 over names, types and values of all tensors, in the precision they run in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def configuration_hash(model: Perceptio) -> str:
    """First 16 digits of the SHA-256 over what answers depend on beside the weights: settings, and how text is read."""
    processor = model.processor
    content = {
        "model": model.model.config.to_dict(),
        "image_processor": processor.image_processor.to_dict(),
        "tokenizer": json.loads(processor.tokenizer.backend_tokenizer.to_str()),
        "sizes": [processor.image_seq_length, processor.sam_image_size, processor.context_length],
    }
    return hashlib.sha256(json.dumps(_settings(content), sort_keys=True, default=str).encode()).hexdigest()[:16]


def _settings(content: Any) -> Any:
    """Without what differs between two loadings of the same files."""
    if isinstance(content, dict):
        return {str(name): _settings(value) for name, value in content.items() if name not in _NO_SETTING}
    return content
