"""YAML is read as it is written, or refused with its line."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from perceptio.training.yaml_text import parse_yaml

LAUGHS = "\n".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise("abcdefghi"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("true", True),
        ("~", None),
        ("-.inf", float("-inf")),
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("2026-11-28", "2026-11-28"),
        ("1_000", "1_000"),
        ("'5'", "5"),
        ("{yes: 1, 5: 2}", {"yes": 1, "5": 2}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n", {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}),
    ],
)
def test_words_have_the_meaning_of_yaml_1_2(text: str, value: Any) -> None:
    found = parse_yaml(text, "r.yaml")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "r.yaml:4: 'c' stands twice"),
        ("a: &x {k: 1}\nb:\n  <<: *x\n  <<: *x\n", "r.yaml:4: '<<' stands twice"),
        ("a: 1\nb:\n  <<: 5\n", "r.yaml:3: << merges a mapping"),
        ("a: !!python/object/apply:os.system [x]\n", "r.yaml:1: the tag .*python"),
        ("a: !!int x\n", "r.yaml:1: the tag"),
        ("a: !!timestamp x\n", "r.yaml:1: the tag"),
        (f"a: &a [{'x, ' * 9}x]\n{LAUGHS}\n", "more than 20,000 values"),
        ("a: &a [*a]\n", "r.yaml is nested too deep"),
        (f"a: {'[' * 5000}", "r.yaml is nested too deep"),
        ("? [a]\n: b\n", "r.yaml:1: a name is due"),
        ("a:\n\tb: 1\n", r"r.yaml:2 is not valid YAML: .*\\t.*: indent with spaces"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2 is not valid YAML"),
        ("a: *x\n", "r.yaml:1 is not valid YAML: .*'x'"),
        ("a: \0\n", "r.yaml is not valid YAML"),
    ],
)
def test_what_only_surprises_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_yaml(text, "r.yaml")
