"""What a field of a configuration may hold: a table of good and wrong values, and messages that name the field."""

from __future__ import annotations

from typing import Any

import pytest

from perceptio.pretrained.fields import (
    FLAG,
    SECTION,
    TEXT,
    Field,
    check,
    check_fit,
    choice,
    either,
    number,
    optional,
    read_fields,
    required,
    several,
    square,
    whole,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "good", "wrong"),
    [
        (whole(1, 9), [1, 9], [0, 10, -1, 10**30, 1.0, True, "1", None, [], {}]),
        (number(0, 1), [0, 1, 0.5], [-0.1, 1e308, NAN, INF, 10**400, True, "0", None]),
        (choice("a", "b"), ["a", "b"], ["c", "", None, ["a"], 1]),
        (choice(1), [1], [1.0, True, 2]),
        (FLAG, [True, False], [1, 0, "true", None]),
        (TEXT, ["", "a"], [None, 1, []]),
        (SECTION, [{}], [[], None, "x"]),
        (several(whole(0, 3), 1, 2), [[1], [0, 3], (1, 2)], [[], [1, 2, 3], [4], [None], 1, "1", {}]),
        (square(whole(1, 9)), [3, [3, 3], (3, 3)], [[3, 4], [3], [3, 3, 3], 0, "3"]),
        (optional(whole(1, 9)), [None, 3], [0, "x"]),
        (either(whole(1, 1), TEXT), [1, "x"], [2, None]),
    ],
)
def test_values_are_told_apart(field: Field, good: list[Any], wrong: list[Any]) -> None:
    for value in good:
        check("field", value, field)
    for value in wrong:
        with pytest.raises(ValueError, match=r"^field must be"):
            check("field", value, field)


def test_only_known_fields_are_read() -> None:
    fields = {"width": whole(1, 9), "depth": required(whole(1, 9))}
    assert read_fields({"depth": 3, "to_dict": 5}, fields) == {"depth": 3}
    with pytest.raises(ValueError, match=r"^depth is missing: it must be a whole number from 1 to 9"):
        read_fields({"width": 3}, fields)
    with pytest.raises(ValueError, match=r"^vlm\.width must be a whole number from 1 to 9, not 10"):
        read_fields({"width": 10, "depth": 1}, fields, "vlm")


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(ValueError, match="width must be") as caught:
        check("width", [1] * 10_000, whole(1, 9))
    assert len(str(caught.value)) < 200


def test_the_first_broken_demand_is_named() -> None:
    check_fit("vlm", {"a must be b": True})
    with pytest.raises(ValueError, match=r"contradict each other: vlm\.c must be d"):
        check_fit("vlm", {"a must be b": True, "c must be d": False, "e": False})
