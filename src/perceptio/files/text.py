"""Text and JSON as people's editors and our own writers save them: one reader and one writer.

Lines end with "\\n" alone: `str.splitlines` would also cut at U+2028, U+0085 and others, which stand inside texts.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NEEDS_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # others are escaped by json itself
_DEEPEST = 100  # levels of nested JSON


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file without its byte order mark.

    Raises:
        ValueError: if there is no such file, it cannot be read, or is not UTF-8; with its name and the line.
    """
    return _decode(_read_bytes(Path(path)), path)


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1; "\\r" before the end is dropped.

    Raises:
        ValueError: as `read_text`.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ValueError: if there is none; with the file's name.
    """
    content = parse_json(read_text(path), str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object but {type(content).__name__}")
    return content


def parse_json(text: str | bytes, where: str) -> Any:
    """Any JSON value.

    Args:
        text: of the value; bytes are UTF-8.
        where: file and line, with which a message begins.

    Raises:
        ValueError: if it is no JSON, is nested more than a hundred levels deep, or names a key of an object twice.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object)
        _check_depth(value)
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8 text: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is damaged or cut short, no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deep: at most {_DEEPEST} levels are read") from error
    except ValueError as error:
        raise ValueError(f"{where} is damaged: {error}") from error
    return value


def json_line(value: Any) -> str:
    """One line of JSON, without its end, that every reader reads back: what is no letter to it is escaped.

    Raises:
        ValueError: if the value holds NaN or infinity.
        TypeError: if it holds what JSON cannot hold.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _NEEDS_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _read_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device has no end
            kind = "a folder" if path.is_dir() else "a pipe or a device"
            raise ValueError(f"{path} is {kind}, not a file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _decode(content: bytes, path: str | os.PathLike[str]) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError(f"{path} is UTF-16 text: save it as UTF-8") from error
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"0x{content[error.start]:02x}"
        raise ValueError(f"{path}:{line} is not UTF-8 text (the byte {byte}): save the file as UTF-8") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {double!r} stands twice in one object")
    return found


def _check_depth(value: Any) -> None:
    """Deep values are read by some parsers and crash others, and whatever walks them."""
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise RecursionError
