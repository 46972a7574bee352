"""`perceptio eval`: reports on disk, comparison on screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perceptio.cli.app import app
from perceptio.scenes.render_job import render_split

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    render_split(folder / "test", "test", 2, size=128, workers=1, progress=False)
    return folder


def evaluate(scenes: Path, model: Path, out: Path, *more: str) -> str:
    arguments = ["eval", "scenes", "--model", str(model), "--scenes", str(scenes), "--out", str(out), *more]
    result = RUNNER.invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert str(out) in result.stderr
    return result.stdout


def test_an_evaluation_leaves_its_report_and_samples(scenes: Path, tiny_folder: Path, tmp_path: Path) -> None:
    shown = evaluate(scenes, tiny_folder, tmp_path / "a")
    assert (tmp_path / "a" / "report.md").read_text() == shown
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["split"] == "test"
    assert report["model"] == str(tiny_folder)
    printed = json.loads(evaluate(scenes, tiny_folder, tmp_path / "a", "--json"))
    assert printed["figures"] == report["figures"]
    assert (
        len((tmp_path / "a" / "samples.jsonl").read_text().splitlines())
        == report["figures"]["malformed answers"]["count"]
    )


def test_two_evaluations_are_compared(scenes: Path, tiny_folder: Path, tmp_path: Path) -> None:
    evaluate(scenes, tiny_folder, tmp_path / "own")
    evaluate(scenes, tiny_folder, tmp_path / "off", "--depth-tokens", "off")
    result = RUNNER.invoke(app, ["eval", "compare", str(tmp_path / "own"), str(tmp_path / "off")])
    assert result.exit_code == 0
    assert "| figure " in result.stdout
    assert "referring cIoU" in result.stdout
    assert "samples changed" in result.stdout


@pytest.mark.parametrize("command", ["scenes", "refer", "hardblink", "blink-depth", "mmbench", "depth", "photos"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    given = {"refer": [str(tmp_path), str(tmp_path)], "scenes": [], "photos": ["--from", str(tmp_path)]}.get(
        command, [str(tmp_path / "none")]
    )
    result = RUNNER.invoke(app, ["eval", command, *given, "--model", "none", "--out", str(tmp_path / "file" / "out")])
    assert result.exit_code == 1
    assert f"{tmp_path / 'file'} is a file, not a folder" in result.stderr


@pytest.mark.parametrize("option", [("--limit", "0"), ("--limit", "-1"), ("--limit", "x"), ("--batch-size", "0")])
def test_numbers_out_of_range_are_refused(option: tuple[str, str]) -> None:
    result = RUNNER.invoke(app, ["eval", "scenes", "--model", "none", *option])
    assert result.exit_code == 2
    assert option[0] in result.stderr


def test_a_folder_behind_a_link_is_filled(scenes: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    evaluate(scenes, tiny_folder, tmp_path / "link", "--limit", "1")
    assert {path.name for path in (tmp_path / "real").iterdir()} == {
        "report.json",
        "report.md",
        "samples.jsonl",
        "settings.json",
        "timing.json",
    }


def test_photographs_that_are_not_there_are_named_before_a_model_is_loaded(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["eval", "photos", "--from", str(tmp_path), "--model", "none"])
    assert result.exit_code == 1
    assert "64 missing of gcompris-qt-data" in " ".join(result.stderr.split())
    assert "scripts/fetch_photos.sh" in result.stderr
