"""Whether the server lives and is ready, and what it counts."""

from __future__ import annotations

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from perceptio.serving.api.app import create_app
from perceptio.serving.api.service import Service
from perceptio.serving.engine import Engine, EngineSettings

from .conftest import ANY_HOST, body, client_of, wait_until


def counts(client: TestClient) -> dict[tuple[str, ...], float]:
    """The samples, by name and labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def test_a_server_is_not_ready_while_it_loads(nano, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(ANY_HOST)
    client = TestClient(create_app(service))
    may_go_on, done = threading.Event(), threading.Event()
    fresh = Engine(nano, EngineSettings())

    def make() -> Engine:
        may_go_on.wait()
        return fresh

    service.load(make, done.set)
    assert client.get("/healthz").json() == {"status": "ok"}
    for path in ("/readyz", "/v1/models"):
        reply = client.get(path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "loading")
        assert int(reply.headers["Retry-After"]) > 0
    assert client.post("/v1/chat/completions", json=body("img_" + "0" * 32)).status_code == 503
    may_go_on.set()
    done.wait()
    assert client.get("/readyz").json() == {
        "status": "ready",
        "model": "nano",
        "waiting": 0,
        "running": 0,
        "pictures": 0,
    }
    service.close(grace_s=5)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_model_that_does_not_load_is_reported() -> None:
    service, done = Service(ANY_HOST), threading.Event()

    def make() -> Engine:
        raise ValueError("no such model")

    service.load(make, done.set)
    done.wait()
    assert isinstance(service.failure, ValueError)


def test_requests_are_counted(engine: Engine, sample_id: str) -> None:
    client = client_of(engine)
    short = {"perception": {"masks": "off", "depth": "off"}, "max_tokens": 3}
    used = client.post("/v1/chat/completions", json=body(sample_id, **short)).json()["usage"]
    client.get("/v1/models/other")
    client.get("/nowhere/at/all")
    client.request("BREW", "/nowhere")
    assert wait_until(lambda: counts(client).get(("perceptio_tokens_total", "text")) == 3)  # counted after the reply
    found = counts(client)
    assert found["perceptio_requests_total", "POST", "/v1/chat/completions", "200"] == 1
    assert found["perceptio_requests_total", "GET", "/v1/models/{model:path}", "404"] == 1
    assert found["perceptio_requests_total", "GET", "other", "404"] == 1
    assert found["perceptio_requests_total", "OTHER", "other", "404"] == 1
    assert found["perceptio_request_duration_seconds_count", "/v1/chat/completions"] == 1
    assert found["perceptio_batch_size_count",] == 1
    assert found["perceptio_tokens_total", "prompt"] == used["prompt_tokens"]
    assert found["perceptio_tokens_total", "text"] == used["completion_tokens"] == 3
    assert found["perceptio_queue_length",] == 0
    assert found["perceptio_pictures",] == engine.workload().pictures
    assert found["perceptio_refused_total",] == 0


def test_a_folder_is_known_by_its_last_name_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(engine.model, "name", str(tmp_path))
    client = client_of(engine)
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [tmp_path.name]
    assert str(tmp_path.parent) not in client.get("/v1/models/x").text
