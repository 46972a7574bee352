"""Files of samples: what is written is read again, and what cannot be used is named."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.errors import DataError
from perceptio.data.fields import SampleError
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import IdMap, Mark, Sample, Turn

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


ODD_TEXT = "a\u2028b\u2029c\x85d\x0be\x0cf\x00g\ufeffh\r\ni\U0001f600"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_looks_like_the_end_of_a_line_is_written_and_read_as_text(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    samples = [Sample("a.png", (Turn(ODD_TEXT, "ä"),), ODD_TEXT), Sample("b.png", (Turn("q", "a"),))]
    write_samples(tmp_path / f"x{suffix}", samples)
    file = SampleFile(tmp_path / f"x{suffix}")
    assert [file[index] for index in range(len(file))] == samples


def test_lines_are_read_as_editors_save_them(tmp_path: Path) -> None:
    line = json.dumps({**GOOD, "key": "ä\u2028"}, ensure_ascii=False)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\r\n" + f"{line}\r\n{line}".encode())
    file = SampleFile(path)
    assert [file.line(index) for index in range(len(file))] == [2, 3]
    assert [file[index].key for index in range(len(file))] == ["ä\u2028"] * 2
    path.write_bytes(b"\xef\xbb\xbf" + line.encode())
    assert SampleFile(path)[0].key == "ä\u2028"


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (json.dumps(GOOD).encode().replace(b'"q"', b'"caf\xe9"'), "", "is not UTF-8"),
        (b"[" * 100_000, "", "nested too deep"),
        (b'{"image": ' + b"1" * 5000 + b"}", "", "is no JSON"),
        (b'{"image": "a.png", "image": "b.png"}', "", "'image' stands twice"),
        (json.dumps(GOOD).encode().replace(b'"answer"', b'"question"'), "", "'question' stands twice"),
        (json.dumps(GOOD | {"codes": [float("nan")]}).encode(), "codes[0]", "must be a whole number, not nan"),
        (json.dumps(GOOD | {"codes": [10**12]}).encode(), "codes[0]", "1000000000000"),
        (json.dumps(GOOD | {"marks": [{"letter": "A", "x": 10**20, "y": 0}]}).encode(), "marks[0].x", "16 digits"),
        (json.dumps(GOOD | {"depth_scale": float("inf")}).encode(), "depth_scale", "between 1e-06 and 1e+06, not inf"),
        (json.dumps(GOOD | {"depth_scale": 1e-300}).encode(), "depth_scale", "not 1e-300"),
        (json.dumps(GOOD | {"depth_scale": 10**400}).encode(), "depth_scale", "a number of many digits"),
        (json.dumps(GOOD | {"key": "\ud800"}).encode(), "key", "half of a character"),
        (json.dumps(GOOD | {"image": "b\udce9.png"}).encode(), "image", "is not UTF-8: rename the file"),
        (json.dumps(GOOD | {"image": "a\0.png"}).encode(), "image", "NUL"),
        (json.dumps(GOOD | {"image": "https://a.b/c.png"}).encode(), "image", "is a web address"),
        (json.dumps(GOOD | {"\ud800": 1}).encode(), "\\ud800", "is no field"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_its_field(
    tmp_path: Path, line: bytes, field: str, reason: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line)
    with pytest.raises(SampleError) as caught:
        SampleFile(path)[1]
    assert (caught.value.where, caught.value.field) == (f"{path}:2", field)
    assert reason in caught.value.reason
    assert len(str(caught.value).encode()) < 600


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_masks_of_pycocotools_and_numbers_of_numpy_are_written(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    mask = np.zeros((32, 48), np.uint8)
    mask[3:9, 5:20] = 1
    code = coco.encode(np.asfortranarray(mask))
    turn = Turn("q", np.str_("a"), masks=np.arange(3), depth=np.bool_(True))  # type: ignore[arg-type]
    runs = np.array([0, 4, 32 * 48 - 4], np.uint32)
    polygon = np.array([1.5, 2, 9, 2, 9, 8], np.float32)
    masks = (code, {"size": [np.int64(32), 48], "counts": [*runs]}, {"size": (32, 48), "counts": runs}, [polygon])
    scale, codes = np.array(256, np.float32), np.array([3, 1], np.uint16)
    marks = [Mark("A", np.int32(4), 5)]  # type: ignore[arg-type]
    sample = Sample("a.png", [turn], "k", masks, "d.png", "metric", scale, codes, marks)  # type: ignore[arg-type]
    write_samples(tmp_path / f"x{suffix}", [sample])
    plain = {"size": [32, 48], "counts": [0, 4, 32 * 48 - 4]}
    assert SampleFile(tmp_path / f"x{suffix}")[0] == Sample(
        "a.png",
        (Turn("q", "a", masks=(0, 1, 2), depth=True),),
        "k",
        ({"size": [32, 48], "counts": code["counts"].decode()}, plain, plain, [[1.5, 2.0, 9.0, 2.0, 9.0, 8.0]]),
        "d.png",
        "metric",
        256.0,
        (3, 1),
        (Mark("A", 4, 5),),
    )


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"masks": ([[1.0, 2.0, 3.0, 4.0, 5.0, float("nan")]],)}, "masks[0][0][5]", "is nan"),
        ({"depth_scale": np.float64("inf")}, "depth_scale", "is inf"),
        ({"masks": ({"size": [2, 2], "counts": b"\xff"},)}, "masks[0].counts", "no ASCII"),
        ({"masks": ({1: 2},)}, "masks[0]", "has the name 1"),
        ({"masks": LOOP}, "masks" + "[0]" * 8, "nested more than"),
        ({"masks": IdMap(np.ones((2, 2), np.uint8))}, "masks", "a map of numbers"),
        ({"image": np.zeros((2, 2, 3), np.uint8)}, "image", "is an array"),
        ({"depth": np.zeros((2, 2))}, "depth", "is an array"),
        ({"image": Path("a.png")}, "image", "PosixPath"),
        ({"turns": None}, "turns", "is missing"),
        ({"turns": (Turn("\ud800", "a"),)}, "turns[0].question", "half of a character"),
        ({"turns": (Turn("q", "a", masks=(1.0,)),)}, "turns[0].masks[0]", "whole number"),  # type: ignore[arg-type]
        ({"turns": (Turn("q", 3),)}, "turns[0].answer", "must be text"),  # type: ignore[arg-type]
        ({"codes": (2**40,)}, "codes[0]", "no depth code"),
        ({"codes": {1, 2}}, "codes", "set"),
        ({"key": 5}, "key", "must be text"),
        ({"key": np.array([1, 2])}, "key", "must be text"),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_has_no_place_in_a_line_is_named_and_nothing_is_written(
    tmp_path: Path, sample: Sample, suffix: str, change: dict[str, Any], field: str, reason: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    before = set(tmp_path.iterdir())
    with pytest.raises(SampleError, match=r"^sample 2( \('a'\))?: ") as caught:
        write_samples(tmp_path / f"x{suffix}", [sample, replace(sample, **change)])
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert set(tmp_path.iterdir()) == before


def test_what_is_no_sample_is_a_wrong_type(tmp_path: Path, sample: Sample) -> None:
    with pytest.raises(TypeError, match="sample 2 is dict"):
        write_samples(tmp_path / "x.jsonl", [sample, {}])  # type: ignore[list-item]


def test_a_file_is_known_by_its_bytes(tmp_path: Path, sample: Sample) -> None:
    path = tmp_path / "x.jsonl"
    write_samples(path, [sample])
    assert SampleFile(path).digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_or_a_pipe_is_no_file_of_samples(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    os.mkfifo(tmp_path / "b.jsonl")
    for name in "ab":
        with pytest.raises(DataError, match=rf"{name}\.jsonl"):
            SampleFile(tmp_path / f"{name}.jsonl")


def test_rows_of_one_large_group_are_read_in_any_order_and_by_a_forked_process(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{**GOOD, "key": str(number)} for number in range(300)]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    file = SampleFile(tmp_path / "x.parquet")
    order = [0, 1, 2, 299, 5, 63, 64, 65, 200, 199]
    assert [file[index].key for index in order] == [str(index) for index in order]
    assert file[0].key == "0"  # a reading that is under way
    child = os.fork()
    if not child:
        os._exit(0 if [file[index].key for index in (70, 130, 299)] == ["70", "130", "299"] else 1)
    assert file[70].key == "70"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_damaged_parquet_file_is_refused_as_a_whole_or_row_by_row(tmp_path: Path, sample: Sample) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    write_samples(path, [sample] * 3)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            file = SampleFile(path)
        except DataError:
            continue
        for index in range(min(len(file), 5)):
            try:
                file[index]
            except SampleError:
                continue


def test_rows_and_columns_beyond_measure_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    parquet.write_table(arrow.table({"image": arrow.nulls(3_000_000, arrow.string())}), path)
    with pytest.raises(DataError, match=r"x\.parquet is damaged: it claims 3000000 rows"):
        SampleFile(path)
    parquet.write_table(arrow.table({"image": ["a.png" * 1000], "turns": ["[]"]}), path)
    monkeypatch.setattr("perceptio.data.parquet_rows.LARGEST_GROUP", 1000)
    with pytest.raises(DataError, match=r"x\.parquet has a row group .*smaller row groups"):
        SampleFile(path)


def test_a_column_of_another_type_is_named_and_one_of_nulls_is_empty(tmp_path: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    row = {"image": "a.png", "turns": '[{"question": "a", "answer": "b"}]', "depth": None}
    parquet.write_table(arrow.Table.from_pylist([row]), path)
    assert SampleFile(path)[0].depth is None
    parquet.write_table(arrow.Table.from_pylist([row | {"depth": 3}]), path)
    with pytest.raises(DataError, match="the column depth holds INT64, not text"):
        SampleFile(path)
