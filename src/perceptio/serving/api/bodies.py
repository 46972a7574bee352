"""Requests as JSON or as a form, read into one typed object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from perceptio.serving.api.errors import ApiError, invalid_request
from perceptio.serving.api.schemas.base import Request as Strict

M = TypeVar("M", bound=Strict)

JSON_TYPE, FORM_TYPE = "application/json", "multipart/form-data"
_MOST_FIELDS = 32
_MOST_VALUES = 200_000  # of JSON: each costs far more memory and time than its bytes
_LARGE = 64_000  # bytes of a body that another thread reads
_REFS = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Form:
    """A form."""

    file: bytes | None  # the picture, where one was uploaded
    fields: dict[str, str]


def media_type(request: Request) -> str:
    """What the body is said to be, in small letters and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, model: type[M]) -> M:
    """A JSON body.

    Raises:
        ApiError: 415 if it does not say that it is JSON, as scripts of other pages must not; 400 with what is wrong.
    """
    if media_type(request) != JSON_TYPE:
        raise ApiError(415, f"the body must be JSON: send Content-Type: {JSON_TYPE}", "unsupported_media_type")
    body = await request.body()
    if len(body) < _LARGE:
        return parse(model, body)
    return await run_in_threadpool(parse, model, body)


def parse(model: type[M], body: bytes) -> M:
    """An object from its JSON text.

    Raises:
        ApiError: 400 with what is wrong.
    """
    _check_size(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request(error, body) from error


def _check_size(*texts: bytes) -> None:
    """Refuse JSON of so many values that reading it would hold up the others."""
    if sum(text.count(sign) for text in texts for sign in (b",", b":", b"[", b"{")) > _MOST_VALUES:
        raise ApiError(400, f"the body has more than {_MOST_VALUES} JSON values, the limit here", "too_many_values")


async def read_form(request: Request, file_field: str) -> Form:
    """A form with at most one file, whose field is `file_field`.

    Raises:
        ApiError: 400 with what is wrong.
    """
    file: bytes | None = None
    fields: dict[str, str] = {}
    limit = request.app.state.service.settings.max_body_bytes
    try:
        async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=limit) as form:
            for name, value in form.multi_items():
                if name in fields or (name == file_field and file is not None):
                    raise ApiError(400, f"the field {name} stands twice", "invalid_value", name)
                if isinstance(value, UploadFile):
                    if name != file_field:
                        raise ApiError(400, f"a file must be the field {file_field}", "unknown_parameter", name)
                    file = await value.read()
                else:
                    fields[name] = value
    except UnicodeError as error:  # of a charset that the form names
        raise ApiError(400, "the form cannot be read in the charset it names: leave it out", "invalid_form") from error
    return Form(file, fields)


def form_object(model: type[M], fields: dict[str, str], texts: Iterable[str]) -> M:
    """The object that the fields of a form make; all but `texts` are JSON values.

    Raises:
        ApiError: 400 with what is wrong.
    """
    texts, values = set(texts), {}
    known = {field.alias or name for name, field in model.model_fields.items()}
    unknown = next((name for name in fields if name not in known), None)
    if unknown is not None:
        raise ApiError(400, f"unknown field: {unknown}", "unknown_parameter", unknown)
    _check_size(*(text.encode(errors="replace") for name, text in fields.items() if name not in texts))
    for name, text in fields.items():
        try:
            values[name] = text if name in texts else from_json(text, allow_inf_nan=False)
        except ValueError as error:
            raise ApiError(400, f"the field {name} must be a JSON value", "invalid_json", name) from error
    return parse(model, json.dumps(values).encode())


def documented_body(contents: dict[str, type[BaseModel] | dict[str, Any]]) -> dict[str, Any]:
    """A route's body, documented: by media type a model, whose definition `definitions` gives, or a schema."""
    content = {
        kind: {"schema": schema if isinstance(schema, dict) else {"$ref": _REFS.format(model=schema.__name__)}}
        for kind, schema in contents.items()
    }
    return {"requestBody": {"required": True, "content": content}}


def definitions(*models: type[BaseModel]) -> dict[str, Any]:
    """The schemas of request models, by name."""
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_REFS)
    return dict(found["$defs"])


def form_schema(model: type[BaseModel], file_field: str, texts: Iterable[str]) -> dict[str, Any]:
    """The schema of a form for a model's fields and a file, or the text that names one."""
    inside = model.model_json_schema(ref_template=_REFS)["properties"]
    texts = set(texts)
    fields = {}
    for name, each in inside.items():
        if name == file_field:
            continue
        as_json = "" if name in texts else "JSON. "
        fields[name] = {"type": "string", "description": as_json + each.get("description", "")}
        if "enum" in each:
            fields[name]["enum"] = each["enum"]
    picture = {"type": "string", "format": "binary", "description": "The picture's file, or text that names one."}
    return {
        "type": "object",
        "properties": {file_field: picture, **fields},
        "required": [file_field],
        "additionalProperties": False,
    }
