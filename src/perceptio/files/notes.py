"""A note in a folder of what it is for: a folder with files and without a note of ours is somebody else's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptio.files.text import read_json
from perceptio.files.writing import OutputError, replacing


def claim(path: Path, settings: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Note in a file what a folder is for, or compare with what was noted before.

    Returns:
        For each setting that differs its earlier and its new value, as JSON has them; nothing where the note is new.

    Raises:
        ValueError: if the note is damaged.
        OutputError: if it cannot be written.
    """
    text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
    if not path.is_file():
        with replacing(path) as beside:
            beside.write_text(text, encoding="utf-8")
        return {}
    there, now = read_json(path), json.loads(text)
    names = sorted({*there, *now})
    return {name: (there.get(name), now.get(name)) for name in names if there.get(name) != now.get(name)}


def refuse_foreign(folder: str | os.PathLike[str], *ours: str) -> None:
    """Refuse to write into a folder that holds files, and nothing that says that they are ours.

    Args:
        folder: that may be missing or empty; what is hidden does not count.
        ours: patterns of files, one of which is there if the folder is ours.

    Raises:
        OutputError: if it is somebody else's; one of its files is named.
    """
    place = Path(folder)
    if not place.is_dir() or any(True for pattern in ours for _ in place.glob(pattern)):
        return
    try:
        others = [entry for entry in os.scandir(place) if not entry.name.startswith(".")]
        other = min((entry.name for entry in others if not _is_empty(entry)), default=None)
    except OSError as error:
        raise OutputError(f"the folder {place} cannot be listed: {error.strerror}") from error
    if other is not None:
        raise OutputError(
            f"{place} holds files that Perceptio did not make, such as {other}: name a new or an empty folder"
        )


def _is_empty(entry: os.DirEntry[str]) -> bool:
    """Whether this is a folder without files, as a run that was killed at its start leaves it."""
    return entry.is_dir() and all(name.startswith(".") for name in os.listdir(entry.path))
