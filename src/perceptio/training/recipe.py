"""Recipes: everything that decides a training run, in one YAML file. An unknown or misspelt key is an error."""

from __future__ import annotations

import dataclasses
import difflib
import os
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from perceptio.files import read_text
from perceptio.training.limits import WEIGHT, Limit

_T = TypeVar("_T")
_LARGEST = 256 * 1024  # bytes of a file; a recipe has some thousand
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "a mapping"}


class RecipeError(ValueError):
    """A recipe cannot be used; the message is one sentence for people."""


def read_recipe(path: str | Path, kind: type[_T]) -> _T:
    """Read a recipe of a known kind.

    Args:
        path: of a YAML file.
        kind: a frozen dataclass, whose types say what each setting may be (`limits.py`).

    Raises:
        RecipeError: if the file is missing, is no YAML, or holds an unknown key, a value of the wrong type or out of
            its limits, or values that do not fit each other.
    """
    return build_recipe(read_settings(path), kind, path)


def build_recipe(settings: dict[str, Any], kind: type[_T], path: str | Path) -> _T:
    """A recipe of a known kind from the settings of a file; as `read_recipe`."""
    return _build(kind, settings, f"{path}: ", "")


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a YAML file.

    Raises:
        RecipeError: if the file is missing or is no YAML mapping.
    """
    from perceptio.training.yaml_text import parse_yaml

    try:
        if Path(path).is_file() and Path(path).stat().st_size > _LARGEST:
            raise RecipeError(f"{path} is larger than any recipe: {_LARGEST // 1024} KB are read at most")
        data = parse_yaml(read_text(path), str(path))
    except RecipeError:
        raise
    except ValueError as error:
        raise RecipeError(f"cannot read the recipe: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path} must be a mapping of settings, not {_shown(data)}")
    return data


def _build(kind: type[_T], data: Any, file: str, field: str) -> _T:
    """A dataclass from a mapping, strictly; messages begin with the file, then the field."""
    if not isinstance(data, dict):
        raise RecipeError(f"{file}{field} must be a mapping of settings, not {_shown(data)}")
    types_of = typing.get_type_hints(kind, include_extras=True)
    prefix = f"{field}." if field else ""
    for name in data:
        if name not in types_of:
            raise RecipeError(f"{file}{unknown_setting(prefix + name, name, types_of)}")
    for each in dataclasses.fields(typing.cast(Any, kind)):
        needed = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if needed and each.name not in data:
            raise RecipeError(f"{file}the setting {prefix}{each.name} is missing")
    values = {name: _convert(types_of[name], value, file, f"{prefix}{name}") for name, value in data.items()}
    try:
        return kind(**values)
    except ValueError as error:  # settings do not fit each other
        raise RecipeError(f"{file}{f'{field}: ' if field else ''}{error}") from error


def unknown_setting(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence on a setting that does not exist, with the nearest that does.

    Args:
        what: the setting with all that it stands in, "tuning.stpes".
        name: its own name, "stpes".
        known: names that it may have.
    """
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    return f"there is no setting {what!r}: {hint}"


def _convert(kind: Any, value: Any, file: str, field: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(typing.cast(type, kind), value, file, field)
    limit: Limit | None = None
    if typing.get_origin(kind) is Annotated:
        kind, limit = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        if value not in typing.get_args(kind):
            raise RecipeError(f"{file}{field} must be one of {', '.join(typing.get_args(kind))}, not {_shown(value)}")
        return value
    plain = typing.get_origin(kind) or kind
    if plain is float:
        limit = limit or WEIGHT
        value = float(value) if type(value) is int else value
    if type(value) is not plain or (limit is not None and not limit.allows(value)):
        due = f"{_KINDS[plain]} {limit or ''}".strip()
        raise RecipeError(f"{file}{field} must be {due}, not {_shown(value)}")
    if plain is dict:
        return {
            _home(key): _convert(typing.get_args(kind)[1], each, file, f"{field}.{key}") for key, each in value.items()
        }
    return _home(value) if plain is str else value


def _home(text: str) -> str:
    """A path in the user's home, which only a shell would write out."""
    return os.path.expanduser(text) if text.startswith("~/") else text


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.80}"
