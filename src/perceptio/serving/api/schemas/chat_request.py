"""OpenAI's request for a chat completion, with `perception` beside its fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from perceptio.serving.api.schemas.base import MOST_TURNS, Request
from perceptio.serving.api.schemas.images import IMAGE_HELP
from perceptio.serving.api.schemas.perception import Perception

_IGNORED = "Accepted; it has no effect, as the answer is always the most probable one."
_UNREAD = "Accepted and not read."
_ONLY = "Only its default is possible here."
_MOST_PARTS = 256


class TextPart(Request):
    """Words."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = Field(default=None, description=_UNREAD)


class ImageUrl(Request):
    """Where the picture is."""

    url: str = Field(min_length=1, description=IMAGE_HELP)
    detail: Literal["auto", "low", "high", "original"] | None = Field(default=None, description=_IGNORED)


class ImagePart(Request):
    """The picture."""

    type: Literal["image_url"]
    image_url: ImageUrl
    prompt_cache_breakpoint: dict[str, Any] | None = Field(default=None, description=_UNREAD)


class SystemMessage(Request):
    """Instructions, which are set before the first question."""

    role: Literal["system", "developer"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=_MOST_PARTS)]
    name: str | None = Field(default=None, description=_UNREAD)


class UserMessage(Request):
    """A question, with the picture if it has not been shown yet."""

    role: Literal["user"]
    content: (
        str
        | Annotated[
            list[Annotated[TextPart | ImagePart, Field(discriminator="type")]],
            Field(fail_fast=True, min_length=1, max_length=_MOST_PARTS),
        ]
    ) = Field(
        examples=[
            [
                {"type": "text", "text": "Which is nearer, the brown pyramid or the green pyramid?"},
                {"type": "image_url", "image_url": {"url": "img_0123456789abcdef0123456789abcdef"}},
            ]
        ]
    )
    name: str | None = Field(default=None, description=_UNREAD)


class AssistantMessage(Request):
    """An earlier answer; the message of a reply may be sent back as it came."""

    role: Literal["assistant"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=_MOST_PARTS)] | None = None
    name: str | None = Field(default=None, description=_UNREAD)
    perceptio: dict[str, Any] | None = Field(default=None, description=_UNREAD)
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class StreamOptions(Request):
    """Of a stream."""

    include_usage: bool | None = Field(default=None, description="End with a chunk that gives the usage.")
    include_obfuscation: bool | None = Field(default=None, description=_UNREAD)


class ChatRequest(Request):
    """A conversation about one picture, whose last question is to be answered."""

    model: str = Field(min_length=1, examples=["nano"])
    messages: Annotated[list[ChatMessage], Field(fail_fast=True, min_length=1, max_length=2 * MOST_TURNS)]
    perception: Perception = Field(default=Perception(), description="Masks, depth, clicks and boxes.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Of the whole answer, depth tokens and [SEG] included."
    )
    max_completion_tokens: int | None = Field(
        default=None, ge=1, le=1_000_000, description="OpenAI's newer name of max_tokens."
    )
    stop: str | Annotated[list[str], Field(fail_fast=True, max_length=4)] | None = Field(
        default=None, description="The text ends before the first of these."
    )

    temperature: float | None = Field(default=None, ge=0, le=2, description=_IGNORED)
    top_p: float | None = Field(default=None, ge=0, le=1, description=_IGNORED)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2, description=_IGNORED)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2, description=_IGNORED)
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1, description=_IGNORED)
    user: str | None = Field(default=None, description=_UNREAD)
    safety_identifier: str | None = Field(default=None, description=_UNREAD)
    metadata: dict[str, str] | None = Field(default=None, description=_UNREAD)
    store: bool | None = Field(default=None, description=_UNREAD)
    service_tier: str | None = Field(default=None, description=_UNREAD)
    prompt_cache_key: str | None = Field(default=None, description=_UNREAD)
    prompt_cache_options: dict[str, Any] | None = Field(default=None, description=_UNREAD)
    prompt_cache_retention: str | None = Field(default=None, description=_UNREAD)
    reasoning_effort: str | None = Field(default=None, description=_UNREAD)
    verbosity: str | None = Field(default=None, description=_UNREAD)
    prediction: dict[str, Any] | None = Field(default=None, description=_UNREAD)
    parallel_tool_calls: bool | None = Field(default=None, description=_UNREAD)

    n: Any = Field(default=None, description=_ONLY)
    logprobs: Any = Field(default=None, description=_ONLY)
    top_logprobs: Any = Field(default=None, description=_ONLY)
    logit_bias: Any = Field(default=None, description=_ONLY)
    response_format: Any = Field(default=None, description=_ONLY)
    modalities: Any = Field(default=None, description=_ONLY)
    audio: Any = Field(default=None, description=_ONLY)
    tools: Any = Field(default=None, description=_ONLY)
    tool_choice: Any = Field(default=None, description=_ONLY)
    functions: Any = Field(default=None, description=_ONLY)
    function_call: Any = Field(default=None, description=_ONLY)
    web_search_options: Any = Field(default=None, description=_ONLY)
    moderation: Any = Field(default=None, description=_ONLY)
