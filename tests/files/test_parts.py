"""Which processes still work on an unfinished file."""

from __future__ import annotations

import os
import subprocess
import sys

from perceptio.files.parts import is_alive


def test_a_process_that_has_ended_is_not_alive_though_nobody_has_asked_how_it_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # until it has let go of its output, at its end
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.wait()
    assert not is_alive(process.pid)
    assert is_alive(os.getpid())
