"""The typed way to ask: one picture, one question, clicks and boxes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from perceptio.serving.api.schemas.base import MOST_TURNS, Reply, Request
from perceptio.serving.api.schemas.images import IMAGE_HELP
from perceptio.serving.api.schemas.perception import DepthObject, MaskObject, Perception
from perceptio.serving.api.schemas.usage import Usage

Stop = Annotated[str, Field(min_length=1, max_length=200)]


class Turn(Request):
    """An earlier question about the picture, and its answer."""

    question: str
    answer: str


class Question(Perception):
    """A question about a picture, without the picture."""

    prompt: str | None = Field(
        default=None,
        description="The question; it may be left out where points or boxes are given.",
        examples=["Which is nearer, the brown pyramid or the green pyramid?"],
    )
    history: Annotated[list[Turn], Field(fail_fast=True, max_length=MOST_TURNS)] = Field(
        default=[], description="Earlier turns, oldest first."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Of the whole answer, depth tokens and [SEG] included."
    )
    stop: Annotated[list[Stop], Field(fail_fast=True, max_length=4)] = Field(
        default=[], description="The text ends before the first of these."
    )


class PerceiveRequest(Question):
    """A question about a picture."""

    image: str = Field(min_length=1, description=IMAGE_HELP)


class PerceiveReply(Reply):
    """An answer with its masks and its depth map."""

    id: str
    object: Literal["perception"] = "perception"
    created: int
    model: str
    image_id: str
    width: int = Field(description="Pixels of the upright picture, to which masks, boxes and depth refer.")
    height: int
    text: str = Field(description="The answer; empty where only points and boxes were segmented.")
    masks: list[MaskObject]
    clicked: list[MaskObject]
    depth: DepthObject | None
    absent: bool
    finish_reason: Literal["stop", "length"]
    usage: Usage
    timings_ms: dict[str, float]
