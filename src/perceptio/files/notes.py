"""A note in a folder of what it is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptio.files.text import read_json
from perceptio.files.writing import replacing


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
