"""The examples of README.md, of the quickstart and of the forms of an answer do what these pages say."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from perceptio.cli import main

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = ("README.md", "docs/quickstart.md", "docs/results.md")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which the paths of the pages lead to the repository's files."""
    for name in ("src", "recipes"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def blocks(page: str, kind: str) -> list[str]:
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [text for language, text in found if language == kind]


@pytest.mark.parametrize("page", PAGES)
def test_python_examples_print_what_the_page_says(
    page: str, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples, outputs = blocks(page, "python"), blocks(page, "output")
    assert len(examples) == len(outputs) == 1
    monkeypatch.chdir(clone)
    exec(compile(examples[0], page, "exec"), {})
    assert capsys.readouterr().out == outputs[0]
    assert (clone / "out" / "answer.json").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_commands_print_what_the_page_says(
    page: str, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = blocks(page, "console")
    monkeypatch.chdir(clone)
    for example in block.removeprefix("$ ").split("\n$ "):
        command, _, expected = example.partition("\n")
        arguments = shlex.split(command)
        assert arguments[0] == "perceptio"
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        assert capsys.readouterr().out.strip() == expected.strip()


def test_the_readme_names_files_that_are_there() -> None:
    for page in PAGES:
        links = re.findall(r"\]\(((?!http)[^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
        assert links
        missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
        assert not missing, f"{page} links to {missing}"


def test_the_map_of_the_readme_is_that_of_the_package() -> None:
    (tree,) = re.findall(r"^src/perceptio/\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"^  (\w+)/", tree, re.MULTILINE))
    rooms = {path.name for path in (ROOT / "src/perceptio").iterdir() if (path / "__init__.py").is_file()}
    assert named == rooms - {"visualize"}
