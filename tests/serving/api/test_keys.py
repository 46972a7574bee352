"""Who may ask, and where a server may listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.serving.api.settings import (
    KEY_VARIABLE,
    ApiSettings,
    allowed_hosts,
    check_address,
    check_origins,
    read_key,
)
from perceptio.serving.engine import Engine

from .conftest import client_of

KEY = "0123456789abcdef-key"
CLOSED = ("/v1/models", "/v1/models/nano", "/v1/images/img_" + "0" * 32, "/metrics")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer \xff\xfe"],
)
def test_without_the_key_nobody_is_answered(engine: Engine, header: str | None) -> None:
    locked = client_of(engine, ApiSettings(api_key=KEY, hosts=None))
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for path in CLOSED:
        reply = locked.get(path, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
        assert KEY not in reply.text
    for path in ("/v1/chat/completions", "/v1/perceive", "/v1/images"):
        assert locked.post(path, json={}, headers=headers).status_code == 401


def test_with_the_key_one_is(engine: Engine) -> None:
    locked = client_of(engine, ApiSettings(api_key=KEY, hosts=None))
    for path in CLOSED:
        assert locked.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code in (200, 404)


def test_health_needs_no_key(engine: Engine) -> None:
    locked = client_of(engine, ApiSettings(api_key=KEY, hosts=None))
    assert [locked.get(path).status_code for path in ("/healthz", "/readyz", "/openapi.json")] == [200, 200, 200]


def test_a_key_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert read_key(None) is None
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert read_key(None) == KEY
    (tmp_path / "key").write_text("another-key-of-24-letters\n")
    assert read_key(tmp_path / "key") == "another-key-of-24-letters"


@pytest.mark.parametrize(
    "key", ["", "short", "with a blank in the middle of it", "with\nline ends\nin the middle", "ü" * 20]
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "key").write_text(key)
    with pytest.raises(ValueError, match="must be at least 16") as refused:
        read_key(tmp_path / "key")
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_other_machines_need_a_key(host: str) -> None:
    with pytest.raises(ValueError, match="a key is required"):
        check_address(host, None)
    check_address(host, KEY)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    check_address(host, None)
    assert host in (allowed_hosts(host, ()) or ())


def test_names_behind_a_proxy() -> None:
    assert allowed_hosts("0.0.0.0", ()) is None
    assert "perceptio.example" in (allowed_hosts("127.0.0.1", ("perceptio.example",)) or ())


@pytest.mark.parametrize(
    "origin", ["*", "null", "example.org", "https://example.org/", "https://a.org, https://b.org", ""]
)
def test_an_origin_must_be_one(origin: str) -> None:
    with pytest.raises(ValueError, match="--cors-origin"):
        check_origins([origin])
    assert check_origins(["https://a.example", "http://localhost:3000"]) == (
        "https://a.example",
        "http://localhost:3000",
    )


def test_a_key_is_checked_without_a_thread(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise AssertionError("the threads are for masks")

    monkeypatch.setattr("fastapi.dependencies.utils.run_in_threadpool", full)
    assert client_of(engine).get("/v1/models").status_code == 200
