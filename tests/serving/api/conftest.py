"""One engine with nano for all tests of the server, and ways to ask it."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

import perceptio
from perceptio.pipeline import Perceptio
from perceptio.serving.api.app import create_app
from perceptio.serving.api.server import GentleServer, bind
from perceptio.serving.api.service import Service
from perceptio.serving.api.settings import ApiSettings
from perceptio.serving.engine import Engine, EngineSettings

SAMPLE = Path(perceptio.__file__).parent / "assets" / "sample.png"
QUESTION = "Which is nearer, the brown pyramid or the green pyramid?"
ANY_HOST = replace(ApiSettings(), hosts=None)


@pytest.fixture(scope="session")
def nano() -> Perceptio:
    return Perceptio.from_pretrained("nano", device="cpu")


@pytest.fixture(scope="session")
def engine(nano: Perceptio) -> Iterator[Engine]:
    """Answers for all tests; none may close it."""
    with Engine(nano, EngineSettings(batch_size=8, pictures=256)) as started:
        yield started


@pytest.fixture(scope="session")
def client(engine: Engine) -> TestClient:
    """Asks the application without a network."""
    return client_of(engine)


@pytest.fixture(scope="session")
def address(engine: Engine) -> Iterator[str]:
    """Of a server on this machine."""
    with serving(engine) as url:
        yield url


@pytest.fixture(scope="session")
def sample_url() -> str:
    """The sample picture as a data URL."""
    return data_url(SAMPLE.read_bytes())


@pytest.fixture
def sample_id(engine: Engine) -> str:
    """The sample picture, uploaded."""
    return engine.add_picture(SAMPLE.read_bytes()).id


@contextmanager
def serving(engine: Engine, settings: ApiSettings = ANY_HOST) -> Iterator[str]:
    """A server on this machine, and its address."""
    with bind("127.0.0.1", 0) as listener:
        server = GentleServer(Service(settings, engine), grace_s=5)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def client_of(engine: Engine | None, settings: ApiSettings = ANY_HOST) -> TestClient:
    """Asks an application of its own settings."""
    return TestClient(create_app(Service(settings, engine)))


def wait_until(condition: Any, seconds: float = 10) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def picture_bytes(kind: str = "PNG", size: tuple[int, int] = (64, 48), color: str = "teal") -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind)
    return buffer.getvalue()


def data_url(content: bytes) -> str:
    """A picture as OpenAI's clients send it."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def messages(image: str, text: str = QUESTION) -> list[dict[str, Any]]:
    """A question about a picture."""
    content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": image}}]
    return [{"role": "user", "content": content}]


def body(image: str, text: str = QUESTION, **others: Any) -> dict[str, Any]:
    """Of a chat completion."""
    return {"model": "nano", "messages": messages(image, text), **others}
