"""Which model is served."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perceptio.serving.api.schemas.base import Reply


class Model(Reply):
    """A model."""

    id: str = Field(examples=["nano"])
    object: Literal["model"] = "model"
    created: int = Field(description="When the server began to serve it, in seconds since 1970.")
    owned_by: str = "perceptio"


class ModelList(Reply):
    """All models, of which there is one."""

    object: Literal["list"] = "list"
    data: list[Model]
