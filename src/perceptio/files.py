"""Files: output is either there in full or not there at all, and failures, of reading too, are one sentence."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
}


class OutputError(OSError):
    """Output could not be written; the message is one sentence for people."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ValueError: if there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object")
    return content


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


@contextmanager
def reading_weights(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Name the folder where a safetensors file turns out to be damaged, which is no common kind of error.

    Raises:
        ValueError: if one is.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"the weights in {folder} are damaged or cut short ({error}): fetch them again") from error


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a fresh path beside `path` to write to; it takes the place of `path` only if the block succeeds.

    The folder is made if it is missing. Whatever interrupts the block (an error, Ctrl-C), the old file stays as it
    was and nothing half-written is left.

    Raises:
        OutputError: if the system refuses to write (full disk, read-only or protected folder).
    """
    with _beside(Path(path)) as (target, beside):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():  # found at the end only, it would stop `write_files` half-way
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        yield beside
        os.replace(beside, target)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `replacing`, for a whole folder: yield a fresh folder that takes the place of `path` if the block succeeds.

    Raises:
        OutputError: if the system refuses to write.
    """
    with _beside(Path(path)) as (target, beside):
        beside.mkdir(parents=True)
        yield beside
        if target.exists():
            shutil.rmtree(target)
        os.replace(beside, target)


def write_files(folder: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write several files into `folder`, all beside first and renamed only when every one of them is complete.

    Raises:
        OutputError: if the system refuses to write; then no file of the folder has changed.
    """
    with ExitStack() as stack:
        for name, content in files.items():
            stack.enter_context(replacing(Path(folder) / name)).write_bytes(content)


@contextmanager
def _beside(target: Path) -> Iterator[tuple[Path, Path]]:
    """The target and a fresh path beside it, which is gone afterwards; the system's refusals become sentences."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield target, beside
    except OutputError:
        raise
    except OSError as error:
        raise _explained(target, error) from error
    finally:
        _discard(beside)


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
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
