"""Pictures from web addresses: what only this machine can reach stays out of reach."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.remote import RemotePictures, is_public
from perceptio.serving.api.settings import ApiSettings
from perceptio.serving.engine import Engine

from .conftest import body, client_of, picture_bytes

PICTURE = picture_bytes(size=(33, 22))


class Web(BaseHTTPRequestHandler):
    """A small web on this machine."""

    def do_GET(self) -> None:
        match self.path.split("/")[1:]:
            case ["picture"]:
                self._answer(200, PICTURE)
            case ["to", *rest]:
                self._answer(302, b"", Location="/".join(rest))
            case ["nowhere"]:
                self._answer(302, b"")
            case ["loop"]:
                self._answer(302, b"", Location="/loop")
            case ["large"]:
                self._answer(200, bytes(50_000))
            case ["packed"]:
                self._answer(200, PICTURE, **{"Content-Encoding": "gzip"})
            case ["slow"]:
                self.send_response(200)
                self.end_headers()
                for _ in range(50):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.1)
            case _:
                self._answer(404, b"")

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is meant to
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


class Names:
    """Names that are resolved here, and the addresses that count as public."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        known = {
            "web.example": ["127.0.0.1"],
            "mixed.example": ["127.0.0.1", "10.0.0.1"],
            "inside.example": ["10.0.0.1"],
        }
        if host not in known:
            raise OSError("no such name")
        return known[host]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def remote(port: int, names: Names) -> RemotePictures:
    return RemotePictures(
        40_000, 0.8, ports={"http": port}, resolve=names.resolve, allowed=lambda address: address == "127.0.0.1"
    )


def fetch(remote: RemotePictures, url: str) -> bytes:
    return asyncio.run(remote.fetch(url))


def test_a_picture_comes_from_the_address_that_was_checked(remote: RemotePictures, names: Names, port: int) -> None:
    assert fetch(remote, f"http://web.example:{port}/picture") == PICTURE
    assert names.asked == ["web.example"]


def test_a_redirect_is_followed_and_checked_again(remote: RemotePictures, names: Names, port: int) -> None:
    assert fetch(remote, f"http://web.example:{port}/to//picture") == PICTURE
    assert names.asked == ["web.example"] * 2
    for target in (f"http://inside.example:{port}/picture", "file:///etc/passwd", "http://web.example:22/"):
        with pytest.raises(ApiError) as refused:
            fetch(remote, f"http://web.example:{port}/to/{target}")
        assert refused.value.status == 400


@pytest.mark.parametrize(
    "url",
    [
        "http://mixed.example:PORT/picture",
        "http://inside.example:PORT/picture",
        "http://unknown.example:PORT/picture",
        "http://web.example/picture",
        "http://web.example:22/picture",
        "http://me:secret@web.example:PORT/picture",
        "https://web.example:PORT/picture",
        "ftp://web.example:PORT/picture",
        "http://:PORT/picture",
        "http://[::1/picture",
        "http://web.example:PORT/loop",
        "http://web.example:PORT/missing",
        "http://web.example:PORT/nowhere",
        "http://web.example:PORT/to/http://h:abc/",
        "http://web.example:PORT/to/http://xn--a..b/",
        "http://web.example:PORT/large",
        "http://web.example:PORT/packed",
        "http://web.example:PORT/slow",
        "http://web.example:PORT/" + "x" * 3000,
    ],
)
def test_other_addresses_are_refused(remote: RemotePictures, port: int, url: str) -> None:
    with pytest.raises(ApiError) as refused:
        fetch(remote, url.replace("PORT", str(port)))
    assert (refused.value.status, refused.value.code) == (400, "invalid_image_url")
    assert "10.0.0.1" not in refused.value.message
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "localhost",
        "",
    ],
)
def test_addresses_that_are_not_of_the_public_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_server_does_not_ask_itself(engine: Engine, host: str) -> None:
    open_minded = client_of(engine, ApiSettings(hosts=None, remote_images=True))
    reply = open_minded.post("/v1/chat/completions", json=body(f"http://{host}/picture.png"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_image_url")


def test_pictures_from_the_web_are_off_by_default(engine: Engine) -> None:
    reply = client_of(engine).post("/v1/chat/completions", json=body("https://example.org/a.png"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "remote_images_off")


@pytest.mark.parametrize("target", ["https://\u00e4..b/", "http://h:abc/", "http://[::1/"])
def test_a_redirect_to_no_address(remote: RemotePictures, port: int, target: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(Web, "do_GET", lambda web: web._answer(302, b"", Location=target.encode().decode("latin-1")))
    with pytest.raises(ApiError) as refused:
        fetch(remote, f"http://web.example:{port}/")
    assert (refused.value.status, refused.value.code) == (400, "invalid_image_url")


@pytest.mark.parametrize("name", ["x" * 64 + ".example", "a..example", "." * 70])
def test_names_that_no_resolver_can_be_asked_for(name: str) -> None:
    with pytest.raises(ApiError) as refused:
        fetch(RemotePictures(40_000, 5), f"http://{name}/")
    assert (refused.value.status, refused.value.code) == (400, "invalid_image_url")


def test_a_name_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(20) and [])
    try:
        with pytest.raises(ApiError) as refused:
            fetch(RemotePictures(40_000, 0.1), "http://slow.example/")  # ends its loop, and the loop's own threads
        assert refused.value.status == 400
        assert not released.is_set()
        (lookup,) = [thread for thread in threading.enumerate() if thread.name == "perceptio-names"]
        assert lookup.daemon
    finally:
        released.set()
