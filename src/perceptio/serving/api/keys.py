"""Who may ask."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.service import service_of

_BEARER = HTTPBearer(auto_error=False, description="The server's key, where it has one.")


async def check_key(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
    """Refuse whoever does not know the server's key, if it has one.

    Raises:
        ApiError: 401.
    """
    key = service_of(request).settings.api_key
    if key is None:
        return
    offered = b"" if given is None else given.credentials.encode("latin-1")  # as the header came
    if not hmac.compare_digest(offered, key.encode()):
        raise ApiError(
            401,
            "this server needs its API key: send Authorization: Bearer KEY",
            "invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
