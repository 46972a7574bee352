"""Fields of entries of other people's annotation files, whose form is not ours: each is looked at before it is used.

All raise `ValueError` with a sentence that says "its"; whoever knows the file and the entry puts them before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perceptio.data.fields import LARGEST, has_half_character, kind, shown


def entry(value: Any) -> dict[str, Any]:
    """An object with named fields."""
    if not isinstance(value, dict):
        raise ValueError(f"it is {kind(value)}, not an object with named fields")
    return value


def given(fields: Mapping[str, Any], name: str) -> Any:
    """A field that must be there."""
    if name not in fields:
        raise ValueError(f"its {name} is missing")
    return fields[name]


def whole(fields: Mapping[str, Any], name: str) -> int:
    """A whole number."""
    value = given(fields, name)
    if type(value) is not int or abs(value) > LARGEST:
        raise ValueError(f"its {name} is no whole number but {kind(value)}")
    return value


def text(fields: Mapping[str, Any], name: str) -> str:
    """A string that can be encoded."""
    value = given(fields, name)
    if not isinstance(value, str):
        raise ValueError(f"its {name} is no text but {kind(value)}")
    if has_half_character(value):
        raise ValueError(f"its {name} holds half of a character: {shown(value)}")
    return value


def name_of(fields: Mapping[str, Any], name: str) -> str:
    """A text, or a whole number as text."""
    return str(whole(fields, name)) if type(given(fields, name)) is int else text(fields, name)


def listed(fields: Mapping[str, Any], name: str) -> list[Any]:
    """A list."""
    value = given(fields, name)
    if not isinstance(value, list):
        raise ValueError(f"its {name} is no list but {kind(value)}")
    return value
