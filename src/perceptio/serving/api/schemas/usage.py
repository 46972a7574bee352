"""How many tokens a request took."""

from __future__ import annotations

from pydantic import Field

from perceptio.serving.api.schemas.base import Reply


class CompletionTokensDetails(Reply):
    """Of the tokens that were written."""

    reasoning_tokens: int = Field(description="Masks and depth: [SEG], the codes of the depth map and their marks.")
    text_tokens: int
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(Reply):
    """Tokens."""

    prompt_tokens: int = Field(description="Of the picture and of all turns.")
    completion_tokens: int = Field(description="Written: text, masks and depth.")
    total_tokens: int
    completion_tokens_details: CompletionTokensDetails
