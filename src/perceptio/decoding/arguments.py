"""Arguments of public calls: what is of another type or out of its range is named before any work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perceptio.pretrained.fields import shown
from perceptio.tokens import SpatialVocabulary, Switch


def check_text(name: str, value: Any) -> None:
    """Complain of what is no text, or holds what no text holds.

    Raises:
        TypeError, ValueError: with the argument's name.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text, not {type(value).__name__}")
    odd = next((place for place, letter in enumerate(value) if letter == "\0" or "\ud800" <= letter <= "\udfff"), None)
    if odd is not None:
        raise ValueError(f"{name} holds {value[odd]!r} at place {odd + 1}, which is no letter of a text")


def check_whole(name: str, value: Any, least: int | None = 1) -> None:
    """Complain of what is no whole number, or below `least`.

    Raises:
        TypeError, ValueError: with the argument's name.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def check_flag(name: str, value: Any) -> None:
    """Complain of what is neither True nor False.

    Raises:
        TypeError: with the argument's name.
    """
    if type(value) is not bool:
        raise TypeError(f"{name} must be True or False, not {shown(value)}")


def check_sequence(name: str, value: Any) -> None:
    """Complain of what is no list: one picture or one text in place of several.

    Raises:
        TypeError: with the argument's name.
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a list, not {type(value).__name__}")


def check_model(name: Any, device: Any, dtype: Any, depth_teacher: Any = None) -> None:
    """Complain of what cannot name a model, a device, the type of its numbers, or a teacher of depth.

    Raises:
        TypeError: with the argument's name.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"name must be a model's name or folder, not {type(name).__name__}")
    if depth_teacher is not None and not isinstance(depth_teacher, (str, os.PathLike)):
        raise TypeError(f"depth_teacher must be a network's name or folder, not {type(depth_teacher).__name__}")
    if device is not None and not isinstance(device, str):
        raise TypeError(f"device must be a text such as 'cpu' or 'cuda:0', not {shown(device)}")
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"dtype must be a floating-point type of torch such as torch.bfloat16, not {shown(dtype)}")


def check_forced_depth(codes: Any, rows: int, vocabulary: SpatialVocabulary) -> None:
    """Complain of codes that do not fit.

    Raises:
        TypeError, ValueError: with the argument's name.
    """
    if not isinstance(codes, Tensor) or codes.dtype != torch.int64:
        kind = str(codes.dtype) if isinstance(codes, Tensor) else type(codes).__name__
        raise TypeError(f"forced_depth must be a tensor of torch.int64, not {kind}")
    if codes.shape != (rows, vocabulary.tokens_per_map):
        raise ValueError(
            f"forced_depth needs {vocabulary.tokens_per_map} codes for each of {rows} rows, not the shape "
            f"{tuple(codes.shape)}"
        )
    if rows and (int(codes.min()) < 0 or int(codes.max()) >= len(vocabulary.codes)):
        raise ValueError(f"forced_depth codes must lie in 0..{len(vocabulary.codes) - 1}")


def switches(name: str, value: Any, count: int) -> tuple[Switch, ...]:
    """One switch for each of `count` prompts, from one for all or one for each.

    Raises:
        TypeError, ValueError: with the argument's name.
    """
    values = [value] * count if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not all(isinstance(each, str) for each in values):
        raise TypeError(f"{name} must be off, auto or on, or a list of these, not {shown(value)}")
    if len(values) != count:
        raise ValueError(f"{name}: {len(values)} switches for {count} prompts; give one, or one for each")
    unknown = next((each for each in values if each not in set(Switch)), None)
    if unknown is not None:
        raise ValueError(f"{name} must be off, auto or on, not {shown(unknown)}")
    return tuple(Switch(each) for each in values)
