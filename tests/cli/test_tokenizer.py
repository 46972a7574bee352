"""`perceptio tokenizer encode` and `decode`: a round trip, and one sentence for what is no depth and no codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.pipeline import Perceptio
from perceptio.visualize import color_depth

from .conftest import Run, failed


def test_codes_go_to_a_picture_and_back(
    run: Run, tiny: Perceptio, tiny_folder: Path, tmp_path: Path, image: Path
) -> None:
    depth = np.random.default_rng(0).uniform(1, 9, (50, 40)).astype(np.float32)
    np.save(tmp_path / "depth.npy", depth)
    result = run("tokenizer", "encode", tmp_path / "depth.npy", "--model", tiny_folder)
    assert result.code == 0
    content = json.loads(result.out)
    assert content["grid"] == 4
    assert len(content["codes"]) == 16
    (tmp_path / "codes.json").write_text(result.out)
    out = tmp_path / "new" / "map.png"
    result = run("tokenizer", "decode", tmp_path / "codes.json", "--model", tiny_folder, "--out", out)
    assert (result.code, result.out) == (0, "")
    values = np.load(out.with_suffix(".npy"))
    assert values.shape == (32, 32)
    with Image.open(out) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(color_depth(values)))


def test_encoding_a_picture_without_a_teacher_is_one_sentence(run: Run, image: Path) -> None:
    assert "name a depth network with --teacher" in failed(run("tokenizer", "encode", image))


@pytest.mark.parametrize(
    "array",
    [np.zeros(5), np.zeros((2, 2, 2)), np.zeros((2, 2), np.int64), np.full((2, 2), np.nan), np.array([[None]])],
    ids=["vector", "volume", "integers", "nan", "objects"],
)
def test_array_that_is_no_depth_is_one_sentence(run: Run, tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "depth.npy", array, allow_pickle=True)
    assert str(tmp_path / "depth.npy") in failed(run("tokenizer", "encode", tmp_path / "depth.npy"))


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\x93NUMPY\x01\x00"])
def test_file_that_is_no_array_is_one_sentence(run: Run, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "depth.npy"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in failed(run("tokenizer", "encode", path))


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", "{}", '{"codes": 3}', '{"codes": [1.5]}', '{"codes": ["a"]}', '{"codes": [true]}', "null"]
)
def test_file_without_codes_is_one_sentence(run: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "codes.json").write_text(content)
    assert failed(run("tokenizer", "decode", tmp_path / "codes.json")).startswith(str(tmp_path / "codes.json"))


@pytest.mark.parametrize("codes", [[], [0] * 15, [16] * 16, [-1] * 16])
def test_codes_that_do_not_fit_the_model_are_one_sentence(
    run: Run, tmp_path: Path, tiny_folder: Path, codes: list[int]
) -> None:
    (tmp_path / "codes.json").write_text(json.dumps({"codes": codes}))
    out = tmp_path / "map.png"
    result = run("tokenizer", "decode", tmp_path / "codes.json", "--model", tiny_folder, "--out", out)
    assert f"must hold 16 codes from 0 to 15, not {len(codes)}" in failed(result)
    assert not out.exists()


def test_missing_codes_are_one_sentence(run: Run, tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        assert str(path) in failed(run("tokenizer", "decode", path))
