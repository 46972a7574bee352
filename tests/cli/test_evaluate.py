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
