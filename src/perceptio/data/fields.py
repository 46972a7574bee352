"""Values as a line of JSON holds them -> typed ones, or an error that names file, line and field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, cast

from perceptio.data.errors import DataError


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


def without_defaults(item: Any, changed: Mapping[str, Any]) -> dict[str, Any]:
    """What a line needs to say: fields whose value is not the default."""
    return {
        each.name: changed.get(each.name, getattr(item, each.name))
        for each in fields(item)
        if getattr(item, each.name) != each.default
    }


def read_fields(cls: type[Any], readers: Mapping[str, Reader], data: Any, where: str, field: str) -> dict[str, Any]:
    """Values of a dataclass's fields from an object; what is absent or null keeps its default.

    Raises:
        SampleError: if it is no object, a field is unknown, missing, or of another type.
    """
    if not isinstance(data, dict):
        raise SampleError(where, field, f"must be an object with named fields, not {kind(data)}")
    prefix = f"{field}." if field else ""
    for name in data:
        if name not in readers:
            raise SampleError(where, f"{prefix}{name}", f"is no field; the fields are {', '.join(readers)}")
    given = {name: value for name, value in data.items() if value is not None}  # parquet writes null for absent
    for each in fields(cls):
        if each.default is MISSING and each.name not in given:
            raise SampleError(where, f"{prefix}{each.name}", "is missing")
    return {name: readers[name](value, where, f"{prefix}{name}") for name, value in given.items()}


def text(value: Any, where: str, field: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise SampleError(where, field, f"must be text, not {kind(value)}")
    return value


def integer(value: Any, where: str, field: str) -> int:
    """A whole number; true is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise SampleError(where, field, f"must be a whole number, not {kind(value)}")
    return value


def positive(value: Any, where: str, field: str) -> float:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise SampleError(where, field, f"must be a number above 0, not {value!r}")
    return float(value)


def truth(value: Any, where: str, field: str) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise SampleError(where, field, f"must be true or false, not {kind(value)}")
    return value


def word(words: tuple[str, ...], value: Any, where: str, field: str) -> str:
    """One of a few words."""
    if value not in words:
        raise SampleError(where, field, f"must be one of {', '.join(words)}, not {value!r}")
    return cast(str, value)


def items(read: Reader, value: Any, where: str, field: str) -> tuple[Any, ...]:
    """A list, each item read by `read`."""
    if not isinstance(value, list):
        raise SampleError(where, field, f"must be a list, not {kind(value)}")
    return tuple(read(item, where, f"{field}[{number}]") for number, item in enumerate(value))


def kind(value: Any) -> str:
    """How a message names a value that is of the wrong type."""
    names = {dict: "an object", list: "a list", str: f"text ({value!r:.40})", type(None): "null"}
    return names.get(type(value), repr(value))
