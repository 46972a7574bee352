"""What is refused before it is read, and bodies that no client should send."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from perceptio.serving.api import bodies
from perceptio.serving.api.errors import ApiError, invalid_request
from perceptio.serving.api.settings import ApiSettings
from perceptio.serving.engine import Engine

from .conftest import ANY_HOST, body, client_of, picture_bytes, serving

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_a_local_server_is_called_by_a_local_name(engine: Engine, host: str) -> None:
    assert client_of(engine, ApiSettings()).get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]", "localhost.:80@evil.example"])
def test_other_names_are_refused(engine: Engine, host: str) -> None:
    reply = client_of(engine, ApiSettings()).get("/healthz", headers={"Host": host})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "host_not_allowed")


def test_pages_of_other_origins_may_not_ask(engine: Engine) -> None:
    closed = client_of(engine, ApiSettings())
    local = {"Host": "localhost:8000"}
    for origin in ("https://evil.example", "null", "http://localhost:9999", "http://["):
        reply = closed.post("/v1/images", files={"image": picture_bytes()}, headers={**local, "Origin": origin})
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "origin_not_allowed")
    own = closed.get("/healthz", headers={**local, "Origin": "http://localhost:8000"})
    assert own.status_code == 200
    assert not [name for name in own.headers if name.startswith("access-control")]


def test_an_origin_that_is_named_may_ask(engine: Engine) -> None:
    page = "https://page.example"
    named = client_of(engine, ApiSettings(hosts=None, cors_origins=(page,)))
    asking = {"Origin": page, "Access-Control-Request-Method": "POST"}
    before = named.options(
        CHAT, headers={**asking, "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang"}
    )
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, page)
    assert named.get("/healthz", headers={"Origin": page}).headers["access-control-allow-origin"] == page
    other = named.options(CHAT, headers={**asking, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_large_body_is_refused_by_its_length_or_as_it_comes(engine: Engine) -> None:
    small = client_of(engine, ApiSettings(hosts=None, max_body_bytes=10_000))

    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 1000

    said = small.post(CHAT, content=b"x" * 20_000, headers=JSON)
    unsaid = small.post(CHAT, content=parts(), headers=JSON)
    form = small.post("/v1/images", files={"image": b"x" * 20_000})
    for reply in (said, unsaid, form):
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


def test_a_body_that_does_not_come_is_not_waited_for(engine: Engine) -> None:
    head = b"POST /v1/images HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with (
        serving(engine, ApiSettings(hosts=None, body_seconds=0.2)) as url,
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as connection,
    ):
        connection.sendall(head + b'{"image')
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"model": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"model": "nano", "messages": NaN}',
        b'{"model": "nano", "messages": [], "temperature": NaN}',
        b'{"model": "nano", "messages": [], "seed": ' + b"9" * 10_000 + b"}",
        b'{"model": "nano", "messages": [], "temperature": 1e999}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "\xff\xfe", "messages": []}',
        b'\xff\xfe{\x00"\x00',
        b'{"model": "nano"',
    ],
    ids=range(15),
)
def test_bodies_that_are_no_request(client: TestClient, content: bytes) -> None:
    for path in (CHAT, "/v1/perceive", "/v1/images"):
        reply = client.post(path, content=content, headers=JSON)
        assert reply.status_code == 400
        assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_json_must_say_that_it_is(client: TestClient, sample_id: str, kind: str) -> None:
    content = json.dumps(body(sample_id)).encode()
    for path in (CHAT, "/v1/perceive", "/v1/images"):
        assert client.post(path, content=content, headers={"Content-Type": kind}).status_code == 415


def test_texts_that_are_no_texts(client: TestClient, sample_id: str) -> None:
    for text in ("\0", "a\0b"):
        assert client.post(CHAT, json=body(sample_id, text)).status_code == 400


def test_a_mistake_of_ours_is_one_sentence_with_an_id(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    broken = client_of(engine)

    def fail() -> None:
        raise RuntimeError("/home/somebody/secret")

    broken.app.add_api_route("/broken", fail)  # type: ignore[attr-defined]
    reply = broken.get("/broken")
    assert reply.status_code == 500
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "secret" not in reply.text
    assert reply.headers["x-request-id"] in error["message"]
    assert any(reply.headers["x-request-id"] in record.getMessage() and record.exc_info for record in caplog.records)


def test_every_request_has_its_line_in_the_log(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "perceptio.access")
    client_of(engine, ANY_HOST).get("/v1/models/a%0d%0aINFO%20forged", headers={"Authorization": "Bearer hidden-key"})
    lines = [record.getMessage() for record in caplog.records if record.name == "perceptio.access"]
    assert len(lines) == 1
    assert " 404 " in lines[0]
    assert "\n" not in lines[0]
    assert "hidden-key" not in caplog.text


def test_large_requests_are_bounded_together(engine: Engine) -> None:
    busy = client_of(engine, ApiSettings(hosts=None, max_body_bytes=10_000, max_held_bytes=5_000))
    for _ in range(20):  # what was dealt with counts no longer
        assert busy.post("/v1/images", files={"image": picture_bytes()}).status_code == 200
    reply = busy.post("/v1/images", files={"image": bytes(8_000)})
    assert (reply.status_code, reply.json()["error"]["type"]) == (429, "rate_limit_error")
    assert int(reply.headers["Retry-After"]) >= 1


def hostile() -> dict[str, tuple[str, bytes]]:
    """Bodies whose every value would be an error, or an object in memory, with the code that answers them."""
    start, many = b'{"model": "nano", "messages": [', 150_000
    ones = b",".join([b"1"] * many)
    keys = b",".join(b'"%x": 1' % number for number in range(90_000))
    nested = b",".join([b"[" * 100 + b"]" * 100] * 3_000)
    return {
        "messages": ("invalid_value", start + ones + b"]}"),
        "parts": ("invalid_value", start + b'{"role": "user", "content": [' + ones + b"]}]}"),
        "points": ("invalid_value", start + b'], "perception": {"points": [' + ones + b"]}}"),
        "keys": ("invalid_value", start + b"], " + keys + b"}"),
        "metadata": ("invalid_value", start + b'], "metadata": {' + keys + b"}}"),
        "values": ("too_many_values", start + ones + b"," + ones + b"]}"),
        "nested": ("too_many_values", start + b'], "n": [' + nested + b"]}"),
    }


@pytest.mark.parametrize("name", hostile())
def test_many_wrong_values_are_one_error(client: TestClient, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    code, content = hostile()[name]
    gathered: list[int] = []

    def gather(error: ValidationError, body: bytes) -> ApiError:
        gathered.append(error.error_count())
        return invalid_request(error, body)

    monkeypatch.setattr(bodies, "invalid_request", gather)
    reply = client.post(CHAT, content=content, headers=JSON)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)
    if name in ("messages", "parts", "points"):
        assert gathered[0] < 10
    else:
        assert reply.json()["error"]["param"] is None


def test_many_values_of_a_form_are_too_many(client: TestClient) -> None:
    reply = client.post("/v1/perceive", files={"image": picture_bytes()}, data={"points": "[" + "1," * 200_001 + "1]"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "too_many_values")


@pytest.mark.parametrize("charset", ["punycode", "idna", "nonsense", "base64"])
def test_a_form_in_a_charset_of_no_form(client: TestClient, charset: str) -> None:
    content = b'--x\r\nContent-Disposition: form-data; name="x-!"\r\n\r\nx-!\r\n--x--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    for path in ("/v1/perceive", "/v1/images"):
        assert client.post(path, content=content, headers=kind).status_code == 400
