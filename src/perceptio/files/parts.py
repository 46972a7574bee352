"""Unfinished output, by its name: `.NAME.HOST-PROCESS-RANDOM.part`; what a killed process leaves of it is swept."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PART = re.compile(r"^\..+\.(?:(?P<host>[0-9a-f]{6})-(?P<process>\d+)-)?[0-9a-f]{8}\.part$", re.DOTALL)
_LONGEST_NAME = 150  # bytes of a target's name that a part's name repeats: names end at 255
_OLD = 24 * 3600  # s after which a part of another machine counts as left


def host() -> str:
    """A short name for this machine or container: process ids mean nothing on another."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def is_alive(process: int) -> bool:
    """Whether a process of this machine is running."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return not _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Whether a process has ended and nobody has asked how: in containers that may take seconds, or for ever."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, ValueError, IndexError):  # gone meanwhile, or a system without /proc
        return False


def new_part(target: Path, *, inside: bool = False) -> Path:
    """A fresh path for what will be `target`, beside it or, of a folder, inside it."""
    name = f"{_prefix(target)}{host()}-{os.getpid()}-{secrets.token_hex(4)}.part"
    return target / name if inside else target.with_name(name)


def sweep_parts_of(target: Path) -> None:
    """Remove what dead processes have left of one target."""
    places = [target.parent, *([target] if target.is_dir() else [])]
    for place in places:
        with suppress(OSError):  # a folder that cannot be listed: writing into it will say so
            _sweep((path for path in place.iterdir() if path.name.startswith(_prefix(target))), all_hosts=False)


def sweep_parts_below(folder: Path) -> None:
    """Remove what earlier runs have left in a folder and its subfolders; for the one run that holds the folder."""
    for place, folders, files in os.walk(folder):
        _sweep((Path(place) / name for name in [*folders, *files]), all_hosts=True)


def _sweep(paths: Iterable[Path], *, all_hosts: bool) -> None:
    for path in paths:
        found = _PART.match(path.name)
        if found is None or not _is_left(path, found, all_hosts):
            continue
        with suppress(OSError):  # another run sweeps too
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _is_left(path: Path, found: re.Match[str], all_hosts: bool) -> bool:
    if found["host"] == host():
        return not is_alive(int(found["process"]))
    return all_hosts or time.time() - path.lstat().st_mtime > _OLD


def _prefix(target: Path) -> str:
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."
