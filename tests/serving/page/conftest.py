"""One engine with nano for all tests of the page, and what a visitor's browser sends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

import perceptio
from perceptio.pipeline import Perceptio
from perceptio.serving.engine import Engine
from perceptio.serving.page.handlers import Handlers
from perceptio.serving.page.talk import Talk

SAMPLE = Path(perceptio.__file__).parent / "assets" / "sample.png"
QUESTION = "Which is nearer, the brown pyramid or the green pyramid?"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Answers for all tests; none may close it."""
    with Engine(Perceptio.from_pretrained("nano", device="cpu")) as started:
        yield started


@pytest.fixture(scope="session")
def handlers(engine: Engine) -> Handlers:
    return Handlers(engine)


@pytest.fixture
def talk(handlers: Handlers) -> Talk:
    """A visitor who has chosen the sample picture."""
    talk = Talk()
    handlers.take(talk, SAMPLE.read_bytes())
    return talk


@pytest.fixture(scope="session")
def answered(handlers: Handlers) -> Talk:
    """A visitor who has the answer to `QUESTION`, with masks and depth; only to be looked at."""
    talk = Talk()
    handlers.take(talk, SAMPLE.read_bytes())
    all_of(handlers.ask(talk, QUESTION, "on", "on", False))
    return talk


def all_of(steps: AsyncGenerator[Any, None]) -> list[Any]:
    """All that a handler yields."""

    async def collect() -> list[Any]:
        return [step async for step in steps]

    return asyncio.run(collect())


def event(**data: Any) -> gr.EventData:
    """What the browser tells."""
    return gr.EventData(None, data)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
