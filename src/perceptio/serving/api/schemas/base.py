"""What all objects on the wire share."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

MOST_TURNS = 4096  # that are read; how many are answered is a setting of the engine


class Request(BaseModel):
    """What a client sends: a field that is not known is refused, and no value is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Reply(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(extra="forbid")


class Sparse(Reply):
    """A reply whose fields are left out where they are None, unless they were set to it."""

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {
            name: value for name, value in handler(self).items() if value is not None or name in self.model_fields_set
        }
