"""What decides the labels in a folder, noted there, so that labels of two kinds never mix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from perceptio.data.errors import DataError
from perceptio.data.labeling.pictures import PictureFile
from perceptio.files import replacing

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class LabelSettings:
    """Equal settings give equal labels."""

    pictures: str  # how many, and a hash of their keys
    shard_size: int  # pictures in one shard; the last one may be shorter
    teacher: str  # identity of the depth network
    tokenizer: str  # hash of the depth tokenizer
    segmenter: str | None  # identity of the SAM 2
    prompts: str | None  # hash of the file with boxes and points
    format: int = 1  # of the labels


def list_hash(pictures: Sequence[PictureFile]) -> str:
    """The number of pictures and a hash of their keys, "1200 named 0123456789abcdef"."""
    digest = hashlib.sha256("\n".join(picture.key for picture in pictures).encode("utf-8", "surrogateescape"))
    return f"{len(pictures)} named {digest.hexdigest()[:16]}"


def claim(folder: Path, settings: LabelSettings) -> None:
    """Note what the folder is for, or check that it is for the same.

    Raises:
        DataError: if the folder holds labels of other settings (the message names them), or the note is damaged.
        OutputError: if it cannot be written.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        with replacing(path) as beside:
            beside.write_text(json.dumps(asdict(settings), indent=2) + "\n")
        return
    try:
        earlier = json.loads(path.read_text())
        changed = [each.name for each in fields(settings) if earlier[each.name] != getattr(settings, each.name)]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error!r}): choose another folder, or remove this one") from error
    if changed:
        named = ", ".join(f"{name} {earlier[name]!r}, not {getattr(settings, name)!r}" for name in changed)
        raise DataError(f"{folder} holds labels made with {named}: choose another folder")
