"""What a run was begun with, kept in its folder: to go on with something else would mix two trainings without a word.

`recipe.json` holds the settings, `reads.json` a hash of every file that the run reads. Files of weights are hashed
whole, 16 GB in about ten seconds; of pictures only the names count, which stand in the files of samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perceptio import __version__
from perceptio.files import claim, refuse_foreign
from perceptio.files.writing import making_folder

RECIPE_FILE = "recipe.json"
READS_FILE = "reads.json"
HOW_IT_RUNS = (  # may change
    *("workers", "log_every", "save_every", "evaluate_every"),
    *("shard", "checkpointing", "report_to"),
)

_ADVICE = "give another folder, or what it was begun with"


def begin(folder: Path, settings: Mapping[str, Any], *, under_way: bool, ours: Sequence[str] = ()) -> None:
    """Note the settings that a run is begun with, or compare with those that it was begun with.

    Args:
        folder: of the run.
        settings: without those that may change.
        under_way: there is something to go on from; otherwise an earlier start came to nothing, and is forgotten.
        ours: patterns of files that such a folder may hold before its first run.

    Raises:
        ValueError: if one differs; with its name. So does another version of Perceptio.
        OutputError: if they cannot be noted, or the folder holds somebody else's files.
    """
    refuse_foreign(folder, RECIPE_FILE, *ours)
    with making_folder(folder):
        for name in (RECIPE_FILE, READS_FILE) if not under_way else ():
            (folder / name).unlink(missing_ok=True)
    for name, (earlier, now) in claim(folder / RECIPE_FILE, {**settings, "perceptio": __version__}).items():
        name, earlier, now = _innermost(name, earlier, now)
        raise ValueError(f"{folder} was begun with another recipe ({name}: {earlier}, now {now}): {_ADVICE}")


def check_reads(folder: Path, reads: Mapping[str, Any], *, finished: bool = False) -> None:
    """Note what a run reads, or compare with what it read before.

    Args:
        folder: of the run.
        reads: hash of the content by name of the file, and what else must stay as it was.
        finished: the run will read nothing more, so that what it has read may be gone.

    Raises:
        ValueError: if one differs; with its name.
        OutputError: if they cannot be noted.
    """
    for name, (earlier, now) in claim(folder / READS_FILE, reads).items():
        if now is None and finished:
            continue
        change = "is read no more" if now is None else "is new" if earlier is None else "has changed"
        raise ValueError(f"{name} {change} since the run in {folder} was begun: {_ADVICE}")


def hashes(folder: Path, name: str) -> dict[str, str]:
    """SHA-256 of each file of weights and settings in a model's folder, by the name of the model and the file."""
    found = sorted(path for kind in ("*.safetensors", "*.json") for path in folder.glob(kind) if path.is_file())
    return {f"{name}/{path.name}": file_hash(path) for path in found}


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _innermost(name: str, earlier: Any, now: Any) -> tuple[str, Any, Any]:
    """The first setting that differs within settings that differ."""
    while isinstance(earlier, dict) and isinstance(now, dict):
        inner = min(key for key in {*earlier, *now} if earlier.get(key) != now.get(key))
        name, earlier, now = f"{name}.{inner}", earlier.get(inner), now.get(inner)
    return name, earlier, now
