"""What an answer is downloaded as: PNG, JSON and GLB."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from perceptio.results import ANSWER_FILE, OVERLAY_FILE, Answer
from perceptio.results.pictures import png

DEPTH16_FILE = "depth16.png"
RELIEF_FILE = "relief.glb"

FILES = {
    OVERLAY_FILE: "Picture with masks (PNG)",
    DEPTH16_FILE: "Depth map (16-bit PNG)",
    ANSWER_FILE: "Answer (JSON)",
    RELIEF_FILE: "Relief (GLB)",
}
"""The files, and what they are called on the page."""

KEPT_S = 3600
"""How long files are kept after they were last offered; then gradio removes them."""

_PREFIX = "answer-"
_FOLDER_S = 2 * KEPT_S  # when folders go, with what gradio was never told of


def write_files(answer: Answer, folder: Path) -> dict[str, str]:
    """Write an answer's files into a new folder below `folder`, and remove folders that are too old.

    Returns:
        Their paths, by their names in `FILES`.

    Raises:
        OSError: if they cannot be written.
    """
    _remove_old(folder)
    own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    contents = {
        OVERLAY_FILE: png(answer.overlay()),
        ANSWER_FILE: answer.to_json(None if answer.depth is None else DEPTH16_FILE),
    }
    if answer.depth is not None:
        contents |= {DEPTH16_FILE: answer.depth.png16(), RELIEF_FILE: answer.relief()}
    for name, content in contents.items():
        (own / name).write_bytes(content)
    return {name: str(own / name) for name in contents}


def still_there(files: dict[str, str]) -> dict[str, str]:
    """Those of the files that were not removed meanwhile; they are kept for as long again."""
    found = {}
    for name, path in files.items():
        try:
            os.utime(path)
            os.utime(Path(path).parent)
        except FileNotFoundError:
            continue
        found[name] = path
    return found


def _remove_old(folder: Path) -> None:
    oldest = time.time() - _FOLDER_S
    for each in folder.glob(f"{_PREFIX}*"):
        try:
            old = each.stat().st_mtime < oldest
        except FileNotFoundError:  # another thread was quicker
            continue
        if old:
            shutil.rmtree(each, ignore_errors=True)
