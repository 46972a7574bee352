"""Load a model or a depth tokenizer by name, or say in one sentence what is wrong with it."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.pretrained.folder import ModelError, locate, naming, read_object
from perceptio.pretrained.misfits import check_weights
from perceptio.pretrained.precision import computes_bfloat16
from perceptio.pretrained.weights import INDEX, WHOLE, read_weights
from perceptio.tokens import spatial_tokens

_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json")
_WORDS = 50  # tokens of the shortest question and answer
_DEPTH_PART = "depth_tokenizer."
_DEPTH_RUNS = ("final", "depth/final")  # where `perceptio tokenizer train` leaves a tokenizer


def load(
    name: str | Path, device: str | None = None, dtype: torch.dtype | None = None
) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor]:
    """Load a model and its processor.

    Args:
        name: "nano", a folder, or a hub id.
        device: "cuda" where there is one, otherwise "cpu", by default.
        dtype: of the vision-language model, whatever its files hold; by default bfloat16 on a GPU that computes in it,
            float32 elsewhere. All other parts are in float32.

    Raises:
        ModelError: if there is no such model, or its files are missing, damaged or do not fit.
    """
    folder = find(name)
    place = find_device(("cuda" if torch.cuda.is_available() else "cpu") if device is None else device)
    half = place.type == "cuda" and computes_bfloat16()
    dtype = dtype or (torch.bfloat16 if half else torch.float32)
    processor = PerceptioProcessor.from_pretrained(folder)
    model = PerceptioForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    with naming(folder):
        check_fit(model, processor)
    return model.to(place).eval(), processor


def find_device(name: str) -> torch.device:
    """The device of that name, "cpu", "cuda" or "cuda:0".

    Raises:
        ModelError: if this machine has none that numbers can be put on.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that torch no longer wants
            device = torch.device(name)
            torch.zeros(1, device=device).cpu()  # "meta" would have no numbers to give back
    except Exception as error:  # each kind of device fails in its own way where it is not there
        raise ModelError(f"this machine offers no device {name!r}: use cpu, or cuda where there is a GPU") from error
    return device


def find(name: str | Path) -> Path:
    """The folder of a Perceptio model; that of a finished training run leads to the model that it made.

    Raises:
        ModelError: if there is none, or a file is missing or damaged in it.
    """
    folder = locate(name)
    if not (folder / _NEEDED[0]).is_file() and (folder / "model" / _NEEDED[0]).is_file():
        folder /= "model"  # where a training run leaves its result
    missing = [file for file in _NEEDED if not (folder / file).exists()]
    if not any((folder / file).exists() for file in (WHOLE, INDEX)):
        missing.append(WHOLE)
    if missing:
        raise ModelError(f"{folder} is no complete model: {', '.join(missing)} missing")
    PerceptioConfig.from_pretrained(folder)
    return folder


def check_fit(model: PerceptioForConditionalGeneration, processor: PerceptioProcessor) -> None:
    """Complain of parts of different models: they would load, and fail or answer nonsense only when asked.

    Raises:
        ValueError: with the file and the field.
    """
    vocabulary, tokenizer = model.config.vocabulary, processor.tokenizer
    names = [*spatial_tokens(len(vocabulary.codes)), tokenizer.context_image_token]
    ids = [vocabulary.seg, vocabulary.depth_start, vocabulary.depth_end, *vocabulary.codes]
    for token, expected in zip(names, [*ids, model.config.vlm.image_token_id], strict=True):
        if tokenizer.convert_tokens_to_ids(token) != expected:
            raise ValueError(f"its tokenizer and config.json disagree about the token {token}")
    known = max(tokenizer.get_vocab().values())
    if max(*ids, vocabulary.end_of_text, known) >= model.vlm.get_input_embeddings().num_embeddings:
        raise ValueError("its tokenizer.json or tokenizer_config.json has more tokens than the model has embeddings")
    text, vision = model.config.vlm.text_config, model.config.vlm.vision_config
    least = model.config.vlm.image_seq_length + vocabulary.tokens_per_map + _WORDS
    if text.max_position_embeddings < least:
        raise ValueError(
            f"config.json has max_position_embeddings {text.max_position_embeddings}, but a picture, its depth codes "
            f"and a few words take {least}"
        )
    side = processor.image_processor.size
    for name, found, expected in (
        ("image_seq_length", processor.image_seq_length, model.config.vlm.image_seq_length),
        ("image_processor's size", (side["height"], side["width"]), tuple(vision.image_size)),
        ("sam_image_size", processor.sam_image_size, model.config.sam.prompt_encoder_config.image_size),
        ("context_length", processor.context_length, text.max_position_embeddings),
    ):
        if found != expected:
            raise ValueError(f"processor_config.json has {name} {found!r} but the model needs {expected}")


def load_depth_tokenizer(name: str | Path) -> DepthTokenizer:
    """The depth tokenizer of a model, of a folder that holds a tokenizer alone, or of a run that made one; in float32.

    Raises:
        ModelError: as `load`.
    """
    folder = _of_run(locate(name))
    path = folder / "config.json"
    if path.exists() and read_object(path).get("model_type") == DepthTokenizerConfig.model_type:
        with naming(path):
            config = DepthTokenizerConfig.from_dict(read_object(path))
        weights = read_weights(folder)
    else:
        folder = find(folder)
        config = PerceptioConfig.from_pretrained(folder).depth
        weights = read_weights(folder, _DEPTH_PART)
    with naming(folder):
        with torch.device("meta"):  # no memory before all is known to fit
            check_weights(weights, DepthTokenizer(config), "the depth tokenizer of its config.json")
        tokenizer = DepthTokenizer(config)
        tokenizer.load_state_dict(weights)
    return tokenizer.eval()


def _of_run(folder: Path) -> Path:
    """Where the run in a folder left its depth tokenizer; the folder itself where it is no such run."""
    if (folder / "config.json").exists() or not (folder / "recipe.json").exists():
        return folder
    found = next((folder / place for place in _DEPTH_RUNS if (folder / place / "config.json").exists()), None)
    if found is None:
        raise ModelError(f"{folder} is a run that has not made its depth tokenizer yet: run it to its end")
    return found
