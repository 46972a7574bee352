"""One engine with nano for all tests of the page, and what a visitor's browser sends."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

import perceptio
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.serving.engine import Engine, Finished, Query
from perceptio.serving.page.handlers import Handlers
from perceptio.serving.page.talk import Talk
from perceptio.tokens import Switch

SAMPLE = Path(perceptio.__file__).parent / "assets" / "sample.png"
QUESTION = "Which is nearer, the brown pyramid or the green pyramid?"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Answers for all tests; none may close it."""
    with Engine(Perceptio.from_pretrained("nano", device="cpu")) as started:
        yield started


@pytest.fixture(scope="session")
def handlers(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Handlers:
    return Handlers(engine, tmp_path_factory.mktemp("files"))


@pytest.fixture
def talk(handlers: Handlers) -> Talk:
    """A visitor who has chosen the sample picture."""
    talk = Talk()
    handlers.take(talk, SAMPLE.read_bytes())
    return talk


@pytest.fixture(scope="session")
def answer(engine: Engine) -> Answer:
    """To `QUESTION`, with masks and depth; only to be looked at."""
    query = Query(engine.add_picture(SAMPLE.read_bytes()), QUESTION, seg=Switch.ON, depth=Switch.ON)
    finished = all_of(engine.stream(query))[-1]
    assert isinstance(finished, Finished)
    return finished.answer


def all_of(steps: AsyncGenerator[Any, None]) -> list[Any]:
    """All that a handler yields."""

    async def collect() -> list[Any]:
        return [step async for step in steps]

    return asyncio.run(collect())


def event(**data: Any) -> gr.EventData:
    """What the browser tells."""
    return gr.EventData(None, data)


def png(width: int, height: int, color: int = 0) -> bytes:
    """The file of a picture in one colour, 0 or 1."""
    buffer = io.BytesIO()
    Image.new("1", (width, height), color).save(buffer, format="PNG")
    return buffer.getvalue()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
