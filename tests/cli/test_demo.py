"""`perceptio demo`: what it hands to the page, and what it refuses before a model is loaded."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from perceptio.serving.page import app
from perceptio.serving.page.app import PASSWORD_VARIABLE, PageSettings

from .conftest import Run, failed


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[PageSettings]:
    """What was to be served; nothing is."""
    settings: list[PageSettings] = []
    monkeypatch.setattr(app, "serve", settings.append)
    return settings


def test_by_default_it_is_for_this_machine_alone(run: Run, served: list[PageSettings]) -> None:
    assert run("demo").code == 0
    assert served == [PageSettings()]


def test_options_reach_the_page(
    run: Run, served: list[PageSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("open sesame\n")
    run("demo", "--model", "m", "--host", "0.0.0.0", "--port", 7900, "--password-file", tmp_path / "password", "--open")
    monkeypatch.setenv(PASSWORD_VARIABLE, "from outside")
    run("demo", "--host", "0.0.0.0", "--device", "cpu")
    run("demo", "--host", "0.0.0.0", "--public")
    assert served == [
        PageSettings("m", None, "0.0.0.0", 7900, "open sesame", open_browser=True),
        PageSettings(host="0.0.0.0", device="cpu", password="from outside"),
        PageSettings(host="0.0.0.0", password="from outside", public=True),
    ]


def test_other_machines_may_not_look_without_a_password(run: Run, tmp_path: Path) -> None:
    said = failed(run("demo", "--host", "0.0.0.0"))
    assert "0.0.0.0" in said
    assert PASSWORD_VARIABLE in said
    assert "missing" in failed(run("demo", "--password-file", tmp_path / "missing"))


def test_a_port_that_is_taken(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in failed(run("demo", "--port", port, "--model", "none"))


def test_without_gradio_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "[demo]" in failed(run("demo", "--model", "none"))
