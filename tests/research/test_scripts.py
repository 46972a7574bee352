"""Every probe imports what it uses, and explains itself."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "research"
SCRIPTS = sorted(path.name for path in FOLDER.glob("[!_]*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_probe_says_what_it_asks_and_how_to_run_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    script = runpy.run_path(str(FOLDER / name))
    with pytest.raises(SystemExit) as stopped:
        script["main"]()
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert script["__doc__"].strip() in said
    assert f"python research/{name}" in said
