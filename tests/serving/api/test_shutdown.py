"""The end of a server: requests that were accepted are answered; the process ends well, and soon."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import Request

from perceptio.serving.api import server
from perceptio.serving.api.server import GentleServer, bind
from perceptio.serving.api.service import Service
from perceptio.serving.engine import Engine

from .conftest import ANY_HOST, SAMPLE, body, wait_until

CHAT = "/v1/chat/completions"
SHORT = {"perception": {"masks": "off", "depth": "off"}, "max_tokens": 4}


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-c",
        "from perceptio.cli import main; main()",
        "serve",
        "--port",
        "0",
        "--device",
        "cpu",
    ]
    variables = {name: value for name, value in os.environ.items() if name != "PERCEPTIO_API_KEY"}
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)
    yield started
    started.kill()
    started.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    """Of a server, once it is ready."""
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"serving nano at (http://127\.0\.0\.1:\d+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise AssertionError("the server has ended")


class Clients:
    """Clients that ask until nobody listens any more, half of them for streams."""

    def __init__(self, url: str, image: str) -> None:
        self.url, self.image = url, image
        self.counts: Counter[str] = Counter()
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(8)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self, stream: bool) -> None:
        request = body(self.image, stream=stream, **SHORT)
        with httpx2.Client(timeout=60) as client:
            while True:
                try:
                    reply = client.post(self.url + CHAT, json=request)
                except httpx2.ConnectError:  # nobody listens: the request was not accepted
                    return
                except httpx2.HTTPError as error:
                    self.lost.append(repr(error))
                    return
                whole = reply.text.rstrip().endswith("data: [DONE]") if stream else bool(json.loads(reply.text))
                self.counts["answered" if reply.status_code == 200 and whole else f"{reply.status_code}"] += 1


@pytest.mark.parametrize("sent", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_accepted_requests_are_answered(process: subprocess.Popen[str], sent: signal.Signals) -> None:
    url = address_of(process)
    image = httpx2.post(f"{url}/v1/images", files={"image": SAMPLE.read_bytes()}).json()["id"]
    clients = Clients(url, image)
    assert wait_until(lambda: clients.counts["answered"] >= 16, 60)
    process.send_signal(sent)
    assert process.wait(timeout=30) == 0
    clients.join()
    assert clients.lost == []
    assert set(clients.counts) == {"answered"}


@pytest.mark.parametrize("asked", [True, False])
def test_answers_that_are_cut_off_are_counted(
    engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    async def never(request: Request) -> None:
        await asyncio.Event().wait()

    servers: list[GentleServer] = []

    class Kept(GentleServer):
        def __init__(self, service: Service, grace_s: float) -> None:
            super().__init__(service, grace_s)
            self.config.app.add_api_route("/never", never)  # type: ignore[union-attr]
            servers.append(self)

    service = Service(ANY_HOST, engine)
    monkeypatch.setattr(server, "GentleServer", Kept)
    monkeypatch.setattr(service, "load", lambda make, done: done())
    monkeypatch.setattr(service, "close", lambda grace_s: None)  # the engine is everybody's
    caplog.set_level("INFO", "perceptio.server")
    with bind("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        run = threading.Thread(target=server.serve, args=(service, lambda: engine, listener, 1.0, "serving %s"))
        run.start()
        assert wait_until(lambda: servers and servers[0].started)
        with socket.create_connection(address) as connection:
            assert wait_until(lambda: servers[0].server_state.connections)
            if asked:
                connection.sendall(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
                assert wait_until(lambda: servers[0].server_state.tasks)
            servers[0].should_exit = True
            run.join()
    assert servers[0].cut_off == asked
    assert [record.levelname for record in caplog.records][-1] == ("WARNING" if asked else "INFO")
