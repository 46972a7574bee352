"""Pictures that are uploaded once and asked about often."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perceptio.serving.api.schemas.base import Reply, Request

IMAGE_ID = r"^img_[0-9a-f]{32}$"
IMAGE_HELP = "A data URL (data:image/png;base64,...), the id of an uploaded picture, or a web address where allowed."


class ImageUpload(Request):
    """A picture in JSON."""

    image: str = Field(min_length=1, description=IMAGE_HELP)


class StoredImage(Reply):
    """A picture that the server holds."""

    id: str = Field(description="Of its content: the same picture has the same id.", pattern=IMAGE_ID)
    object: Literal["image"] = "image"
    width: int = Field(description="Pixels, upright.")
    height: int = Field(description="Pixels, upright.")
    expires_in: float = Field(description="Seconds until it is forgotten, if it is not asked about until then.")


class DeletedImage(Reply):
    """A picture that the server has forgotten."""

    id: str
    object: Literal["image"] = "image"
    deleted: bool
