"""What `/v1/chat/completions` makes of messages and settings."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from starlette.testclient import TestClient

from perceptio.serving.engine import Engine

from .conftest import body, data_url, messages, picture_bytes

URL = "/v1/chat/completions"
SHORT = {"perception": {"masks": "off", "depth": "off"}, "max_tokens": 2}
CLICKS = {"masks": "off", "depth": "off", "points": [[120, 80]]}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def answered(client: TestClient, request: dict[str, Any]) -> dict[str, Any]:
    reply = client.post(URL, json=request)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def refused(client: TestClient, request: dict[str, Any], status: int = 400) -> dict[str, Any]:
    """The error object of a refusal."""
    reply = client.post(URL, json=request)
    assert reply.status_code == status, reply.text
    error: dict[str, Any] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_a_click_is_segmented_without_a_word(client: TestClient, engine: Engine, sample_id: str) -> None:
    request = {**body(sample_id, ""), "perception": {"points": [[[120, 80]], [[60, 400], [65, 410]]]}}
    reply = answered(client, request)
    message = reply["choices"][0]["message"]
    assert message["content"] == ""
    assert message["perceptio"]["masks"] == []
    assert len(message["perceptio"]["clicked"]) == 2
    assert reply["usage"]["completion_tokens"] == 0


@pytest.mark.parametrize("part", ["masks", "depth"])
def test_what_is_on_needs_a_question(client: TestClient, sample_id: str, part: str) -> None:
    error = refused(client, {**body(sample_id, ""), "perception": {"points": [[120, 80]], part: "on"}})
    assert error["param"] == f"perception.{part}"
    reply = client.post("/v1/perceive", json={"image": sample_id, "points": [[120, 80]], part: "on"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, part)
    assert refused(client, body(sample_id, ""))["code"] == "invalid_value"


def test_a_click_in_a_stream(client: TestClient, sample_id: str) -> None:
    request = {**body(sample_id, ""), "perception": {"points": [[120, 80]]}, "stream": True}
    reply = client.post(URL, json=request)
    assert reply.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n") if line]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert [len(delta["perceptio"]["clicked"]) for delta in deltas if "clicked" in delta.get("perceptio", {})] == [1]


@pytest.mark.parametrize("form", ["rle", "polygon", "png"])
def test_masks_come_in_the_form_that_was_asked_for(client: TestClient, sample_id: str, form: str) -> None:
    request = {**body(sample_id, ""), "perception": {"boxes": [26, 353, 113, 431], "return": form}}
    mask = answered(client, request)["choices"][0]["message"]["perceptio"]["clicked"][0]
    field = {"rle": "rle", "polygon": "polygons", "png": "png"}[form]
    assert set(mask) == {"label", "score", "bbox", field}
    match form:
        case "rle":
            array = coco.decode(mask["rle"]).astype(bool)
        case "polygon":
            array = coco.decode(coco.merge(coco.frPyObjects(mask["polygons"], 448, 448))).astype(bool)
        case _:
            array = np.asarray(Image.open(io.BytesIO(base64.b64decode(mask["png"]))))
    rows, columns = np.nonzero(array)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(np.array(mask["bbox"]) - box).max() <= 1


@pytest.mark.parametrize("form", ["png16", "png8", "json"])
def test_depth_comes_in_the_form_that_was_asked_for(client: TestClient, form: str) -> None:
    image = data_url(picture_bytes(size=(40, 30)))
    perception = {"masks": "off", "depth": "on", "depth_format": form}
    depth = answered(client, body(image, "Show the depth map.", perception=perception))["choices"][0]["message"][
        "perceptio"
    ]["depth"]
    assert (depth["format"], depth["grid"], len(depth["codes"])) == (form, [10, 10], 100)
    if form == "json":
        values = np.array(depth["data"])
        assert 0 <= values.min() <= values.max() <= 1
    else:
        values = np.asarray(Image.open(io.BytesIO(base64.b64decode(depth["data"]))))
        assert values.max() > 255 or form == "png8"
    assert values.shape == (30, 40)


def test_depth_in_numbers_is_for_small_pictures(client: TestClient) -> None:
    image = data_url(picture_bytes(size=(1200, 900)))
    perception = {"depth": "on", "depth_format": "json"}
    assert refused(client, body(image, perception=perception))["param"] == "perception.depth_format"
    reply = client.post("/v1/perceive", json={"image": image, "prompt": "What is it?", **perception})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "depth_format")


def test_instructions_and_questions_become_one_question(client: TestClient, sample_id: str) -> None:
    picture = messages(sample_id, "What is it?")
    whole = messages(sample_id, "Be brief.\n\nWhat is it?")
    system = {"role": "system", "content": "Be brief."}
    first = answered(client, {**body(sample_id), "messages": [system, *picture], **SHORT})
    second = answered(client, {**body(sample_id), "messages": whole, **SHORT})
    assert first["usage"] == second["usage"]
    assert first["choices"][0]["message"]["content"] == second["choices"][0]["message"]["content"]


def test_the_message_of_a_reply_may_be_sent_back(client: TestClient, sample_id: str) -> None:
    first = answered(client, body(sample_id, **SHORT))
    turns = [*messages(sample_id), first["choices"][0]["message"], user("How many cubes are there?")]
    answered(client, {"model": "nano", "messages": turns, **SHORT})


def test_special_tokens_of_users_stay_text(client: TestClient, sample_id: str) -> None:
    def tokens(*turns: dict[str, Any]) -> int:
        request = {"model": "nano", "messages": [*turns], **SHORT}
        return int(answered(client, request)["usage"]["prompt_tokens"])

    picture = messages(sample_id, "What is it?")
    plain = tokens(*picture)
    for special in ("<DEPTH_START>", "[SEG]", "<|im_end|>", "<IMG_CONTEXT>", "<p>"):
        spelled = 3 if len(special) > 3 else 2  # one token if it were not text
        assert tokens(*messages(sample_id, f"What is it?{special}")) >= plain + spelled, special
    history = tokens(*picture, assistant("A."), user("B."))
    assert tokens(*picture, assistant("A.<|im_end|>"), user("B.")) >= history + 3


@pytest.mark.parametrize(
    ("turns", "param"),
    [
        ([], "messages"),
        ([user("What is it?")], "messages"),
        ([assistant("A cube.")], "messages.0"),
        ([*messages("ID"), assistant("A cube.")], "messages"),
        ([*messages("ID"), {"role": "system", "content": "Be brief."}], "messages.1"),
        ([{"role": "tool", "content": "x"}], "messages.0"),
        ([{"role": "user", "content": []}], "messages.0.content"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "messages.0.content.0"),
        ([{"role": "user"}], "messages.0.content"),
        ([{"role": "user", "content": [{"type": "text", "text": "x", "mood": 1}]}], "messages.0.content.0.mood"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages.0.content.0.text"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": ""}}]}],
            "messages.0.content.0.image_url.url",
        ),
        ([{"role": "user", "content": "x", "colour": "red"}], "messages.0.colour"),
    ],
)
def test_messages_without_sense_are_refused(
    client: TestClient, sample_id: str, turns: list[dict[str, Any]], param: str
) -> None:
    for turn in turns:
        for part in turn.get("content", []):
            if isinstance(part, dict) and part.get("image_url") == {"url": "ID"}:
                part["image_url"] = {"url": sample_id}
    error = refused(client, {"model": "nano", "messages": turns})
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_a_conversation_is_about_one_picture(client: TestClient, sample_id: str, sample_url: str) -> None:
    again = [*messages(sample_id), assistant("A."), *messages(sample_url)]
    answered(client, {"model": "nano", "messages": again, **SHORT})
    other = [*messages(sample_id), assistant("A."), *messages(data_url(picture_bytes()))]
    error = refused(client, {"model": "nano", "messages": other})
    assert (error["code"], error["param"]) == ("too_many_images", "messages.2.content.1.image_url.url")


def test_settings_without_effect_are_named(client: TestClient, sample_id: str) -> None:
    settings = {"temperature": 0.7, "top_p": 1, "seed": 3, "presence_penalty": 0, "user": "me", "n": 1, "tools": []}
    reply = answered(client, body(sample_id, **settings, **SHORT))
    assert reply["choices"][0]["message"]["perceptio"]["ignored"] == ["temperature", "seed", "user"]


@pytest.mark.parametrize(
    "setting",
    [
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "a", "format": "mp3"}},
        {"logit_bias": {"5": 100}},
        {"temperature": 3},
        {"temperature": "hot"},
        {"top_p": -1},
        {"max_tokens": 0},
        {"stop": ""},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stream": "yes"},
        {"stream_options": {"include_usage": True}},
        {"colour": "red"},
    ],
    ids=lambda setting: str(setting)[:30],
)
def test_what_cannot_be_done_is_refused(client: TestClient, sample_id: str, setting: dict[str, Any]) -> None:
    error = refused(client, body(sample_id, **setting))
    assert error["type"] == "invalid_request_error"
    assert (error["param"] or "").split(".")[0] == next(iter(setting))


@pytest.mark.parametrize(
    "perception",
    [
        {"points": [[1]]},
        {"points": [[9000, 1]]},
        {"points": []},
        {"points": "here"},
        {"boxes": [10, 10, 5, 5]},
        {"labels": [1]},
        {"points": [[1, 1]], "labels": [1, 0]},
        {"points": [[1, 1]], "labels": [2]},
        {"masks": "maybe"},
        {"return": "coco"},
        {"mask_form": "rle"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_clicks_that_do_not_fit_are_refused(client: TestClient, sample_id: str, perception: dict[str, Any]) -> None:
    assert refused(client, body(sample_id, perception=perception))["type"] == "invalid_request_error"


def test_two_token_limits_must_agree(client: TestClient, sample_id: str) -> None:
    off = {"perception": SHORT["perception"]}
    answered(client, body(sample_id, max_tokens=3, max_completion_tokens=3, **off))
    assert refused(client, body(sample_id, max_tokens=3, max_completion_tokens=4, **off))["param"] == "max_tokens"


def test_what_is_on_and_does_not_fit_is_refused(client: TestClient, sample_id: str) -> None:
    error = refused(client, body(sample_id, max_tokens=20, perception={"depth": "on"}))
    assert "max_tokens" in error["message"]
    assert "max_new_tokens" not in error["message"]


def test_limits_of_conversations(client: TestClient, sample_id: str) -> None:
    assert refused(client, body(sample_id, "x" * 8001))["code"] == "invalid_value"
    turns = [*messages(sample_id), *[assistant("A."), user("B.")] * 33]
    assert refused(client, {"model": "nano", "messages": turns})["code"] == "invalid_value"


def test_marks_of_a_cache_have_no_effect(client: TestClient, sample_id: str) -> None:
    turns = messages(sample_id)
    for part in turns[0]["content"]:
        part["prompt_cache_breakpoint"] = {"mode": "explicit"}
    reply = answered(client, {"model": "nano", "messages": turns, **SHORT})
    assert reply["choices"][0]["message"]["perceptio"]["ignored"] == ["prompt_cache_breakpoint"]
    system = {"role": "system", "content": [{"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "x"}}]}
    reply = answered(client, {"model": "nano", "messages": [system, *messages(sample_id)], **SHORT})
    assert reply["choices"][0]["message"]["perceptio"]["ignored"] == ["prompt_cache_breakpoint"]


@pytest.mark.parametrize("most", [1_000, 4_096, 1_000_000])
def test_a_limit_above_what_the_model_can_write_is_none(client: TestClient, sample_id: str, most: int) -> None:
    perception = {"masks": "on", "depth": "on"}
    free = answered(client, body(sample_id, perception=perception))
    bounded = answered(client, body(sample_id, perception=perception, max_tokens=most))
    assert bounded["choices"][0]["message"]["content"] == free["choices"][0]["message"]["content"]
    assert bounded["choices"][0]["finish_reason"] == "stop"
    assert bounded["usage"] == free["usage"]
