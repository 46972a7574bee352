"""OpenAI's chat completion and its chunks, with `perceptio` in the message and in the deltas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perceptio.serving.api.schemas.base import Reply, Sparse
from perceptio.serving.api.schemas.perception import Perceived, PerceivedPart
from perceptio.serving.api.schemas.usage import Usage

FinishReason = Literal["stop", "length"]


class Message(Reply):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    perceptio: Perceived = Field(description="Masks and depth: the one field that OpenAI's object does not have.")


class Choice(Reply):
    """The one answer."""

    index: Literal[0] = 0
    message: Message
    logprobs: None = None
    finish_reason: FinishReason = Field(description="length: max_tokens were written before the answer was done.")


class ChatCompletion(Reply):
    """A whole answer."""

    id: str = Field(examples=["chatcmpl-0f1e2d3c4b5a69788796a5b4c3d2e1f0"])
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[Choice]
    usage: Usage
    service_tier: Literal["default"] = "default"
    system_fingerprint: str


class Delta(Sparse):
    """What is new."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    perceptio: PerceivedPart | None = None


class ChunkChoice(Reply):
    """The one answer, in part."""

    index: Literal[0] = 0
    delta: Delta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(Sparse):
    """A part of an answer, in one event of a stream, which ends with `data: [DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice] = Field(description="One, or none in the chunk that gives the usage.")
    service_tier: Literal["default"] = "default"
    system_fingerprint: str
    usage: Usage | None = Field(
        default=None, description="Where stream_options.include_usage is set; null but in the last."
    )
