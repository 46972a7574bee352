"""`perceptio serve`, as far as it gets before it serves; `serving/api/test_shutdown.py` runs it whole."""

from __future__ import annotations

import inspect
import re
import socket
from pathlib import Path

import pytest

from perceptio.cli.serve import serve
from perceptio.serving.engine import EngineSettings

from .conftest import Run, failed

KEY = "PERCEPTIO_API_KEY"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_may_not_ask_without_a_key(run: Run, host: str) -> None:
    said = failed(run("serve", "--host", host, "--port", 0))
    assert host in said
    assert KEY in said


def test_a_short_key_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2")
    said = failed(run("serve", "--host", "0.0.0.0", "--api-key-file", tmp_path / "key"))
    assert str(tmp_path / "key") in said
    assert "hunter2" not in said
    assert "missing" in failed(run("serve", "--api-key-file", tmp_path / "missing"))


def test_a_port_that_is_taken(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in failed(run("serve", "--port", port))


def test_an_address_of_no_machine_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "0123456789abcdef")
    assert "192.0.2.1" in failed(run("serve", "--host", "192.0.2.1", "--port", 0))


@pytest.mark.parametrize("origin", ["*", "example.org"])
def test_an_origin_must_be_one(run: Run, origin: str) -> None:
    assert "--cors-origin" in failed(run("serve", "--cors-origin", origin, "--port", 0))


def test_a_model_that_is_not_there_ends_the_server(run: Run, tmp_path: Path) -> None:
    result = run("serve", "--model", tmp_path / "none", "--port", 0)
    assert result.code == 1
    assert str(tmp_path / "none") in result.err.splitlines()[-1]


@pytest.mark.parametrize("option", ["--batch-size", "--queue-size", "--deadline", "--pictures", "--max-body-mb"])
def test_limits_are_positive(run: Run, option: str) -> None:
    assert run("serve", option, 0).code == 2


def test_defaults_agree() -> None:
    given = {name: each.default for name, each in inspect.signature(serve).parameters.items()}
    settings = EngineSettings()
    assert given["deadline"] == settings.deadline_s
    assert given["max_megapixels"] * 1e6 == settings.max_pixels
    assert given["grace"] > given["deadline"]  # an answer that is late at the end is late for its client too
    unit = (Path(__file__).parents[2] / "deploy" / "perceptio.service").read_text()
    grace, until_killed = re.findall(r"--grace (\d+)|TimeoutStopSec=(\d+)", unit)
    assert given["deadline"] < int(grace[0]) < int(until_killed[1])
