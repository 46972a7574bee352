"""What a probe says where its user is wrong."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).parents[2] / "research" / "more.py"


def test_an_unknown_model_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(PROBE.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(PROBE), "--model", "nosuch", "--count", "1"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(PROBE), run_name="__main__")
    assert stopped.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: there is no model 'nosuch'")
