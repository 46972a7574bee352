"""What a probe says where its user is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROBE = Path(__file__).parents[2] / "research" / "more.py"


def test_an_unknown_model_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, str(PROBE), "--model", "nosuch", "--count", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: there is no model 'nosuch'")
