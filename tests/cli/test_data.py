"""`perceptio data` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.cli import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Line 1 is good; line 2 has too few codes for any model and no picture."""
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    turn = {"question": "Where?", "answer": "There.", "depth": True}
    good = {"image": "a.png", "turns": [turn], "codes": [1] * 16}
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{json.dumps(good)}\n{json.dumps(good | {'image': 'b.png', 'codes': [1, 2]})}\n")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["perceptio", "data", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_check_lists_faults_first_and_ends_with_1(
    file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", file, "--model", tiny_folder) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{file}:2: image: there is no image file")
    assert lines[1].startswith(f"{file}:2: codes: has 2 depth codes, but a map of this model has 16")
    assert lines[-1] == "1 bad samples, 2 problems"


def test_check_prints_one_object(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", file, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["samples"], report["bad_samples"]) == (2, 1)
    assert {(each["line"], each["field"]) for each in report["problems"]} == {(2, "image")}


def test_good_data_ends_with_0_and_a_missing_file_is_one_sentence(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text().splitlines()[0])
    assert run(monkeypatch, "check", file) == 0
    capsys.readouterr()
    assert run(monkeypatch, "check", file.with_name("none.jsonl")) == 1
    assert capsys.readouterr().err == f"error: there is no file {file.with_name('none.jsonl')}\n"


def test_show_writes_a_sheet(file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(file.read_text().splitlines()[0])
    sheet = file.with_name("sheet.png")
    assert run(monkeypatch, "show", file, "--out", sheet, "--model", tiny_folder, "--count", 4) == 0
    assert Image.open(sheet).width > 1000


def test_a_question_that_the_model_cannot_read_is_found_before_it_is_trained_on_or_drawn(
    file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = {"question": "What is here? " * 3000, "answer": "A cube."}
    file.write_text(json.dumps({"image": "a.png", "turns": [turn]}))
    assert run(monkeypatch, "check", file) == 0
    capsys.readouterr()
    assert run(monkeypatch, "check", file, "--model", tiny_folder) == 1
    assert capsys.readouterr().out.startswith(f"{file}:1: turns[0].question: ")
    sheet = file.with_name("sheet.png")
    assert run(monkeypatch, "show", file, "--out", sheet, "--model", tiny_folder) == 1
    assert f"error: {file}:1: turns[0].question: " in capsys.readouterr().err
    assert not sheet.exists()


def test_a_turn_that_no_sequence_of_the_recipe_holds_is_found(
    file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = {"question": "What is here? " * 30, "answer": "A cube."}
    file.write_text(json.dumps({"image": "a.png", "turns": [turn]}))
    assert run(monkeypatch, "check", file, "--model", tiny_folder) == 0
    capsys.readouterr()
    assert run(monkeypatch, "check", file, "--model", tiny_folder, "--length", 150) == 1
    assert capsys.readouterr().out.startswith(f"{file}:1: turns[0].question: the turn has up to ")
    assert run(monkeypatch, "check", file, "--length", 150) == 1
    assert capsys.readouterr().err == "error: --length counts the tokens of a model: give --model too\n"


def test_a_sheet_that_cannot_be_written_is_said_first(
    file: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = file / "sheet.png"  # in a file
    assert run(monkeypatch, "show", file, "--out", out, "--model", tiny_folder) == 1
    assert f"error: cannot write {out}: " in capsys.readouterr().err
