"""`/v1/perceive`: one picture and one question, as JSON or as a form, with a typed answer."""

from __future__ import annotations

import secrets
import time

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from perceptio.serving.api.answering import make_query, whole_answer
from perceptio.serving.api.bodies import (
    FORM_TYPE,
    JSON_TYPE,
    documented_body,
    form_object,
    form_schema,
    media_type,
    read_form,
    read_json,
)
from perceptio.serving.api.encoding import check_depth_form, depth_object, mask_objects, usage_object
from perceptio.serving.api.errors import ApiError, documented
from perceptio.serving.api.schemas.perceive import PerceiveReply, PerceiveRequest, Question
from perceptio.serving.api.service import Service, service_of
from perceptio.serving.api.sources import find_picture, store
from perceptio.serving.engine import Finished, StoredPicture

_TEXTS = ("prompt", "masks", "depth", "return", "depth_format")

router = APIRouter(tags=["perceive"])


@router.post(
    "/v1/perceive",
    summary="Masks, depth and an answer of one picture",
    response_model=PerceiveReply,
    responses=documented(400, 401, 403, 404, 408, 413, 415, 429, 500, 503, 504),
    openapi_extra=documented_body(
        {JSON_TYPE: PerceiveRequest, FORM_TYPE: form_schema(PerceiveRequest, "image", _TEXTS)}
    ),
)
async def perceive(request: Request) -> Response:
    """Ask a question about a picture, click on it or draw boxes, or all of that."""
    service = service_of(request)
    question, picture = await _read(service, request)
    check_depth_form(question, picture)
    history = tuple((turn.question, turn.answer) for turn in question.history)
    query = make_query(picture, question.prompt, history, question, question.max_tokens, tuple(question.stop))
    finished = await whole_answer(service, request, query)
    content = await run_in_threadpool(_reply, service, picture, question, finished)
    return Response(content, media_type=JSON_TYPE)


async def _read(service: Service, request: Request) -> tuple[Question, StoredPicture]:
    """The question and its picture."""
    if media_type(request) != FORM_TYPE:
        asked = await read_json(request, PerceiveRequest)
        return asked, await find_picture(service, asked.image, "image")
    form = await read_form(request, "image")
    named = form.fields.pop("image", None)
    question = form_object(Question, form.fields, _TEXTS)
    if (named is None) == (form.file is None):
        raise ApiError(400, "send one image: a file, or the text that names one", "invalid_value", "image")
    if form.file is not None:
        return question, await store(service, form.file)
    return question, await find_picture(service, named or "", "image")


def _reply(service: Service, picture: StoredPicture, question: Question, finished: Finished) -> str:
    """The answer in JSON."""
    answer = finished.answer
    width, height = picture.size
    return PerceiveReply(
        id=f"perception-{secrets.token_hex(16)}",
        created=int(time.time()),
        model=service.model_name,
        image_id=picture.id,
        width=width,
        height=height,
        text=answer.text,
        masks=mask_objects(answer.masks, question.mask_form),
        clicked=mask_objects(finished.clicked, question.mask_form),
        depth=None if answer.depth is None else depth_object(answer.depth, question.depth_format),
        absent=answer.trace.no_target,
        finish_reason=finished.reason,
        usage=usage_object(finished),
        timings_ms=finished.timings_ms,
    ).model_dump_json()
