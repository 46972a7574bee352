"""Values as a line of JSON holds them <-> typed ones, or an error that names file, line and field."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import numpy as np

from perceptio.data.errors import DataError

LARGEST = 2**53  # of a whole number that every reader of JSON reads exactly
_DEEPEST = 8  # levels of a value: a sample has six
_LONGEST_PATH = 4096  # characters
_SHOWN = 60  # characters of a value in a message
_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class SampleError(DataError):
    """One thing wrong with one sample.

    Args:
        where: file and line, "people.jsonl:12".
        field: "turns[0].masks"; empty if the whole line is meant.
        reason: what is wrong and what to do, without a full stop.
    """

    def __init__(self, where: str, field: str, reason: str) -> None:
        super().__init__(f"{where}: {field}: {reason}" if field else f"{where}: {reason}")
        self.where, self.field, self.reason = where, field, reason

    def __reduce__(self) -> tuple[Any, ...]:  # errors cross from the processes that read data
        return type(self), (self.where, self.field, self.reason)


Reader = Callable[[Any, str, str], Any]  # value, where, field -> value of the dataclass


def plain(value: Any, where: str, field: str, depth: int = 0) -> Any:
    """What a line holds of a value: Python's own types, of numpy's, of bytes and of our dataclasses too.

    Of a dataclass only the fields whose value is not the default are named, and none that is marked as not written.

    Raises:
        SampleError: if a value has no place in a line: NaN, infinity, bytes that are no ASCII text, any other type.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if depth > _DEEPEST:
        raise SampleError(where, field, f"is nested more than {_DEEPEST} levels deep")
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            raise SampleError(where, field, f"is {value}, which is no number")
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        if not value.isascii():
            raise SampleError(where, field, f"holds bytes that are no ASCII text: {shown(value)}")
        return value.decode("ascii")
    if isinstance(value, np.ndarray) and not value.ndim:
        return plain(value.item(), where, field, depth + 1)
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item, where, f"{field}[{number}]", depth + 1) for number, item in enumerate(value)]
    if isinstance(value, Mapping):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            raise SampleError(where, field, f"has the name {shown(wrong)}, which is no text")
        return {str(key): plain(item, where, _inside(field, key), depth + 1) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _written(value, where, field, depth)
    raise SampleError(where, field, f"is of the type {type(value).__name__}, which a line cannot hold")


def _written(item: Any, where: str, field: str, depth: int) -> dict[str, Any]:
    line = {}
    for each in fields(item):
        if not each.metadata.get("written", True):
            continue
        value = plain(getattr(item, each.name), where, _inside(field, each.name), depth + 1)
        if each.default is MISSING or value != plain(each.default, where, each.name):
            line[each.name] = value
    return line


def _inside(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def read_fields(cls: type[Any], readers: Mapping[str, Reader], data: Any, where: str, field: str) -> dict[str, Any]:
    """Values of a dataclass's fields from an object; what is absent or null keeps its default.

    Raises:
        SampleError: if it is no object, a field is unknown, missing, or of another type.
    """
    if not isinstance(data, dict):
        raise SampleError(where, field, f"must be an object with named fields, not {kind(data)}")
    for name in data:
        if name not in readers:
            raise SampleError(
                where, _inside(field, shown(name).strip("'")), f"is no field; the fields are {', '.join(readers)}"
            )
    given = {name: value for name, value in data.items() if value is not None}  # parquet writes null for absent
    for each in fields(cls):
        if each.default is MISSING and each.name not in given:
            raise SampleError(where, _inside(field, each.name), "is missing")
    return {name: readers[name](value, where, _inside(field, name)) for name, value in given.items()}


def text(value: Any, where: str, field: str) -> str:
    """A string that can be encoded."""
    if not isinstance(value, str):
        raise SampleError(where, field, f"must be text, not {kind(value)}")
    if has_half_character(value):
        raise SampleError(where, field, f"holds half of a character, a lone surrogate, and is no text: {shown(value)}")
    return value


def path(value: Any, where: str, field: str) -> str:
    """The path of a file."""
    if isinstance(value, str):
        if has_half_character(value):
            raise SampleError(where, field, f"{shown(value)} is not UTF-8: rename the file")
        if "\0" in value:
            raise SampleError(where, field, f"{shown(value)} is no path: a name cannot hold the character NUL")
        if len(value) > _LONGEST_PATH:
            raise SampleError(where, field, f"{shown(value)} is no path: it has {len(value)} characters")
        if _ADDRESS.match(value):
            raise SampleError(where, field, f"{shown(value)} is a web address: download it first and name the file")
    return text(value, where, field)


def integer(value: Any, where: str, field: str) -> int:
    """A whole number; true is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise SampleError(where, field, f"must be a whole number, not {kind(value)}")
    if abs(value) > LARGEST:
        raise SampleError(where, field, f"must be a whole number of at most 16 digits, not {shown(value)}")
    return value


def between(least: float, most: float, value: Any, where: str, field: str) -> float:
    """A number between two others, above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise SampleError(where, field, f"must be a number above 0, not {kind(value)}")
    if not least <= value <= most:
        raise SampleError(where, field, f"must be a number between {least:g} and {most:g}, not {shown(value)}")
    return float(value)


def truth(value: Any, where: str, field: str) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise SampleError(where, field, f"must be true or false, not {kind(value)}")
    return value


def word(words: tuple[str, ...], value: Any, where: str, field: str) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in words:
        raise SampleError(where, field, f"must be one of {', '.join(words)}, not {kind(value)}")
    return value


def items(read: Reader, value: Any, where: str, field: str) -> tuple[Any, ...]:
    """A list, each item read by `read`."""
    if not isinstance(value, list):
        raise SampleError(where, field, f"must be a list, not {kind(value)}")
    return tuple(read(item, where, f"{field}[{number}]") for number, item in enumerate(value))


def has_half_character(text: str) -> bool:
    """Whether a text cannot be encoded: JSON and Python can hold half of a character, tokenizers and files cannot."""
    return _SURROGATE.search(text) is not None


def kind(value: Any) -> str:
    """How a message names a value that is of the wrong type."""
    if isinstance(value, str):
        return f"text ({shown(value)})"
    names = {dict: "an object", list: "a list", tuple: "a tuple", type(None): "null"}
    return names.get(type(value)) or shown(value)


def shown(value: Any) -> str:
    """How a message quotes a value, cut short; of what could be large to quote, only the type."""
    if isinstance(value, (int, float, np.number)) and not abs(value) < 10**_SHOWN:
        return "a number of many digits" if isinstance(value, int) else repr(value)
    if not isinstance(value, (str, bytes, int, float, np.number)):
        return type(value).__name__
    quoted = repr(value[: _SHOWN + 1] if isinstance(value, (str, bytes)) else value)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}..."
