"""Recipes: everything that decides a training run, in one YAML file. An unknown or misspelt key is an error."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")


class RecipeError(ValueError):
    """A recipe cannot be used; the message is one sentence for people."""


def read_recipe(path: str | Path, kind: type[_T]) -> _T:
    """Read a recipe of a known kind.

    Args:
        path: of a YAML file.
        kind: a frozen dataclass.

    Raises:
        RecipeError: if the file is missing, is no YAML, or holds an unknown key or a value of the wrong type.
    """
    return build_recipe(read_settings(path), kind, path)


def build_recipe(settings: dict[str, Any], kind: type[_T], path: str | Path) -> _T:
    """A recipe of a known kind from the settings of a file; as `read_recipe`."""
    return _build(kind, settings, str(path))


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a YAML file.

    Raises:
        RecipeError: if the file is missing or is no YAML mapping.
    """
    import yaml

    try:
        data = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path} must be a mapping of settings, not {data!r}")
    return data


def _build(kind: type[_T], data: Any, where: str) -> _T:
    """A dataclass from a mapping, strictly."""
    if not isinstance(data, dict):
        raise RecipeError(f"{where} must be a mapping of settings, not {data!r}")
    types_of = typing.get_type_hints(kind)
    unknown = sorted(set(data) - set(types_of))
    if unknown:
        raise RecipeError(f"{where} has the unknown setting {unknown[0]!r}; known are: {', '.join(types_of)}")
    values = {key: _convert(types_of[key], value, f"{where}: {key}") for key, value in data.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:  # a required setting is missing, or a value makes no sense
        raise RecipeError(f"{where}: {error}") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(typing.cast(type, kind), value, where)
    assert not isinstance(kind, types.UnionType)
    if typing.get_origin(kind) is typing.Literal:
        if value not in typing.get_args(kind):
            raise RecipeError(f"{where} must be one of {', '.join(typing.get_args(kind))}, not {value!r}")
        return value
    if typing.get_origin(kind) is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise RecipeError(f"{where} must be a mapping with names as keys, not {value!r}")
        return {key: _convert(typing.get_args(kind)[1], item, f"{where}: {key}") for key, item in value.items()}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise RecipeError(f"{where} must be of type {kind.__name__}, not {value!r}")
    return value
