"""Find a model by name, folder or hub id, and load it or say in one sentence what is wrong with it."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import read_json, reading_weights
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.tokens import spatial_tokens

SHIPPED = ("nano",)
_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
_SECTIONS = ("vlm", "sam", "depth")  # of config.json; a missing one would silently become a 7B default
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
    place = find_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = dtype or (torch.float32 if place.type == "cpu" else torch.bfloat16)
    try:
        model = PerceptioForConditionalGeneration.from_pretrained(folder, dtype=dtype, use_safetensors=True)
        processor = PerceptioProcessor.from_pretrained(folder)
        _check_fit(model, processor)
    except (ImportError, MemoryError):
        raise
    except SafetensorError as error:
        raise ModelError(f"the weights in {folder} are damaged or cut short ({error}): fetch them again") from error
    except Exception as error:  # what a damaged file sets off has no common type: tokenizers raises Exception itself
        raise ModelError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())}") from error
    return model.to(place).eval(), processor


def find_device(name: str) -> torch.device:
    """The device of that name, "cpu", "cuda" or "cuda:0".

    Raises:
        ModelError: if this machine has none.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"unknown device {name!r}: give cpu, cuda or cuda:0") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("this machine offers no CUDA device: use --device cpu")
    return device


def locate(name: str | Path) -> Path:
    """The folder of that name, that of a shipped model, or that into which a hub id is downloaded.

    Raises:
        ModelError: if there is none.
    """
    text = str(name)
    if text in SHIPPED:
        folder = Path(str(files("perceptio"))) / "assets" / text
        if not folder.is_dir():
            raise ModelError(f"this installation lacks the model {text!r} ({folder}): install the package again")
    elif os.path.isdir(text):  # of os.path, which answers for impossible names too
        return Path(text)
    elif os.path.exists(text):
        raise ModelError(f"{text} is a file, not a model's folder: {_ADVICE}")
    elif _HUB_ID.match(text) and not text.startswith("."):
        return _download(text)
    else:
        raise ModelError(f"there is no model {text!r}: {_ADVICE}")
    return folder


def find(name: str | Path) -> Path:
    """The folder of a Perceptio model; that of a finished training run leads to the model that it made.

    Raises:
        ModelError: if there is none, or a file is missing in it.
    """
    folder = locate(name)
    if not (folder / _NEEDED[0]).is_file() and (folder / "model" / _NEEDED[0]).is_file():
        folder /= "model"  # where a training run leaves its result
    missing = [file for file in _NEEDED if not (folder / file).is_file()]
    if not any((folder / file).is_file() for file in _WEIGHTS):
        missing.append(_WEIGHTS[0])
    if missing:
        raise ModelError(f"{folder} is no complete model: {', '.join(missing)} missing")
    config, *_ = [_read_object(folder / file) for file in _NEEDED]
    if config.get("model_type") != "perceptio":
        raise ModelError(f"{folder} holds a model of type {config.get('model_type')!r}, not a Perceptio model")
    absent = [section for section in _SECTIONS if not isinstance(config.get(section), dict)]
    if absent:
        raise ModelError(f"{folder / 'config.json'} is damaged: no section {', '.join(absent)}")
    return folder


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except ValueError as error:
        raise ModelError(str(error)) from error


def _check_fit(model: PerceptioForConditionalGeneration, processor: PerceptioProcessor) -> None:
    """Files of two models in one folder would load, and fail or answer nonsense only when asked."""
    vocabulary, tokenizer = model.config.vocabulary, processor.tokenizer
    names = [*spatial_tokens(len(vocabulary.codes)), tokenizer.context_image_token]
    ids = [vocabulary.seg, vocabulary.depth_start, vocabulary.depth_end, *vocabulary.codes]
    for token, expected in zip(names, [*ids, model.config.vlm.image_token_id], strict=True):
        if tokenizer.convert_tokens_to_ids(token) != expected:
            raise ValueError(f"its tokenizer and config.json disagree about the token {token}")
    if max(*ids, vocabulary.end_of_text, len(tokenizer) - 1) >= model.vlm.get_input_embeddings().num_embeddings:
        raise ValueError("its tokenizer has more tokens than the model has embeddings")
    for name, found, expected in (
        ("image_seq_length", processor.image_seq_length, model.config.vlm.image_seq_length),
        (
            "image_processor's height",
            processor.image_processor.size["height"],
            model.config.vlm.vision_config.image_size[0],
        ),
        ("sam_image_size", processor.sam_image_size, model.config.sam.prompt_encoder_config.image_size),
    ):
        if found != expected:
            raise ValueError(f"processor_config.json has {name} {found!r} but the model needs {expected}")


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
    if config.is_file() and _read_object(config).get("model_type") == DepthTokenizerConfig.model_type:
        try:
            return DepthTokenizer.from_pretrained(name, use_safetensors=True).float().eval()
        except (SafetensorError, ValueError, OSError, RuntimeError) as error:
            raise ModelError(f"the depth tokenizer in {name} cannot be loaded: {error}") from error
    folder = find(name)
    try:
        tokenizer = DepthTokenizer(PerceptioConfig.from_pretrained(folder).depth)
        with reading_weights(folder):
            tokenizer.load_state_dict(_part(folder, "depth_tokenizer."))
    except (ValueError, OSError, RuntimeError) as error:
        raise ModelError(f"no depth tokenizer can be loaded from {folder}: {' '.join(str(error).split())}") from error
    return tokenizer.eval()


def _part(folder: Path, prefix: str) -> dict[str, Tensor]:
    """The weights of a model whose names begin so, in float32; no other is read."""
    index = folder / _WEIGHTS[1]
    files = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else [_WEIGHTS[0]]
    found: dict[str, Tensor] = {}
    for file in files:
        with safe_open(folder / file, "pt") as weights:
            names = [name for name in weights.keys() if name.startswith(prefix)]  # noqa: SIM118 (no dictionary)
            found |= {name.removeprefix(prefix): weights.get_tensor(name).float() for name in names}
    return found
