"""`/v1/chat/completions`, which OpenAI's clients speak."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request
from sse_starlette.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from perceptio.decoding.events import TextDelta
from perceptio.serving.api.answering import begun, make_query, whole_answer
from perceptio.serving.api.bodies import JSON_TYPE, documented_body, read_json
from perceptio.serving.api.chunks import Chunks
from perceptio.serving.api.conversation import Conversation, read_conversation
from perceptio.serving.api.encoding import check_depth_form, depth_object, mask_objects, usage_object
from perceptio.serving.api.errors import ApiError, as_api_error, documented, internal_error
from perceptio.serving.api.models import check_model
from perceptio.serving.api.parameters import ignored_fields, refuse_impossible, stops, token_limit
from perceptio.serving.api.schemas.chat_reply import ChatCompletion, ChatCompletionChunk, Choice, Message
from perceptio.serving.api.schemas.chat_request import ChatRequest
from perceptio.serving.api.schemas.perception import Perceived, Perception
from perceptio.serving.api.service import Service, service_of
from perceptio.serving.api.sources import find_picture
from perceptio.serving.engine import EngineEvent, Finished, Query, StoredPicture

_PING, _SLOWEST = 15, 30.0  # seconds between comments that keep a stream open; seconds that a reader may stand still
_WITHIN = "perception."  # the field of what is wanted beside words
_STREAM_TYPE = "text/event-stream"

router = APIRouter(tags=["chat"])


@dataclass(frozen=True)
class _Asked:
    """A request that can be answered."""

    query: Query
    perception: Perception
    ignored: list[str]
    model: str

    @property
    def picture(self) -> StoredPicture:
        return self.query.picture


@router.post(
    "/v1/chat/completions",
    summary="Ask about a picture as with OpenAI's API",
    response_model=ChatCompletion,
    responses={
        200: {
            "description": "The answer. Where stream is true, lines `data: ` and a ChatCompletionChunk, then `[DONE]`.",
            "content": {_STREAM_TYPE: {"schema": {"type": "string"}}},
        },
        **documented(400, 401, 403, 404, 408, 413, 415, 429, 500, 503, 504),
    },
    openapi_extra=documented_body({JSON_TYPE: ChatRequest}),
)
async def complete(request: Request) -> Response:
    """A conversation about one picture in, the next answer out, with masks and depth in `perceptio`.

    With `stream: true`, `data:` lines of chunks follow: first the role, then masks, the depth map and words as they
    come, at last the reason of the end, and `[DONE]`.
    """
    service = service_of(request)
    asked = await read_json(request, ChatRequest)
    prepared = await _prepare(service, asked)
    if not asked.stream:
        finished = await whole_answer(service, request, prepared.query)
        content = await run_in_threadpool(_completion, service, prepared, finished)
        return Response(content, media_type=JSON_TYPE)
    first, events = await begun(service, request, prepared.query)
    template = _chunk_template(service, prepared)
    include_usage = bool(asked.stream_options and asked.stream_options.include_usage)
    if include_usage:
        template.usage = None  # said, not left out
    chunks = Chunks(template, prepared.perception, prepared.picture.id, prepared.ignored, include_usage)
    lines = _lines(chunks, first, events, request.state.request_id)
    return EventSourceResponse(lines, ping=_PING, sep="\n", send_timeout=_SLOWEST)


async def _prepare(service: Service, asked: ChatRequest) -> _Asked:
    check_model(service, asked.model)
    refuse_impossible(asked)
    conversation = read_conversation(asked.messages)
    picture = await _the_picture(service, conversation)
    check_depth_form(asked.perception, picture, _WITHIN)
    query = make_query(
        picture, conversation.prompt, conversation.history, asked.perception, token_limit(asked), stops(asked), _WITHIN
    )
    ignored = [*ignored_fields(asked), *conversation.ignored]
    return _Asked(query, asked.perception, ignored, service.model_name)


async def _the_picture(service: Service, conversation: Conversation) -> StoredPicture:
    """The one picture of a conversation."""
    found = [await find_picture(service, source, param) for source, param in conversation.pictures.items()]
    for other, param in zip(found[1:], list(conversation.pictures.values())[1:], strict=True):
        if other.id != found[0].id:
            raise ApiError(400, "a conversation is about one picture, and this is another", "too_many_images", param)
    return found[0]


def _chunk_template(service: Service, asked: _Asked) -> ChatCompletionChunk:
    """What all chunks of an answer share."""
    return ChatCompletionChunk(
        id=_new_id(), created=int(time.time()), model=asked.model, choices=[], system_fingerprint=service.fingerprint
    )


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(16)}"


def _completion(service: Service, asked: _Asked, finished: Finished) -> str:
    """The whole answer in JSON."""
    answer, perception = finished.answer, asked.perception
    perceived = Perceived(
        image_id=asked.picture.id,
        masks=mask_objects(answer.masks, perception.mask_form),
        clicked=mask_objects(finished.clicked, perception.mask_form),
        depth=None if answer.depth is None else depth_object(answer.depth, perception.depth_format),
        absent=answer.trace.no_target,
        timings_ms=finished.timings_ms,
        ignored=asked.ignored,
    )
    choice = Choice(message=Message(content=answer.text, perceptio=perceived), finish_reason=finished.reason)
    return ChatCompletion(
        id=_new_id(),
        created=int(time.time()),
        model=asked.model,
        choices=[choice],
        usage=usage_object(finished),
        system_fingerprint=service.fingerprint,
    ).model_dump_json()


async def _lines(
    chunks: Chunks, first: EngineEvent, others: AsyncGenerator[EngineEvent], request_id: str
) -> AsyncGenerator[dict[str, str]]:
    """The events of a stream."""
    async with aclosing(others):
        try:
            yield {"data": chunks.first()}
            for chunk in await _chunks(chunks, first):
                yield {"data": chunk}
            async for event in others:
                for chunk in await _chunks(chunks, event):
                    yield {"data": chunk}
        except Exception as error:
            refusal = as_api_error(error)
            if refusal is None:
                logging.getLogger("perceptio.errors").exception("%s failed", request_id)
                refusal = internal_error(request_id)
            yield {"data": json.dumps(refusal.body)}
            return
        yield {"data": "[DONE]"}


async def _chunks(chunks: Chunks, event: EngineEvent) -> list[str]:
    return chunks.of(event) if isinstance(event, TextDelta) else await run_in_threadpool(chunks.of, event)
