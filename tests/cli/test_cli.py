"""The command line as a whole: its arguments, help, version and exit codes, and one sentence for what cannot be run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import perceptio
from perceptio.cli import main
from perceptio.pipeline import Perceptio

from .conftest import Run, failed

COMMAND = [sys.executable, "-c", "from perceptio.cli import main; main()"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ask"], "Missing argument"),
        (["ask", "a.png", "hello", "--seg", "maybe"], "'maybe' is not one of 'off'"),
        (["ask", "a.png", "hello", "--sge", "on"], "No such option"),
        (["sak"], "No such command 'sak'"),
        (["eval", "scenes", "--limit", "0"], "'--limit'"),
        (["scenes", "render", "x", "--split", "nope"], "'nope' is not one of 'train'"),
        (["scenes", "show", "--count", "65"], "'--count'"),
        (["tokenizer"], "Usage"),
    ],
)
def test_wrong_arguments_are_explained(run: Run, arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert complaint in " ".join((result.out + result.err).split())
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", [[], ["ask"], ["scenes"], ["scenes", "render"], ["tokenizer"], ["eval"], ["train"]])
def test_help_names_the_command(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.code == 0
    assert f"Usage: {' '.join(['perceptio', *command])}" in " ".join(result.out.split())


def test_interruption_ends_with_its_own_code(run: Run, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("perceptio.images.upright_size", interrupt)
    result = run("ask", image, "hello")
    assert result.code == 130
    assert result.out == ""
    assert "Traceback" not in result.err


def test_our_own_mistakes_keep_their_traceback(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("perceptio.images.upright_size", mistake)
    monkeypatch.setattr(sys, "argv", ["perceptio", "ask", str(image), "hello"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_missing_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.yaml").write_text("seed: 1")
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "perceptio.training.yaml_text", raising=False)  # of an earlier test
    message = failed(run("train", tmp_path / "recipe.yaml"))
    asked = "pip install '.[train]' in perceptio's own folder"  # it is on no index
    assert message == f"this command needs yaml, which is not installed: {asked}"


@pytest.mark.parametrize("command", [["eval", "scenes"], ["tokenizer", "report"]])
def test_missing_scenes_are_one_sentence(run: Run, tmp_path: Path, tiny_folder: Path, command: list[str]) -> None:
    message = failed(run(*command, "--model", tiny_folder, "--scenes", tmp_path / "none"))
    assert message.startswith(f"{tmp_path / 'none' / 'test'} holds no finished scenes")


@pytest.mark.parametrize("command", [["eval", "scenes"], ["tokenizer", "report"]])
def test_unknown_model_of_a_measurement_is_one_sentence(run: Run, tmp_path: Path, command: list[str]) -> None:
    assert failed(run(*command, "--model", "nanoo", "--scenes", tmp_path)).startswith("there is no model 'nanoo'")


def test_showing_missing_scenes_is_one_sentence(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert "holds no finished scenes" in failed(run("scenes", "show", tmp_path / "none", "--out", out))
    assert not out.exists()


def test_impossible_renderings_are_one_sentence(run: Run, tmp_path: Path) -> None:
    for arguments in (["--count", "0"], ["--count", "-3"], ["--workers", "0"], ["--size", "0"]):
        failed(run("scenes", "render", tmp_path / "out", "--count", "2", "--workers", "1", *arguments))
    (tmp_path / "file").write_text("mine")
    failed(run("scenes", "render", tmp_path / "file", "--count", "1", "--workers", "1"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", [["train"], ["tokenizer", "train"]])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot read the recipe"),
        ("", "must be a mapping of settings"),
        ("- 1", "must be a mapping of settings"),
        ("name: a\nsteps: 3", "there is no setting 'steps'"),
        ("name: a\ndepth:\n  stepz: 3", "there is no setting 'depth.stepz': did you mean 'steps'"),
        ("name: a\ndepth:\n  steps: many", "depth.steps must be a whole number"),
        ("name: [", "is not valid YAML"),
        ("seed: 1", "name"),
    ],
)
def test_unusable_recipe_is_one_sentence(
    run: Run, tmp_path: Path, command: list[str], content: str | None, complaint: str
) -> None:
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_text(content)
    message = failed(run(*command, path, "--out", tmp_path / "out"))
    assert str(path) in message
    assert complaint in message
    assert not (tmp_path / "out").exists()


def test_unknown_and_premature_stages_are_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: a")
    arguments = ["train", tmp_path / "recipe.yaml", "--out", tmp_path / "out", "--stage"]
    assert failed(run(*arguments, "deph")).startswith("unknown stage 'deph': choose from ")
    result = run(*arguments, "joint")
    assert result.code == 1
    assert "error: " in result.err
    assert "run the stage `words` first" in result.err.splitlines()[-1]


def test_version_is_shown_without_loading_torch() -> None:
    code = (
        f"import sys\n{COMMAND[2].replace('main()', '')}\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"perceptio {perceptio.__version__}\nFalse\n"


def test_a_process_of_its_own_keeps_stdout_for_the_answer(tiny: Perceptio, image: Path, options: list[str]) -> None:
    result = subprocess.run(
        [*COMMAND, "ask", str(image), "Where is the cube?", *options],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    expected = tiny.ask(image, "Where is the cube?")
    assert result.returncode == 0
    assert result.stdout == expected.text + "\n"
    assert result.stderr == "".join(f"warning: {problem}\n" for problem in expected.trace.malformed)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    code = (
        "import sys\nfrom perceptio.cli.errors import reporting\nwith reporting():\n    print('text')\n    sys.exit(0)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 0
