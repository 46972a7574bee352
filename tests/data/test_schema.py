"""The form of a sample: reading, writing, and what is wrong with it, by file, line and field."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perceptio.data.errors import DataError
from perceptio.data.fields import SampleError
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import Mark, Sample, Turn

GOOD: dict[str, Any] = {"image": "a.png", "turns": [{"question": "q", "answer": "a"}]}


def full(sample: Sample) -> Sample:
    return replace(
        sample,
        codes=(3, 1),
        marks=(Mark("A", 1, 2),),
        depth_kind="inverse",
        depth_scale=256.0,
        turns=(*sample.turns, Turn("q", "ä", masks=(0,), supervise=("text",))),
    )


def test_what_is_not_said_has_its_default_and_is_not_written() -> None:
    sample = Sample.from_dict(GOOD, "x.jsonl:1")
    assert sample == Sample("a.png", (Turn("q", "a"),))
    assert sample.to_dict() == GOOD
    assert sample.turns[0].supervise == ("seg", "depth", "text")


def test_null_is_as_absent() -> None:
    nothing = {"depth": None, "codes": None, "masks": None, "key": None}
    assert Sample.from_dict(GOOD | nothing, "") == Sample.from_dict(GOOD, "")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_files_give_back_what_was_written_in_any_order(tmp_path: Path, sample: Sample, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    samples = [replace(full(sample), key=str(number)) for number in range(150)]  # more than two row groups
    path = tmp_path / f"new/all{suffix}"
    assert write_samples(path, samples) == 150
    file = pickle.loads(pickle.dumps(SampleFile(path)))  # as a process that reads data gets it
    assert len(file) == 150
    for index in (149, 0, 64, 63, 1):
        assert file[index] == samples[index]
        assert file.where(index) == f"{path}:{index + 1}"
    with pytest.raises(IndexError):
        file[150]


def test_parquet_may_nest_its_columns(tmp_path: Path, sample: Sample) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    plain = replace(sample, masks=(sample.masks[0],), turns=sample.turns[1:])
    parquet.write_table(arrow.Table.from_pylist([plain.to_dict(), GOOD]), tmp_path / "nested.parquet")
    file = SampleFile(tmp_path / "nested.parquet")
    assert [file[0], file[1]] == [plain, Sample.from_dict(GOOD, "")]


def test_blank_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"\n{json.dumps(GOOD)}\n\n{json.dumps(GOOD)}")
    file = SampleFile(path)
    assert [file.line(index) for index in range(len(file))] == [2, 4]
    assert file[1] == Sample.from_dict(GOOD, "")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"image": None}, "image", "is missing"),
        ({"turns": None}, "turns", "is missing"),
        ({"image": 3}, "image", "must be text, not 3"),
        ({"mask": []}, "mask", "is no field"),
        ({"turns": {}}, "turns", "must be a list"),
        ({"turns": ["q"]}, "turns[0]", "must be an object"),
        ({"turns": [{"question": "q"}]}, "turns[0].answer", "is missing"),
        ({"turns": [{"question": "q", "answer": "a", "masks": [True]}]}, "turns[0].masks[0]", "whole number"),
        ({"turns": [{"question": "q", "answer": "a", "supervise": ["words"]}]}, "turns[0].supervise[0]", "one of seg"),
        ({"turns": [{"question": "q", "answer": "a", "depth": "yes"}]}, "turns[0].depth", "true or false"),
        ({"masks": [{"size": [2, 2]}]}, "masks[0]", "counts"),
        ({"masks": [{"size": [2, 2], "counts": [1, "3"]}]}, "masks[0]", "counts"),
        ({"masks": [[1, 2, 3]]}, "masks[0]", "polygons"),
        ({"depth_kind": "relative"}, "depth_kind", "metric, inverse"),
        ({"depth_scale": 0}, "depth_scale", "above 0"),
        ({"codes": [1.5]}, "codes[0]", "whole number"),
        ({"points": [{"letter": "A", "x": 1}]}, "points[0].y", "is missing"),
    ],
)
def test_what_is_not_of_the_form_is_named(change: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(SampleError) as caught:
        Sample.from_dict(GOOD | change, "x.jsonl:7")
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"x.jsonl:7: {field}: ")


def test_a_line_that_does_not_parse_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"image": \n\xff\xfe\n[]\n')
    file = SampleFile(path)
    assert file[0] == Sample.from_dict(GOOD, "")
    for index, reason in ((1, "is no JSON"), (2, "is no JSON"), (3, "must be an object")):
        with pytest.raises(SampleError, match=f"x.jsonl:{index + 1}: .*{reason}"):
            file[index]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.jsonl", None, "there is no file"),
        ("x.json", b"[]", "neither .jsonl nor .parquet"),
        ("empty.jsonl", b"\n\n", "holds no samples"),
        ("bad.parquet", b"PAR1", "is no parquet file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}.*{reason}|{reason}.*{name}"):
        SampleFile(tmp_path / name)


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(SampleError("x.jsonl:1", "image", "is gone")))
    assert str(error) == "x.jsonl:1: image: is gone"
