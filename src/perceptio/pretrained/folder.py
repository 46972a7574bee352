"""The folder of a trained network: found by name, its files whole before a library sees them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from perceptio.files import read_json, read_text

SHIPPED = ("nano",)
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
_ADVICE = "give 'nano', a folder, or a hub id such as organisation/model"
_POINTER = "version https://git-lfs.github.com/spec/"
_JSON = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "model.safetensors.index.json",
)
_TEXTS = ("merges.txt", "chat_template.jinja", "tokenizer.json")  # the last is large, and its library strict


class ModelError(ValueError):
    """A network cannot be loaded; the message is one sentence for people."""


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
        return folder
    if os.path.isdir(text):  # of os.path, which answers for impossible names too
        return Path(text)
    if os.path.exists(text):
        raise ModelError(f"{text} is a file, not a model's folder: {_ADVICE}")
    if _HUB_ID.match(text) and not text.startswith("."):
        return _download(text)
    raise ModelError(f"there is no model {text!r}: {_ADVICE}")


def check_files(folder: Path) -> None:
    """Complain of what libraries would stumble over: pointers in place of files, pipes, folders, text that is no JSON.

    Raises:
        ModelError: with the name of the file.
    """
    for name in (*_JSON, *_TEXTS):
        path = folder / name
        if os.path.lexists(path):
            read_object(path) if name in _JSON else _read(path)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a network's file.

    Raises:
        ModelError: if there is none.
    """
    _read(path)
    with naming():
        return read_json(path)


def refuse_pointer(path: Path, beginning: str) -> None:
    """Complain of a file that git-lfs left in place of another.

    Raises:
        ModelError: if the file begins as such.
    """
    if beginning.startswith(_POINTER):
        raise ModelError(f"{path} is a pointer of git-lfs, not the file itself: run `git lfs pull` where it was cloned")


@contextmanager
def naming(path: Path | str = "") -> Iterator[None]:
    """Turn any complaint of a block into one sentence that begins with a name, unless it is such a sentence already.

    Raises:
        ModelError: in place of any error but those of the machine.
    """
    try:
        yield
    except (ModelError, ImportError, MemoryError):
        raise
    except Exception as error:  # what a damaged file sets off has no common type: tokenizers raises Exception itself
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{path}: {reason}" if path else reason) from error


def _read(path: Path) -> str:
    with naming():
        text = read_text(path)
    refuse_pointer(path, text)
    return text


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
