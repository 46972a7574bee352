"""One run at a time in an output folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perceptio.files.parts import host, is_alive, sweep_parts_below
from perceptio.files.writing import OutputError, making_folder

LOCK_FILE = ".lock"
_PATIENCE = 15.0  # s that the workers of a dead run have to end


class FolderInUseError(OutputError):
    """Another run writes into the folder; the message is one sentence for people."""


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold an output folder, which is made if it is missing, and sweep what dead runs have left of unfinished files.

    The system lets go of the lock when its holder dies, however it dies. Where the file system knows no locks, the
    process id in the lock's file decides.

    Raises:
        FolderInUseError: if another run holds it; with its process id.
        OutputError: if the folder cannot be made or written.
    """
    folder = Path(folder)
    with making_folder(folder):
        path = folder / LOCK_FILE
        file = _acquire(path)
    try:
        sweep_parts_below(folder)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _acquire(path: Path) -> int:
    """The open lock file, which is ours now."""
    began = time.monotonic()
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if _take(file) and _is_still_there(file, path):
            os.truncate(file, 0)
            os.pwrite(file, f"{host()} {os.getpid()}\n".encode(), 0)
            return file
        holder = os.pread(file, 100, 0).decode("utf-8", "replace").split()
        os.close(file)
        if _is_dead(holder) and time.monotonic() - began < _PATIENCE:
            time.sleep(0.1)  # its workers, who have inherited the lock, are about to end
            continue
        if holder:
            who = f"process {holder[-1]}" + ("" if holder[0] == host() else " of another machine or container")
            raise FolderInUseError(f"{path.parent} is in use by {who}: wait for it to end, or give another folder")
        if time.monotonic() - began > _PATIENCE:
            raise FolderInUseError(
                f"{path.parent} is in use by another run: wait for it to end, or give another folder"
            )
        time.sleep(0.05)  # its holder is about to write its name, or to end


def _take(file: int) -> bool:
    import fcntl  # not on Windows, where questions are answered all the same

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system
        holder = os.pread(file, 100, 0).decode("utf-8", "replace").split()
        return not holder or _is_dead(holder)
    return True


def _is_still_there(file: int, path: Path) -> bool:
    """An earlier holder may have removed the file between our opening and locking it."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _is_dead(holder: list[str]) -> bool:
    return len(holder) == 2 and holder[0] == host() and holder[1].isdigit() and not is_alive(int(holder[1]))


def _named(holder: list[str]) -> str:
    if len(holder) != 2:
        return "another run"
    return f"process {holder[1]}" + ("" if holder[0] == host() else " of another machine or container")
