"""Text and JSON as editors save them, and as we write them."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from perceptio.files import json_line, parse_json, read_json, read_lines, read_text

ODD = [*map(chr, range(32)), *"\x7f\x85\u2028\u2029\ufeff\ud800\udfffä漢🙂a", '"', "\\"]


def paired(value: dict[str, str]) -> dict[str, str]:
    """Two halves of a character that stand together are that character, to JSON."""
    return json.loads(json.dumps(value))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rng = random.Random(0)
    values = [{"".join(rng.choices(ODD, k=5)): "".join(rng.choices(ODD, k=30))} for _ in range(500)]
    (tmp_path / "a.jsonl").write_text("".join(json_line(value) + "\n" for value in values), encoding="utf-8")
    lines = list(read_lines(tmp_path / "a.jsonl"))
    assert [paired(json.dumps(parse_json(text, "here"))) for _, text in lines] == [
        paired(json.dumps(v)) for v in values
    ]
    assert [number for number, _ in lines] == list(range(1, 501))
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 500  # of other tools' readers, too


def test_letters_stay_readable() -> None:
    assert json_line({"a": "漢 ä"}) == '{"a": "漢 ä"}'


def test_what_is_no_number_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        json_line({"a": float("nan")})


def test_marks_and_ends_of_editors_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffone\u2028still one\r\n\r\n  \nfour \x0b\x85\nfive".encode())
    assert list(read_lines(tmp_path / "a.txt")) == [(1, "one\u2028still one"), (4, "four \x0b\x85"), (5, "five")]
    assert read_text(tmp_path / "a.txt").startswith("one")


def test_other_encodings_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\nzwei: ä\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.txt:2 .*0xe4.*UTF-8"):
        read_text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes("one ä".encode("utf-16"))
    with pytest.raises(ValueError, match=r"a\.txt is UTF-16"):
        read_text(tmp_path / "a.txt")


def test_places_that_are_no_files_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in {"none": "there is no file", "pipe": "a pipe", ".": "a folder"}.items():
        with pytest.raises(ValueError, match=reason):
            read_text(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cut short"),
        ('{"a": ', "cut short"),
        ("[" * 5000, "nested too deep"),
        ("[" * 200 + "]" * 200, "nested too deep"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested too deep"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        ("1" * 5000, "damaged"),
        (b'"\xe4"', "UTF-8"),
    ],
)
def test_what_is_no_json_is_named(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^file:3 .*{reason}"):
        parse_json(text, "file:3")


@pytest.mark.parametrize("value", [[], {"a": [{"b": 1.5}]}, "text", None])
def test_json_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value), "here") == value


def test_an_object_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"a\.json .*list"):
        read_json(tmp_path / "a.json")
