"""The official client of OpenAI, unchanged, against a server on this machine."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path

import numpy as np
import openai
import pytest
from openai.types.chat import ChatCompletion
from PIL import Image
from pycocotools import mask as coco

from perceptio.pipeline import Perceptio

from .conftest import QUESTION, SAMPLE, messages


@pytest.fixture(scope="module")
def official(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0)


PERCEPTION = {"perception": {"masks": "on", "depth": "on"}}


@pytest.fixture(scope="module")
def whole(official: openai.OpenAI, sample_url: str) -> ChatCompletion:
    """The answer to the question, with masks and depth."""
    return official.chat.completions.create(model="nano", messages=messages(sample_url), extra_body=PERCEPTION)


def test_an_answer_is_the_one_of_the_model_with_its_masks_and_depth(whole: ChatCompletion, nano: Perceptio) -> None:
    reply = whole
    expected = nano.ask(SAMPLE, QUESTION, seg="on", depth="on")
    choice = reply.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", expected.text)
    assert (choice.index, choice.finish_reason, reply.object, reply.model) == (0, "stop", "chat.completion", "nano")
    assert reply.id.startswith("chatcmpl-")
    found = choice.message.perceptio
    assert [mask["label"] for mask in found["masks"]] == [mask.phrase for mask in expected.masks]
    for mask, own in zip(found["masks"], expected.masks, strict=True):
        assert (coco.decode(mask["rle"]) == own.array).mean() > 0.99
        left, top, right, bottom = mask["bbox"]
        assert own.array[top:bottom, left:right].sum() == pytest.approx(own.array.sum(), rel=0.05)
    depth = found["depth"]
    assert depth["grid"] == [10, 10]
    assert depth["codes"] == expected.depth.codes.ravel().tolist()
    levels = np.asarray(Image.open(io.BytesIO(base64.b64decode(depth["data"])))).astype(float)
    assert np.abs(levels / 65535 - expected.depth.unit).max() < 0.02
    assert found["absent"] is False
    assert {"queue", "total"} <= found["timings_ms"].keys()


def test_usage_adds_up(whole: ChatCompletion) -> None:
    usage = whole.usage
    details = usage.completion_tokens_details
    assert usage.prompt_tokens + usage.completion_tokens == usage.total_tokens
    assert details.reasoning_tokens + details.text_tokens == usage.completion_tokens
    assert details.reasoning_tokens >= 103  # 100 codes, their two marks and a [SEG]


def test_a_stream_says_what_the_whole_answer_says(
    official: openai.OpenAI, whole: ChatCompletion, sample_url: str
) -> None:
    stream = official.chat.completions.create(
        model="nano",
        messages=messages(sample_url),
        stream=True,
        stream_options={"include_usage": True},
        extra_body=PERCEPTION,
    )
    chunks = list(stream)
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    parts = [choice.delta.perceptio for choice in choices if hasattr(choice.delta, "perceptio")]
    masks = [mask for part in parts for mask in part.get("masks", [])]
    found = whole.choices[0].message.perceptio
    boxes = np.array([[mask["bbox"] for mask in some] for some in (masks, found["masks"])])
    assert np.abs(boxes[0] - boxes[1]).max() <= 1  # the batches differ in the last digits
    assert all(mask["label"] is None for mask in masks)
    assert parts[-1]["labels"] == [mask["label"] for mask in found["masks"]]
    (depth,) = [part["depth"] for part in parts if "depth" in part]
    assert depth["codes"] == found["depth"]["codes"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1


def test_several_turns_about_one_picture(official: openai.OpenAI, whole: ChatCompletion, sample_url: str) -> None:
    turns = [*messages(sample_url), whole.choices[0].message, {"role": "user", "content": "How many cubes are there?"}]
    second = official.chat.completions.create(model="nano", messages=turns)
    assert second.choices[0].message.content
    assert second.usage.prompt_tokens > whole.usage.prompt_tokens


def test_the_asynchronous_client(address: str, sample_url: str) -> None:
    off = {"perception": {"masks": "off", "depth": "off"}}

    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as asker:
            whole, stream = await asyncio.gather(
                asker.chat.completions.create(model="nano", messages=messages(sample_url), extra_body=off),
                asker.chat.completions.create(model="nano", messages=messages(sample_url), stream=True, extra_body=off),
            )
            said = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0].message.content or "", "".join(said)

    whole, streamed = asyncio.run(ask())
    assert whole == streamed != ""


def test_models(official: openai.OpenAI) -> None:
    models = official.models.list().data
    assert [(model.id, model.object, model.owned_by) for model in models] == [("nano", "model", "perceptio")]
    assert official.models.retrieve("nano") == models[0]


def test_stop_and_token_limits(official: openai.OpenAI, sample_url: str) -> None:
    off = {"perception": {"masks": "off", "depth": "off"}}
    whole = official.chat.completions.create(model="nano", messages=messages(sample_url), extra_body=off)
    text = whole.choices[0].message.content
    stop = text.split()[2]
    cut = official.chat.completions.create(model="nano", messages=messages(sample_url), stop=stop, extra_body=off)
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    short = official.chat.completions.create(
        model="nano", messages=messages(sample_url), max_completion_tokens=4, extra_body=off
    )
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 4
    assert text.startswith(short.choices[0].message.content)


@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_those_of_openai(official: openai.OpenAI, sample_url: str, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        official.chat.completions.create(model="gpt-5", messages=messages(sample_url), stream=stream)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as wrong:
        official.chat.completions.create(model="nano", messages=[{"role": "user", "content": "Hi"}], stream=stream)
    assert wrong.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as damaged:
        official.chat.completions.create(model="nano", messages=messages("data:image/png;base64,AAAA"), stream=stream)
    assert damaged.value.code == "invalid_image"


def test_a_picture_that_was_uploaded(official: openai.OpenAI, tmp_path: Path, sample_id: str) -> None:
    reply = official.chat.completions.create(model="nano", messages=messages(sample_id))
    assert reply.choices[0].message.perceptio["image_id"] == sample_id


def test_the_stream_that_the_client_puts_together(
    official: openai.OpenAI, whole: ChatCompletion, sample_url: str
) -> None:
    clicks = {"masks": "on", "depth": "on", "points": [[[120, 80]], [[60, 400]]]}
    with official.chat.completions.stream(
        model="nano", messages=messages(sample_url), extra_body={"perception": clicks}
    ) as stream:
        reply = stream.get_final_completion()
    message, expected = reply.choices[0].message, whole.choices[0].message
    assert message.content == expected.content
    found = message.perceptio
    assert [mask["index"] for mask in found["masks"]] == [0, 1]
    assert found["labels"] == [mask["label"] for mask in expected.perceptio["masks"]]
    boxes = np.array([[mask["bbox"] for mask in some] for some in (found["masks"], expected.perceptio["masks"])])
    assert np.abs(boxes[0] - boxes[1]).max() <= 1
    assert all(coco.decode(mask["rle"]).any() for mask in found["masks"] + found["clicked"])
    assert [mask["index"] for mask in found["clicked"]] == [0, 1]
    assert found["depth"]["codes"] == expected.perceptio["depth"]["codes"]
    assert (found["absent"], found["image_id"]) == (False, expected.perceptio["image_id"])
