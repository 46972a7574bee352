"""Worker processes do not outlive the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from perceptio.files.parts import is_alive
from perceptio.processes import check_workers, survive_forks

PARENT = """
import multiprocessing, os, sys, time
from perceptio.processes import end_with_parent

def work(number):
    end_with_parent(number)
    print(os.getpid(), flush=True)
    while True: pass

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    for number in range(3):
        context.Process(target=work, args=(number,), daemon=True).start()
    time.sleep(60)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_end_when_their_parent_is_killed(tmp_path_factory: pytest.TempPathFactory, method: str) -> None:
    script = tmp_path_factory.mktemp("parent") / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script, method], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(3)]
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.stdout.read() == ""  # until the last of them has let go of it
    for _ in range(100):
        if not any(map(is_alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(is_alive, workers))


def multiply() -> None:
    torch.ones(800, 800) @ torch.ones(800, 800)


def test_a_fork_computes_though_its_parent_has_used_threads() -> None:
    survive_forks()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        multiply()
        child = multiprocessing.get_context("fork").Process(target=multiply)
        child.start()
        child.join(20)
        child.kill()
        child.join()
    finally:
        torch.set_num_threads(threads)
    assert child.exitcode == 0


def test_workers_that_cannot_share_locks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(38, "Function not implemented")

    check_workers(2)
    monkeypatch.setattr(multiprocessing, "Lock", refuse)
    check_workers(0)
    with pytest.raises(OSError, match=r"2 workers .* Function not implemented"):
        check_workers(2)
