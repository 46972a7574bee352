"""What an answer is downloaded as: PNG, JSON and GLB."""

from __future__ import annotations

import tempfile
from pathlib import Path

from perceptio.results import ANSWER_FILE, OVERLAY_FILE
from perceptio.serving.page.talk import Talk, Turn

DEPTH16_FILE = "depth16.png"
RELIEF_FILE = "relief.glb"

FILES = {
    OVERLAY_FILE: "Picture with masks (PNG)",
    DEPTH16_FILE: "Depth map (16-bit PNG)",
    ANSWER_FILE: "Answer (JSON)",
    RELIEF_FILE: "Relief (GLB)",
}
"""The files, and what they are called on the page."""


def write_files(talk: Talk, folder: Path) -> dict[str, str]:
    """The paths of the files of the latest answer, and of the latest depth map, by their names in `FILES`.

    Each answer's files are written once, into a folder of their own below `folder`.
    """
    found: dict[str, str] = {}
    for turn in (talk.last_with_depth, talk.last):
        if turn is not None:
            turn.files = turn.files or _write(turn, Path(tempfile.mkdtemp(dir=folder)))
            found |= turn.files
    return found


def _write(turn: Turn, folder: Path) -> dict[str, str]:
    answer = turn.answer
    assert answer is not None
    answer.save(folder)
    if answer.depth is not None:
        (folder / DEPTH16_FILE).write_bytes(answer.depth.png16())
        (folder / RELIEF_FILE).write_bytes(answer.relief())
    return {name: str(folder / name) for name in FILES if (folder / name).exists()}
