"""Find a model by name, folder or hub id, and load it or say in one sentence what is wrong with it."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor

SHIPPED = ("nano",)
_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
_ADVICE = "give 'nano', a folder, or a hub id such as organisation/model"


class ModelError(ValueError):
    """A model cannot be loaded; the message is one sentence for people."""


def load(
    name: str | Path, device: str | None = None, dtype: torch.dtype | None = None
) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor]:
    """Load a model and its processor.

    Args:
        name: "nano", a folder, or a hub id.
        device: "cuda" where there is one, otherwise "cpu", by default.
        dtype: of the weights; by default float32 on the CPU, bfloat16 elsewhere. SAM2 stays in float32.

    Raises:
        ModelError: if there is no such model, or its files are missing, damaged or do not fit.
    """
    folder = find(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"unknown device {device!r}: give cpu, cuda or cuda:0") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("this machine offers no CUDA device: use --device cpu")
    dtype = dtype or (torch.float32 if place.type == "cpu" else torch.bfloat16)
    try:
        model = PerceptioForConditionalGeneration.from_pretrained(folder, dtype=dtype, use_safetensors=True)
        processor = PerceptioProcessor.from_pretrained(folder)
    except SafetensorError as error:
        raise ModelError(f"the weights in {folder} are damaged or cut short ({error}): fetch them again") from error
    except (ValueError, OSError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())}") from error
    model.sam.float()
    model.projector.float()
    return model.to(place).eval(), processor


def find(name: str | Path) -> Path:
    """The folder of a model.

    Raises:
        ModelError: if there is none, or a file is missing in it.
    """
    text = str(name)
    if text in SHIPPED:
        folder = Path(str(files("perceptio"))) / "assets" / text
    elif Path(text).is_dir():
        folder = Path(text)
    elif Path(text).exists():
        raise ModelError(f"{text} is a file, not a model's folder: {_ADVICE}")
    elif _HUB_ID.match(text) and not text.startswith("."):
        folder = _download(text)
    else:
        raise ModelError(f"there is no model {text!r}: {_ADVICE}")
    missing = [file for file in _NEEDED if not (folder / file).is_file()]
    if not any((folder / file).is_file() for file in _WEIGHTS):
        missing.append(_WEIGHTS[0])
    if missing:
        raise ModelError(f"{folder} is no complete model: {', '.join(missing)} missing")
    _check_kind(folder)
    return folder


def _check_kind(folder: Path) -> None:
    try:
        kind = json.loads((folder / "config.json").read_text()).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'} is damaged: {error}") from error
    if kind != "perceptio":
        raise ModelError(f"{folder} holds a model of type {kind!r}, not a Perceptio model")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"]))
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise ModelError(f"no folder {name!r} here, and the hub cannot be reached to fetch it: {_ADVICE}") from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"the hub has no model {name!r} for you ({reason}): {_ADVICE}") from error


def load_depth_tokenizer(name: str | Path) -> DepthTokenizer:
    """The depth tokenizer of a model, or of a folder that holds a tokenizer alone, in float32.

    Raises:
        ModelError: as `load`.
    """
    config = Path(name) / "config.json"
    if config.is_file() and '"perceptio_depth"' in config.read_text() and '"perceptio"' not in config.read_text():
        try:
            return DepthTokenizer.from_pretrained(name, use_safetensors=True).float().eval()
        except (SafetensorError, ValueError, OSError, RuntimeError) as error:
            raise ModelError(f"the depth tokenizer in {name} cannot be loaded: {error}") from error
    return load(name, device="cpu")[0].depth_tokenizer
