"""Clients that go, servers that are full, and answers that do not come in time; all on this machine."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from perceptio.pipeline import Perceptio
from perceptio.serving.api import slow_clients
from perceptio.serving.engine import Engine, EngineSettings

from .conftest import SAMPLE, body, messages, serving, wait_until

CHAT = "/v1/chat/completions"
SHORT = {"perception": {"masks": "off", "depth": "off"}}
LONG = {"perception": {"masks": "on", "depth": "on"}}


def given_up(url: str) -> float:
    """How many queries were cancelled."""
    lines = httpx2.get(f"{url}/metrics").text.split("\n")
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith('perceptio_given_up_total{reason="cancelled"')
    )


def raw_request(url: str, content: bytes) -> socket.socket:
    """A connection on which a chat completion was asked for."""
    connection = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=20)
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


def test_a_client_that_goes_in_mid_stream_frees_its_place(engine: Engine, sample_id: str) -> None:
    with serving(engine) as url:
        with raw_request(url, json.dumps(body(sample_id, stream=True, **LONG)).encode()) as connection:
            assert connection.recv(10).startswith(b"HTTP/1.1 2")  # after the first event
        assert wait_until(lambda: engine.workload().running == 0)
        assert wait_until(lambda: given_up(url) == 1)


def test_a_client_that_does_not_wait_frees_its_place(engine: Engine, sample_id: str) -> None:
    with serving(engine) as url:
        with raw_request(url, json.dumps(body(sample_id, **LONG)).encode()):
            assert wait_until(lambda: engine.workload().running + engine.workload().waiting == 1)
        assert wait_until(lambda: engine.workload().running + engine.workload().waiting == 0)
        assert wait_until(lambda: given_up(url) == 1)
        log = httpx2.get(f"{url}/metrics").text
        assert 'status="499"' in log


def test_a_full_server_says_when_to_come_again(nano: Perceptio) -> None:
    with Engine(nano, EngineSettings(batch_size=1, queue_size=1)) as narrow, serving(narrow) as url:
        image = narrow.add_picture(SAMPLE.read_bytes()).id

        def ask(stream: bool) -> httpx2.Response:
            return httpx2.post(url + CHAT, json=body(image, stream=stream, **SHORT), timeout=30)

        with ThreadPoolExecutor(8) as askers:
            replies = list(askers.map(ask, [True, False] * 4))
        statuses = Counter(reply.status_code for reply in replies)
        assert set(statuses) == {200, 429}
        refusal = next(reply for reply in replies if reply.status_code == 429)
        assert int(refusal.headers["Retry-After"]) >= 1
        assert refusal.json()["error"]["type"] == "rate_limit_error"
        asker = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        assert asker.chat.completions.create(model="nano", messages=messages(image), max_tokens=4).choices


def test_an_answer_that_does_not_come_in_time(nano: Perceptio) -> None:
    with Engine(nano, EngineSettings(deadline_s=0.01)) as hurried, serving(hurried) as url:
        image = hurried.add_picture(SAMPLE.read_bytes()).id
        for stream in (False, True):
            reply = httpx2.post(url + CHAT, json=body(image, stream=stream, **LONG), timeout=30)
            assert (reply.status_code, reply.json()["error"]["code"]) == (504, "deadline_exceeded")


def test_a_stream_that_breaks_off_says_why(nano: Perceptio) -> None:
    engine = Engine(nano, EngineSettings())
    engine.start()
    with serving(engine) as url:
        image = engine.add_picture(SAMPLE.read_bytes()).id
        asker = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
        stream = asker.chat.completions.create(model="nano", messages=messages(image), stream=True, extra_body=LONG)
        next(iter(stream))
        engine.close(grace_s=0)
        with pytest.raises(openai.APIError) as broken:
            list(stream)
        assert broken.value.code == "closing"
        with pytest.raises(openai.InternalServerError) as closed:
            asker.chat.completions.create(model="nano", messages=messages(image))
        assert closed.value.status_code == 503


def test_a_head_that_does_not_come_is_not_waited_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "HEAD_SECONDS", 0.3)
    with serving(engine) as url:
        for begun in (b"", b"GET /healthz HT"):
            with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as connection:
                connection.sendall(begun)
                assert connection.recv(10) == b""  # closed
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        slow = httpx2.get(f"{url}/healthz")
        assert slow.status_code == 200


def test_a_client_that_does_not_read_is_not_waited_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "STILL_SECONDS", 0.2)
    lost = threading.Event()
    connection_lost = slow_clients.ImpatientProtocol.connection_lost

    def note(protocol: slow_clients.ImpatientProtocol, error: Exception | None) -> None:
        connection_lost(protocol, error)
        lost.set()

    with serving(engine) as url, socket.socket() as connection:
        monkeypatch.setattr(slow_clients.ImpatientProtocol, "connection_lost", note)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((urlsplit(url).hostname, urlsplit(url).port))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 400)
        assert lost.wait(10)


def test_a_client_that_reads_slowly_is_served(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "STILL_SECONDS", 0.2)
    wanted, got = 200, b""
    with serving(engine) as url, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(10)
        connection.connect((urlsplit(url).hostname, urlsplit(url).port))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * wanted)
        while got.count(b"HTTP/1.1 200") < wanted:
            more = connection.recv(1_000_000)
            assert more
            got += more
            time.sleep(0.005)
