"""OpenAI's error object."""

from __future__ import annotations

from pydantic import Field

from perceptio.serving.api.schemas.base import Reply


class ErrorDetail(Reply):
    """What went wrong."""

    message: str = Field(description="One sentence.", examples=["the picture is damaged: send another"])
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The field that is wrong.", examples=["messages.0.content"])
    code: str | None = Field(examples=["invalid_image"])


class ErrorReply(Reply):
    """Of every status from 400 on."""

    error: ErrorDetail
