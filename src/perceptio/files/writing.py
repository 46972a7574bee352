"""Output appears whole or not at all: it is written beside its place, and renamed when it is complete."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from perceptio.files.parts import new_part, sweep_parts_of

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its links lead in a circle",
}
_FIXED = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS)  # a mount, or a parent that is closed to us


class OutputError(OSError):
    """Output could not be written; the message is one sentence for people."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a fresh path beside `path` to write to; it takes the place of `path` only if the block succeeds.

    The folder is made if it is missing. Whatever interrupts the block (an error, Ctrl-C), the old file stays as it
    was and nothing half-written is left. Where `path` is a link, the file that it leads to is replaced.

    Raises:
        OutputError: if the system refuses to write (full disk, read-only or protected folder), or something other
            than a file is in the way.
    """
    with _writing(path) as target:
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_special(target)
        sweep_parts_of(target)
        beside = new_part(target)
        try:
            yield beside
            try:
                os.replace(beside, target)
            except OSError as error:
                if error.errno not in _FIXED or not target.is_file():
                    raise
                shutil.copyfile(beside, target)  # a single file that is mounted can be filled, not replaced
        finally:
            _discard(beside)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `replacing`, for a whole folder: yield a fresh folder that takes the place of `path` if the block succeeds.

    Where the folder is a mount, or its parent is closed to us, what it holds is replaced instead of itself.

    Raises:
        OutputError: if the system refuses to write, or a file is in the way.
    """
    with _writing(path) as target:
        if target.exists() and not target.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_parts_of(target)
        beside = _folder_beside(target)
        old = new_part(target, inside=beside.parent == target)
        try:
            yield beside
            if beside.parent == target:
                _swap_contents(target, beside, old)
            else:
                _swap(target, beside, old)
        finally:
            _discard(beside)
            if target.exists():
                _discard(old)


def write_files(folder: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write several files into `folder`, all beside first and renamed only when every one of them is complete.

    Raises:
        OutputError: if the system refuses to write; then no file of the folder has changed.
    """
    with ExitStack() as stack:
        for name, content in files.items():
            stack.enter_context(replacing(Path(folder) / name)).write_bytes(content)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a place for a file before the work whose result it is for.

    Raises:
        OutputError: if no file can be written there.
    """
    with _writing(path) as target:
        _refuse_special(target)
        _try_to_write(target.parent)


def check_writable_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a place for a folder before the work whose result it is for; nothing is left there.

    Raises:
        OutputError: if no folder can be made there, or nothing can be written into the one that is there.
    """
    with _writing(path) as target:
        _try_to_write(target)


@contextmanager
def making_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a folder that exists; the system's refusals, within the block too, become sentences.

    Raises:
        OutputError: if there is any.
    """
    with _writing(path) as target:
        target.mkdir(parents=True, exist_ok=True)
        yield target


@contextmanager
def _writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The place that a path leads to; the system's refusals become sentences."""
    try:
        yield Path(os.path.realpath(path))
    except OutputError:
        raise
    except OSError as error:
        raise _explained(Path(path), error) from error
    except ValueError as error:
        if "\0" not in os.fspath(path):
            raise
        raise OutputError(f"cannot write {os.fspath(path)!r}: a name cannot hold the character NUL") from error
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        raise _explained(Path(path), refusal) from error


def _folder_beside(target: Path) -> Path:
    """A new folder in the parent, or within the target where nothing can be made in the parent."""
    beside = new_part(target)
    try:
        beside.mkdir()
        if os.path.ismount(target):
            beside.rmdir()
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))
    except OSError as error:
        if error.errno not in _FIXED or not target.is_dir():
            raise
        beside = new_part(target, inside=True)
        beside.mkdir()
    return beside


def _swap(target: Path, beside: Path, old: Path) -> None:
    try:
        if target.exists():
            os.rename(target, old)
    except OSError as error:
        if error.errno not in _FIXED:
            raise
        within = new_part(target, inside=True)  # mounted from the same file system: only the attempt shows it
        shutil.copytree(beside, within)
        _swap_contents(target, within, new_part(target, inside=True))
        return
    try:
        os.replace(beside, target)
    except OSError:
        os.rename(old, target)
        raise


def _swap_contents(target: Path, beside: Path, old: Path) -> None:
    old.mkdir()
    for entry in sorted(target.iterdir()):
        if entry not in (beside, old):
            os.rename(entry, old / entry.name)
    for entry in sorted(beside.iterdir()):
        os.rename(entry, target / entry.name)
    _discard(old)
    _discard(beside)


def _refuse_special(target: Path) -> None:
    """A folder found only at the end would stop `write_files` half-way; a device must never be replaced."""
    try:
        kind = target.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(target))


def _try_to_write(folder: Path) -> None:
    """Make and remove an empty file in a folder, or in the nearest one above it that is there."""
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    trial = new_part(place / "trial")
    try:
        trial.touch()
    finally:
        _discard(trial)


def _refusal(error: Exception) -> OSError | None:
    """The system's refusal that a library of weights wraps in an error of its own; None for any other error."""
    if found := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors
        return OSError(int(found[1]), os.strerror(int(found[1])))
    if isinstance(error, RuntimeError) and "inline_container.cc" in str(error):  # torch, which does not say why
        return OSError("the disk is full, or does not let us write")
    return None


def _explained(target: Path, error: OSError) -> OutputError:
    if isinstance(error, FileExistsError):
        reason = f"{error.filename} is a file, not a folder"
    else:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    explained = OutputError(f"cannot write {target}: {reason}")
    explained.errno = error.errno
    return explained


def _discard(path: Path) -> None:
    with suppress(OSError):  # the folder itself is gone or protected: the error that led here says so
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
