"""From a checked request to the engine's events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from fastapi import Request

from perceptio.serving.api.connection import while_connected
from perceptio.serving.api.errors import ApiError, as_api_error
from perceptio.serving.api.schemas.perception import Perception
from perceptio.serving.api.service import Service
from perceptio.serving.engine import EngineEvent, Finished, Query, StoredPicture
from perceptio.tokens import Switch

T = TypeVar("T")


def make_query(
    picture: StoredPicture,
    prompt: str | None,
    history: tuple[tuple[str, str], ...],
    perception: Perception,
    max_tokens: int | None,
    stop: tuple[str, ...],
    within: str = "",
) -> Query:
    """A question to the engine. Where only something is clicked or boxed there are no words to ask with.

    Args:
        picture: it is about.
        prompt: the question.
        history: earlier questions and answers.
        perception: what is wanted beside words.
        max_tokens: of the answer at most.
        stop: texts that end it.
        within: the field of the request that holds `perception`, with a dot; for errors.

    Raises:
        ApiError: 400 if masks or depth are on then, which need a question.
    """
    alone = perception.clicks and not (prompt or "").strip()
    for part in ("masks", "depth"):
        if alone and getattr(perception, part) == "on":
            reason = f"{part} can be on where there is a question: add one, or leave {part} out"
            raise ApiError(400, reason, "invalid_value", within + part)
    return Query(
        picture=picture,
        prompt=None if alone else prompt or "",
        history=history,
        seg=Switch(perception.masks),
        depth=Switch(perception.depth),
        max_new_tokens=max_tokens,
        stop=stop,
        points=perception.points,
        labels=perception.labels,
        boxes=perception.boxes,
    )


async def whole_answer(service: Service, request: Request, query: Query) -> Finished:
    """The answer to a query.

    Raises:
        ApiError: if there is none.
        ClientGoneError: if nobody waits for it any more.
    """

    async def last() -> Finished:
        async with aclosing(service.engine.stream(query)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event
        raise AssertionError("a stream ends with Finished")

    return await while_connected(request, refusing(last()))


async def begun(service: Service, request: Request, query: Query) -> tuple[EngineEvent, AsyncGenerator[EngineEvent]]:
    """The first event of the answer to a query, with which it is certain to be answered, and the stream of the others.

    Raises:
        ApiError, ClientGoneError: as `whole_answer`.
    """
    events = service.engine.stream(query)
    try:
        return await while_connected(request, refusing(anext(events))), events
    except BaseException:
        await events.aclose()
        raise


async def refusing(work: Awaitable[T]) -> T:
    """What comes of work with the engine, its errors as refusals.

    Raises:
        ApiError: in the words of the API.
    """
    try:
        return await work
    except Exception as error:
        refusal = as_api_error(error)
        if refusal is None:
            raise
        refusal.message = refusal.message.replace("max_new_tokens", "max_tokens")
        raise refusal from error
