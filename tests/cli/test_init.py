"""`perceptio init` as a user meets it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.cli import main
from perceptio.pipeline import Perceptio


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["perceptio", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def options(parts: Path) -> list[object]:
    return ["--vlm", parts / "vlm", "--sam", parts / "sam", "--tokenizer", parts / "depth"]


def test_init_writes_a_model_and_says_what_is_untrained(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model"
    code = run(
        monkeypatch,
        "init",
        *options(parts),
        "--out",
        out,
        "--tiles",
        2,
        "--no-pointing",
        "--depth-positions",
        "sequence",
    )
    assert code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"wrote {out}/: ")
    assert "new and untrained: the [SEG] projector" in said
    model = Perceptio.from_pretrained(out, device="cpu")
    assert (model.model.config.pointing, model.model.config.depth_positions) == (False, "sequence")
    assert model.processor.tiles(Image.fromarray(np.zeros((128, 256, 3), np.uint8))) == 3


def test_nothing_is_replaced(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert run(monkeypatch, "init", *options(parts), "--out", tmp_path) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("part", "value", "complaint"),
    [
        ("--vlm", "no/such", "the hub cannot be reached"),
        ("--vlm", "nowhere", "there is no model 'nowhere'"),
        ("--sam", "no/such", "the hub cannot be reached"),
        ("--tokenizer", "nowhere", "there is no model 'nowhere'"),
    ],
)
def test_a_part_that_is_not_there_is_one_sentence(
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    part: str,
    value: str,
    complaint: str,
) -> None:
    assert run(monkeypatch, "init", *options(parts), part, value, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("vlm", "vocab.json"),
        ("vlm", "preprocessor_config.json"),
        ("vlm", "model.safetensors"),
        ("sam", "config.json"),
        ("depth", "model.safetensors"),
    ],
)
def test_file_that_git_lfs_left_out_is_one_sentence(
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    part: str,
    file: str,
) -> None:
    folder = Path(shutil.copytree(parts, tmp_path / "parts"))
    (folder / part / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:01\nsize 9\n")
    assert run(monkeypatch, "init", *options(folder), "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder / part / file} is a pointer of git-lfs")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_folder_behind_a_link_is_filled(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk" / "model").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "model")
    assert run(monkeypatch, "init", *options(parts), "--out", tmp_path / "link") == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "model" / "config.json").is_file()


@pytest.mark.parametrize("command", [["init"], ["convert", "nowhere", "--tokenizer", "nano"], ["export", "nowhere"]])
def test_place_is_tried_before_the_work(
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[object],
) -> None:
    (tmp_path / "file").write_text("mine")
    arguments = [*command, *options(parts)] if command == ["init"] else command
    assert run(monkeypatch, *arguments, "--out", tmp_path / "file" / "out") == 1
    assert capsys.readouterr().err.startswith("error: cannot write")
