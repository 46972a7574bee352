"""What each field of a configuration may hold, so that a wrong one is named before anything is built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Field:
    """What a value must be."""

    must_be: str  # in words, after "must be"
    holds: Callable[[Any], bool]
    required: bool = False


Fields = Mapping[str, Field]


def whole(least: int, most: int) -> Field:
    """A whole number from `least` to `most`."""
    return Field(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def number(least: float, most: float) -> Field:
    """Any number from `least` to `most`."""
    return Field(
        f"a number from {least:g} to {most:g}",
        lambda value: type(value) in (int, float) and least <= value <= most,
    )


def choice(*values: Any) -> Field:
    """One of some values, of the same type."""
    return Field(
        " or ".join(map(repr, values)),
        lambda value: any(type(value) is type(each) and value == each for each in values),
    )


FLAG = replace(choice(True, False), must_be="true or false")
TEXT = Field("a text", lambda value: isinstance(value, str))
SECTION = Field("a section of fields", lambda value: isinstance(value, dict))


def several(field: Field, least: int, most: int) -> Field:
    """A list of `least` to `most` values, each as `field` says."""
    count = str(least) if least == most else f"{least} to {most}"
    return Field(
        f"a list of {count} values, each {field.must_be}",
        lambda value: isinstance(value, (list, tuple)) and least <= len(value) <= most and all(map(field.holds, value)),
    )


def either(*fields: Field) -> Field:
    """What one of some fields may hold."""
    return Field(
        ", or ".join(field.must_be for field in fields), lambda value: any(field.holds(value) for field in fields)
    )


def square(side: Field) -> Field:
    """A side, or the same side twice."""
    same = Field(
        f"{side.must_be}, twice the same", lambda value: several(side, 2, 2).holds(value) and len(set(value)) == 1
    )
    return either(side, same)


def optional(field: Field) -> Field:
    """What `field` says, or null."""
    return Field(f"{field.must_be}, or null", lambda value: value is None or field.holds(value))


def required(field: Field) -> Field:
    """What `field` says, and never left out."""
    return replace(field, required=True)


def read_fields(stored: Mapping[str, Any], fields: Fields, where: str = "") -> dict[str, Any]:
    """The known fields of a section, checked; others, of which libraries write many, decide nothing and are left out.

    Args:
        stored: as it stands in the file.
        fields: those that decide what is built.
        where: the section, for messages: "vlm.text_config".

    Raises:
        ValueError: if a field is missing or holds what it may not.
    """
    for name, field in fields.items():
        if name not in stored and field.required:
            raise ValueError(f"{join(where, name)} is missing: it must be {field.must_be}")
        if name in stored:
            check(join(where, name), stored[name], field)
    return {name: stored[name] for name in fields if name in stored}


def check(name: str, value: Any, field: Field) -> None:
    """Complain of a value.

    Raises:
        ValueError: if it is not what `field` says.
    """
    if not field.holds(value):
        raise ValueError(f"{name} must be {field.must_be}, not {shown(value)}")


def check_fit(where: str, demands: Mapping[str, bool]) -> None:
    """Complain of fields that contradict each other.

    Args:
        where: the section, for messages.
        demands: sentences, and whether each is met.

    Raises:
        ValueError: if one is not.
    """
    broken = [demand for demand, met in demands.items() if not met]
    if broken:
        raise ValueError(f"its fields contradict each other: {join(where, broken[0])}")


def join(where: str, name: str) -> str:
    """The path of a field in a section, "" for the file itself."""
    return f"{where}.{name}" if where else name


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# What networks share. The limits are far beyond any published one: they keep a slip from filling the memory.
WIDTH = whole(1, 1_000_000)
LAYERS = whole(1, 1000)
HEADS = whole(1, 4096)
TOKEN = whole(0, 10_000_000)  # an id
EPSILON = number(0, 0.1)
SHARE = number(0, 1)
SPREAD = number(0, 1000)  # of initial values, which trained weights replace
ACTIVATION = choice("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "silu", "swish", "relu")
