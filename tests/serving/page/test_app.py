"""The page as a program: where it listens, whom it lets in, what it gives away."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

import perceptio
from perceptio.serving.engine import Engine
from perceptio.serving.page import app
from perceptio.serving.page.app import USER, PageSettings, page_of, running, settings_from_environment
from perceptio.serving.page.blocks import build_page

from .conftest import SAMPLE, free_port


@pytest.fixture(scope="module")
def address(engine: Engine) -> Iterator[str]:
    """Of a page without a password."""
    with page_of(engine, PageSettings(port=free_port())) as url:
        yield url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org"])
def test_beyond_this_machine_only_with_a_password_or_by_decision(host: str) -> None:
    with pytest.raises(ValueError, match="password"):
        PageSettings(host=host)
    assert PageSettings(host=host, password="a long one").password == "a long one"
    assert PageSettings(host=host, public=True).public


@pytest.mark.parametrize("fields", [{"port": 0}, {"port": 70_000}, {"password": " "}])
def test_settings_that_make_no_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        PageSettings(**fields)


def test_a_password_is_not_printed() -> None:
    assert "secret" not in repr(PageSettings(password="secret"))


def test_the_environment_counts_in_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("PERCEPTIO_MODEL", "folder")
    monkeypatch.delenv("PERCEPTIO_PASSWORD", raising=False)
    assert settings_from_environment() == PageSettings(model="folder")  # this machine alone
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    assert settings_from_environment() == PageSettings(model="folder", host="0.0.0.0", port=7999, public=True)


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = PageSettings(model="no such model", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="--port"), running(settings):
            pass


def test_the_page_is_served_to_its_own_name_alone(address: str) -> None:
    assert "Perceptio" in httpx.get(address).text
    assert httpx.get(address, headers={"Host": "attacker.example"}).status_code == 400


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_the_page_is_served_to_ipv6(engine: Engine) -> None:
    with page_of(engine, PageSettings(host="::1", port=free_port())) as url:
        assert url.startswith("http://[::1]:")
        assert "Perceptio" in httpx.get(url).text
        assert httpx.get(url, headers={"Host": "attacker.example"}).status_code == 400
        assert httpx.get(url, headers={"Host": "[::2]"}).status_code == 400


def test_few_visitors_are_remembered(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[dict[str, Any]] = []
    monkeypatch.setattr(gr.Blocks, "launch", lambda _, **given: launched.append(given))
    with page_of(engine, PageSettings(port=free_port())):
        assert launched[0]["state_session_capacity"] <= 200


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", str(SAMPLE), app.__file__, "page.css", "../../etc/passwd", "https://example.org/a.png"],
    ids=["system", "package", "program", "name", "upward", "web"],
)
def test_no_file_of_the_machine_is_served(address: str, path: str) -> None:
    for route in ("gradio_api/file=", "gradio_api/proxy=", "static/"):
        answer = httpx.get(f"{address}/{route}{path}")
        assert answer.status_code >= 400, route
        assert "Traceback" not in answer.text


def test_a_large_file_is_not_taken(address: str) -> None:
    answer = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.png", b"0" * (21 << 20))}, timeout=30)
    assert answer.status_code == 413


def test_the_machine_fetches_no_address_that_a_visitor_names(engine: Engine, tmp_path: Path) -> None:
    page = build_page(engine, tmp_path)
    for block in page.blocks.values():
        with pytest.raises(gr.Error):
            asyncio.run(block.async_move_resource_to_block_cache("https://example.org/a.png"))


def test_nothing_is_open_for_programs(address: str) -> None:
    info = httpx.get(f"{address}/gradio_api/info").json()
    assert info["named_endpoints"] == {}
    assert info["unnamed_endpoints"] == {}


def test_a_password_is_asked_for(engine: Engine) -> None:
    with page_of(engine, PageSettings(port=free_port(), password="open sesame")) as url:
        assert httpx.get(f"{url}/config").status_code == 401
        wrong = httpx.post(f"{url}/login", data={"username": USER, "password": "sesame"})
        assert wrong.status_code == 400
        with httpx.Client(base_url=url) as client:
            assert client.post("/login", data={"username": USER, "password": "open sesame"}).status_code == 200
            assert client.get("/config").status_code == 200


def test_nothing_is_left_behind(engine: Engine) -> None:
    with page_of(engine, PageSettings(port=free_port())):
        folder = Path(os.environ["GRADIO_TEMP_DIR"])
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


@pytest.mark.slow
def test_the_same_file_runs_as_a_space(tmp_path: Path) -> None:
    space = Path(perceptio.__file__).parents[2] / "examples" / "space"
    header = (space / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert "sdk: gradio" in header
    assert "app_file: app.py" in header
    shutil.copy(app.__file__, tmp_path / "app.py")
    port = free_port()
    own = {"SYSTEM": "spaces", "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=tmp_path, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()  # or nothing, where it has failed
        assert httpx.get(f"http://127.0.0.1:{port}").status_code == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
