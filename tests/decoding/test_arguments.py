"""Arguments of the public calls: the one that is of another type or out of its range is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from perceptio.decoding.arguments import (
    check_flag,
    check_forced_depth,
    check_model,
    check_sequence,
    check_text,
    check_whole,
    switches,
)
from perceptio.tokens import SpatialVocabulary, Switch

VOCABULARY = SpatialVocabulary(1, 2, 3, (4, 5), tokens_per_map=4, end_of_text=0)
NAN = float("nan")


@pytest.mark.parametrize(
    ("check", "good", "wrong_type", "wrong_value"),
    [
        (check_text, ["", "a", "\u2028"], [None, 5, ["a"], b"a"], ["a\ud800", "a\0b"]),
        (check_whole, [1, 10**12, np.int64(3)], [None, "3", 1.0, 1e12, NAN, True], [0, -1]),
        (check_flag, [True, False], [None, 1, "x", []], []),
        (check_sequence, [[], ["a"], ("a",)], [None, "a", b"a", 5, {"a"}, np.zeros((2, 2))], []),
    ],
)
def test_each_kind_is_told_apart(
    check: Callable[[str, Any], None], good: list[Any], wrong_type: list[Any], wrong_value: list[Any]
) -> None:
    for value in good:
        check("argument", value)
    for value in wrong_type:
        with pytest.raises(TypeError, match=r"^argument must be"):
            check("argument", value)
    for value in wrong_value:
        with pytest.raises(ValueError, match=r"^argument"):
            check("argument", value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((5, None, None), "name"),
        (("nano", 0, None), "device"),
        (("nano", torch.device("cpu"), None), "device"),
        (("nano", None, "float32"), "dtype"),
        (("nano", None, torch.int8), "dtype"),
    ],
)
def test_what_cannot_name_a_model_is_refused(arguments: tuple[Any, Any, Any], named: str) -> None:
    check_model("nano", "cpu", torch.bfloat16)
    with pytest.raises(TypeError, match=f"^{named} must be"):
        check_model(*arguments)


def test_switches_are_one_for_all_or_one_for_each() -> None:
    assert switches("seg", "on", 2) == (Switch.ON, Switch.ON)
    assert switches("seg", [Switch.OFF, "auto"], 2) == (Switch.OFF, Switch.AUTO)
    for value in (None, 1, True, [None], {"on"}):
        with pytest.raises(TypeError, match=r"^seg must be off, auto or on"):
            switches("seg", value, 1)
    for value in ("ON", "", ["x"]):
        with pytest.raises(ValueError, match=r"^seg must be off, auto or on"):
            switches("seg", value, 1)
    with pytest.raises(ValueError, match=r"^seg: 1 switches for 2 prompts"):
        switches("seg", ["on"], 2)


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        ([[0, 1, 0, 1]], TypeError),
        (np.zeros((1, 4), np.int64), TypeError),
        (torch.zeros(1, 4), TypeError),
        (torch.zeros(1, 3, dtype=torch.int64), ValueError),
        (torch.zeros(4, dtype=torch.int64), ValueError),
        (torch.tensor([[0, 1, 2, 0]]), ValueError),
        (torch.tensor([[0, 1, -1, 0]]), ValueError),
    ],
)
def test_forced_codes_fit_the_vocabulary(codes: Any, error: type[Exception]) -> None:
    check_forced_depth(torch.tensor([[0, 1, 1, 0]]), 1, VOCABULARY)
    with pytest.raises(error, match=r"^forced_depth"):
        check_forced_depth(codes, 1, VOCABULARY)
