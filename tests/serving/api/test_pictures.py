"""Uploads, ids and `/v1/perceive`."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from perceptio.serving.engine import Engine

from .conftest import SAMPLE, data_url, picture_bytes


def test_a_picture_is_uploaded_described_and_forgotten(client: TestClient) -> None:
    content = picture_bytes(size=(31, 17), color="navy")
    uploaded = client.post("/v1/images", files={"image": content}).json()
    assert (uploaded["object"], uploaded["width"], uploaded["height"]) == ("image", 31, 17)
    assert uploaded["expires_in"] == 900
    url = f"/v1/images/{uploaded['id']}"
    assert client.post("/v1/images", json={"image": data_url(content)}).json() == uploaded
    assert client.get(url).json() == uploaded
    assert client.delete(url).json() == {"id": uploaded["id"], "object": "image", "deleted": True}
    for gone in (client.get(url), client.delete(url), client.post("/v1/images", json={"image": uploaded["id"]})):
        assert gone.status_code == 404
        assert gone.json()["error"]["code"] == "image_not_found"


def test_a_question_as_a_form_and_as_json(client: TestClient, sample_id: str) -> None:
    fields = {"prompt": "Segment the brown pyramid.", "masks": "on", "depth": "off", "max_tokens": "40"}
    form = client.post("/v1/perceive", data=fields, files={"image": SAMPLE.read_bytes()}).json()
    request = {**fields, "max_tokens": 40, "image": sample_id}
    plain = client.post("/v1/perceive", json=request).json()
    for name in ("image_id", "width", "height", "text", "masks", "clicked", "depth", "absent", "usage"):
        assert form[name] == plain[name]
    assert (plain["object"], plain["image_id"], plain["width"], plain["height"]) == ("perception", sample_id, 448, 448)
    assert plain["masks"][0]["label"].lower() == "the brown pyramid"
    assert plain["depth"] is None


def test_clicks_in_a_form(client: TestClient, sample_id: str) -> None:
    fields = {"image": sample_id, "points": "[[120, 80]]", "labels": "[1]", "return": "polygon"}
    reply = client.post("/v1/perceive", data=fields, files={"": b""})
    form = client.post("/v1/perceive", data=fields, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert reply.status_code == 400  # the empty file
    assert form.status_code == 400  # what follows is no form
    whole = client.post("/v1/perceive", files={name: (None, value) for name, value in fields.items()})
    assert whole.status_code == 200
    assert len(whole.json()["clicked"]) == 1
    assert "polygons" in whole.json()["clicked"][0]


def test_earlier_turns(client: TestClient, sample_id: str) -> None:
    short = {"image": sample_id, "prompt": "And now?", "masks": "off", "depth": "off", "max_tokens": 2}
    alone = client.post("/v1/perceive", json=short).json()
    history = [{"question": "How many cubes are there?", "answer": "Two."}]
    later = client.post("/v1/perceive", json={**short, "history": history}).json()
    assert later["usage"]["prompt_tokens"] > alone["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "x"}, "image"),
        ({"image": "img_" + "0" * 32}, None),
        ({"image": "scene.png"}, "image"),
        ({"image": "/etc/passwd"}, "image"),
        ({"image": "file:///etc/passwd"}, "image"),
        ({"image": "http://127.0.0.1/a.png"}, "image"),
        ({"image": "data:image/png;base64,A"}, "image"),
        ({"image": "data:image/png,abc"}, "image"),
        ({"image": "ID", "colour": "red"}, "colour"),
        ({"image": "ID", "points": "[[1, NaN]]"}, "points"),
        ({"image": "ID", "points": "[[1"}, "points"),
        ({"image": "ID", "max_tokens": "many"}, "max_tokens"),
        ({"image": "ID", "masks": "maybe"}, "masks"),
        ({"image": "ID"}, None),
    ],
)
def test_forms_that_do_not_fit_are_refused(
    client: TestClient, sample_id: str, fields: dict[str, str], param: str | None
) -> None:
    parts = {name: (None, sample_id if value == "ID" else value) for name, value in fields.items()}
    reply = client.post("/v1/perceive", files=parts)
    assert reply.status_code in (400, 404)
    assert reply.json()["error"]["param"] == param
    assert (reply.json()["error"]["code"] == "unknown_parameter") == ("colour" in fields)


def test_one_picture_a_form(client: TestClient, sample_id: str) -> None:
    picture = picture_bytes()
    twice = client.post("/v1/images", files=[("image", picture), ("image", picture)])
    both = client.post("/v1/images", files={"image": picture}, data={"image": sample_id})
    elsewhere = client.post("/v1/images", files={"photo": picture})
    assert [reply.status_code for reply in (twice, both, elsewhere)] == [400, 400, 400]


def test_pictures_are_judged_by_their_content(client: TestClient, engine: Engine) -> None:
    for content in (b"", b"hello", b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>", picture_bytes()[:60]):
        reply = client.post("/v1/images", files={"image": ("a.png", content)})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_image")
    for kind in ("JPEG", "WEBP", "GIF", "BMP"):
        assert client.post("/v1/images", files={"image": picture_bytes(kind)}).status_code == 200


def test_pixels_are_counted_before_they_are_decoded(client: TestClient) -> None:
    width = height = 20_000
    header = b"P5 %d %d 255\n" % (width, height)  # a picture of 400 megapixels, without its pixels
    reply = client.post("/v1/images", files={"image": header})
    assert reply.status_code == 400
    assert "megapixels" in reply.json()["error"]["message"]


def test_no_message_repeats_a_path(client: TestClient, sample_id: str) -> None:
    replies = [client.get("/nowhere"), client.get(f"/v1/images/{sample_id}/x"), client.put("/v1/perceive")]
    assert [reply.status_code for reply in replies] == [404, 404, 405]
    for reply in replies:
        assert reply.json()["error"]["type"] == "invalid_request_error"
        assert "/" not in json.dumps(reply.json())
