"""The picture that a request speaks of: a data URL, the id of a stored one, or a web address."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable

from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.schemas.images import IMAGE_ID
from perceptio.serving.api.service import Service
from perceptio.serving.engine import StoredPicture

_DATA_URL = re.compile(r"data:[\w.+-]*/?[\w.+-]*(?:;[\w.+-]+=[\w.+\"-]*)*;base64,", re.ASCII | re.IGNORECASE)


async def find_picture(service: Service, source: str, param: str) -> StoredPicture:
    """The stored picture that a text names; what is not stored yet is.

    Args:
        service: of the server.
        source: a data URL, an id, or a web address where those are allowed.
        param: the field that named it.

    Raises:
        ApiError: with what is wrong.
        ImageError: if it is no picture that can be used.
    """
    if re.match(IMAGE_ID, source):
        return service.engine.picture(source)
    if source[:5].lower() == "data:":
        return await _stored(service, lambda: _data(source, param))
    if re.match(r"https?:", source, re.IGNORECASE):
        if not service.settings.remote_images:
            raise ApiError(
                400,
                "this server fetches no pictures from the web: send a data URL, or upload to /v1/images",
                "remote_images_off",
                param,
            )
        content = await service.remote.fetch(source)
        return await store(service, content)
    raise ApiError(
        400, "a picture is a data URL (data:image/png;base64,...) or an image id", "invalid_image_url", param
    )


async def store(service: Service, content: bytes) -> StoredPicture:
    """Store a picture's bytes.

    Raises:
        ImageError: if it is no picture that can be used.
    """
    return await _stored(service, lambda: content)


async def _stored(service: Service, give: Callable[[], bytes]) -> StoredPicture:
    engine, loop = service.engine, asyncio.get_running_loop()
    return await loop.run_in_executor(service.decoders, lambda: engine.add_picture(give()))


def _data(url: str, param: str) -> bytes:
    """The content of a data URL."""
    start = _DATA_URL.match(url[:200])
    if start is None:
        raise ApiError(400, "a data URL must be in base64: data:image/png;base64,...", "invalid_image_url", param)
    try:
        return base64.b64decode(url[start.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "the data URL is no valid base64", "invalid_image_url", param) from error
