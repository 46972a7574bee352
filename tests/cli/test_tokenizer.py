"""`perceptio tokenizer`: from pictures to a tokenizer, its codes and its report; one sentence for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.labeling.map_shards import MapStore
from perceptio.pipeline import Perceptio
from perceptio.training.codebook.settings import CodebookStage
from perceptio.visualize import color_depth

from .conftest import Run, failed, noise


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


def train(pictures: Path, teacher: Path, out: Path) -> list[object]:
    sizes: list[object] = ["--size", 32, "--grid", 4, "--codes", 16, "--steps", 2, "--batch", 2]
    return ["tokenizer", "train", "--images", pictures, "--teacher", teacher, *sizes, "--out", out]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(4):
        noise(tmp_path / "photos" / f"{number}.png", number)
    return tmp_path / "photos"


def test_tokenizer_of_one_s_own_pictures_is_trained_judged_and_used(
    run: Run, pictures: Path, depth_anything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CodebookStage, "bf16", False)
    out = tmp_path / "tokenizer"
    result = run(*train(pictures, depth_anything, out))
    assert result.code == 0, result.err
    last = result.out.splitlines()[-1]
    assert last == f"done: the depth tokenizer is in {out / 'final'}; --tokenizer {out} finds it too"
    assert f"teacher {depth_anything}: terms of the user's own network" in result.err
    again = run(*train(pictures, depth_anything, out))
    assert (again.code, again.out.splitlines()[-1]) == (0, last)
    report = run(
        *("tokenizer", "report", "--model", out, "--images", pictures, "--teacher", depth_anything),
        *("--picture", tmp_path / "worst.png", "--json"),
    )
    content = json.loads(report.out)
    assert (content["maps"], content["codes"], content["tokens"]) == (4, 16, 16)
    assert content["figures"]["MAE, normalised"]["count"] == 4
    assert (tmp_path / "worst.png").is_file()
    codes = run("tokenizer", "encode", pictures / "0.png", "--teacher", depth_anything, "--model", out)
    assert len(json.loads(codes.out)["codes"]) == 16


def test_maps_are_made_apart(run: Run, pictures: Path, depth_anything: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    result = run("tokenizer", "maps", pictures, "--teacher", depth_anything, "--size", 40, "--out", out)
    assert (result.code, result.out.split(" (")[0]) == (0, f"4 maps in 1 of 1 files in {out}")
    assert len(MapStore(out)) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "there is nothing to train on: name a recipe, or --images"),
        (["--images", "photos"], "photos holds pictures, whose depth a `teacher` must say"),
        (["--depth", "maps", "--grid", "9"], "a map of 320 px cannot have a grid of 9 x 9 codes"),
        (["--depth", "maps", "--depth-kind", "near"], "--depth-kind must be metric or inverse, not 'near'"),
        (["--depth", "maps", "--codes", "1"], "sizes.codes must be a whole number from 2"),
        (["--depth", "maps", "--depth", "maps"], "maps is named twice"),
        (["nano.yaml", "--images", "photos"], "nano.yaml says what is trained on what: write --images into it"),
    ],
)
def test_training_that_cannot_be_is_one_sentence(
    run: Run, options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in failed(run("tokenizer", "train", *options))
    assert not list(tmp_path.iterdir())


def test_report_needs_one_kind_of_truth(run: Run, tmp_path: Path) -> None:
    assert "--images needs a --teacher" in failed(run("tokenizer", "report", "--images", tmp_path))
    assert "give one of them" in failed(run("tokenizer", "report", "--depth", tmp_path, "--scenes", tmp_path))


def test_train_says_whose_recipe_it_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: a\ndata: {maps: {kind: metric}}\n")
    said = failed(run("train", tmp_path / "r.yaml"))
    assert "if it makes a depth tokenizer, give it to `perceptio tokenizer train`" in said
