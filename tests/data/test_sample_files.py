"""Files of samples: what is written is read again, and what cannot be used is named."""

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


def test_another_kind_of_file_is_not_written(tmp_path: Path, sample: Sample) -> None:
    with pytest.raises(DataError, match=r"x\.json"):
        write_samples(tmp_path / "x.json", [sample])
    assert not list(tmp_path.glob("x.*"))
