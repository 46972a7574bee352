"""/openapi.json, and requests that are made from it: none may break the server or surprise a client."""

from __future__ import annotations

import random
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.testclient import TestClient

from perceptio.serving.engine import Engine

from .conftest import SAMPLE, client_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@pytest.fixture(scope="module")
def described(engine: Engine) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", client_of(engine).app)


def hold(described: Any, engine: Engine, examples: int) -> None:
    """Send so many requests to every operation that fit its description, and so many that do not."""
    for operation in (found.ok() for found in described.get_all_operations()):
        send(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), examples, engine)
        try:
            send(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), examples, None)
        except Unsatisfiable:  # nothing can be wrong where nothing is asked for
            assert operation.method != "post"


def send(cases: Any, examples: int, engine: Engine | None) -> None:
    """Send requests; with an engine, sensible ones."""

    @given(case=cases)
    @settings(max_examples=examples, **QUIET)
    def one(case: schemathesis.Case) -> None:
        if engine is not None:
            make_sensible(case, engine)
        form = case.media_type == "multipart/form-data"  # where null and numbers become texts, which may be right ones
        case.call_and_validate(checks=[check for check in CHECKS if not (form and check is negative_data_rejection)])

    one()


def make_sensible(case: schemathesis.Case, engine: Engine) -> None:
    """Let three requests of four name the model and a picture that is there."""
    if not isinstance(case.body, dict) or random.Random(repr(case.body)).random() > 0.75:
        return
    picture = engine.add_picture(SAMPLE.read_bytes()).id
    if isinstance(case.body.get("image"), str):
        case.body["image"] = picture
    if isinstance(case.body.get("model"), str):
        case.body["model"] = "nano"
    messages = case.body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        parts = message.get("content") if isinstance(message, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and isinstance(part.get("image_url"), dict):
                part["image_url"]["url"] = picture


def test_requests_of_the_description(described: Any, engine: Engine) -> None:
    hold(described, engine, 2)


@pytest.mark.slow
def test_many_requests_of_the_description(described: Any, engine: Engine) -> None:
    hold(described, engine, 300)


def test_the_description_has_what_a_client_needs(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    chat = found["paths"]["/v1/chat/completions"]["post"]
    assert chat["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    assert {"400", "401", "404", "413", "429", "503", "504"} <= set(chat["responses"])
    assert set(found["paths"]["/v1/perceive"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "multipart/form-data",
    }
    names = set(found["components"]["schemas"])
    assert {"Perception", "MaskObject", "DepthObject", "ErrorReply", "PerceiveRequest"} <= names
    assert client.get("/docs").status_code == 404
