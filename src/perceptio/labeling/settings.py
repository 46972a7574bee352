"""What decides the labels (or maps) in a folder, noted there, so that those of two kinds never mix.

Prompts may be mended, picture by picture: each shard's report notes those that it was made with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perceptio import files
from perceptio.data.errors import DataError
from perceptio.labeling.pictures import PictureFile

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class LabelSettings:
    """Equal settings give equal labels."""

    pictures: str  # how many, and a hash of their keys
    shard_size: int  # pictures in one shard; the last one may be shorter
    teacher: str  # identity of the depth network
    tokenizer: str  # hash of the depth tokenizer
    segmenter: str | None  # identity of the SAM 2
    format: int = 2  # of the labels and their reports


def list_hash(pictures: Sequence[PictureFile]) -> str:
    """The number of pictures and a hash of their keys, "1200 named 0123456789abcdef"."""
    digest = hashlib.sha256("\0".join(picture.key for picture in pictures).encode("utf-8", "surrogateescape"))
    return f"{len(pictures)} named {digest.hexdigest()[:16]}"


def claim(folder: Path, settings: Any, what: str = "labels") -> None:
    """Note what the folder is for, or check that it is for the same.

    Args:
        folder: of the shards.
        settings: a dataclass.
        what: the shards hold, for messages.

    Raises:
        DataError: if the folder holds results of other settings (the message names them), or the note is damaged.
        OutputError: if it cannot be written.
    """
    try:
        changed = files.claim(folder / SETTINGS_FILE, asdict(settings))
    except ValueError as error:
        raise DataError(f"{error}: choose another folder, or remove this one") from error
    if changed:
        named = ", ".join(f"{name} {earlier!r}, not {now!r}" for name, (earlier, now) in changed.items())
        raise DataError(f"{folder} holds {what} made with {named}: choose another folder")
