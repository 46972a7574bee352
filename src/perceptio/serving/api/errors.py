"""What goes wrong, as OpenAI's error objects with OpenAI's status codes; never a path, a key or a traceback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from perceptio.images import ImageError
from perceptio.serving.api.schemas.errors import ErrorReply
from perceptio.serving.engine import ClosingError, DeadlineError, EngineError, QueueFullError, UnknownPictureError

_MOST_ERRORS = 100
_TAGS = ("role", "type")  # fields that tell alternatives apart
_LONGEST = 400  # characters of a message, which may repeat what was sent

INVALID, SERVER = "invalid_request_error", "server_error"
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 415: "unsupported_media_type"}


class ApiError(Exception):
    """A refusal.

    Args:
        status: of HTTP.
        message: one sentence.
        code: a word for programs.
        param: the field that is wrong.
        headers: of the reply, beside the usual ones.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = dict(headers or {})

    @property
    def kind(self) -> str:
        """OpenAI's `type`."""
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return "rate_limit_error"
        return INVALID if self.status < 500 else SERVER

    @property
    def body(self) -> dict[str, Any]:
        """The error object."""
        message = self.message if len(self.message) <= _LONGEST else self.message[: _LONGEST - 3] + "..."
        message = message.encode(errors="replace").decode()
        return {"error": {"message": message, "type": self.kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> Response:
        """The reply."""
        return Response(json.dumps(self.body), self.status, self.headers, "application/json")


def internal_error(request_id: str) -> ApiError:
    """What a client hears of our own mistakes; the log has the rest under the same id."""
    return ApiError(500, f"the server failed; its log says more under the id {request_id}", "internal_error")


def as_api_error(error: Exception) -> ApiError | None:
    """The refusal that an error of the engine or of a picture comes to; None of a mistake of our own."""
    match error:
        case ApiError():
            return error
        case QueueFullError():
            seconds = str(error.retry_after_s)
            return ApiError(429, str(error), "rate_limit_exceeded", headers={"Retry-After": seconds})
        case ClosingError():
            return ApiError(503, str(error), "closing", headers={"Retry-After": "5"})
        case DeadlineError():
            return ApiError(504, str(error), "deadline_exceeded")
        case EngineError():
            return ApiError(500, str(error), "model_error")
        case UnknownPictureError():
            return ApiError(404, str(error), "image_not_found")
        case ImageError():
            return ApiError(400, str(error), "invalid_image")
        case ValueError() | TypeError():
            return ApiError(400, str(error), "invalid_value")
    return None


def invalid_request(error: ValidationError, body: bytes) -> ApiError:
    """What is wrong with a request's fields: of alternatives that none fit, what came farthest."""
    if error.error_count() > _MOST_ERRORS:  # each would be copied, with its way
        return ApiError(400, f"the body has {error.error_count()} fields that are wrong", "invalid_value")
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    value = _value(body)
    ways = [_way(each["loc"], value) for each in errors]
    deepest = max(range(len(errors)), key=lambda place: len(ways[place]))  # the first of equals
    first, param = errors[deepest], ".".join(ways[deepest])[:200] or None
    match first["type"]:
        case "json_invalid":
            return ApiError(400, f"the body is no JSON that can be read: {first['msg']}", "invalid_json")
        case "extra_forbidden":
            return ApiError(400, f"unknown field: {param}", "unknown_parameter", param)
        case "missing":
            return ApiError(400, f"missing field: {param}", "missing_required_parameter", param)
    return ApiError(400, f"{param or 'the body'}: {first['msg']}", "invalid_value", param)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals that a route may give, for its documentation."""
    return {status: {"model": ErrorReply, "description": HTTPStatus(status).phrase} for status in sorted(statuses)}


def install_handlers(app: FastAPI) -> None:
    """Let every refusal of an application be an error object."""

    async def refuse(request: Request, error: Exception) -> Response:
        refusal = as_api_error(error)
        if refusal is None:
            raise error
        return refusal.response

    async def refuse_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "invalid_request")
        return ApiError(error.status_code, str(error.detail), code, headers=error.headers).response

    for kind in (ApiError, QueueFullError, ClosingError, DeadlineError, EngineError, ImageError, UnknownPictureError):
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(HTTPException, refuse_http)


def _value(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        return None


def _way(location: tuple[int | str, ...], value: Any) -> list[str]:
    """The way to a field in a JSON value, without the names of alternatives that pydantic puts in between."""
    way: list[str] = []
    tagged: Any = None  # whose tag was passed by
    for place, step in enumerate(location):
        last = place == len(location) - 1
        if not last and isinstance(value, dict) and value is not tagged and step in map(value.get, _TAGS):
            tagged = value  # its tag may be the name of a field too
            continue
        inside = isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
        if inside or (isinstance(value, dict) and step in value):
            value = value[step]
            way.append(str(step))
        elif last and isinstance(value, dict) and isinstance(step, str):  # the one that is missing
            way.append(step)
    return way
