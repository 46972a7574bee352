"""Names of the internet looked up in threads of their own, which the end of the server does not wait for."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_PLACES = threading.BoundedSemaphore(16)  # a lookup may hang for half a minute, after its client has given up


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name.

    Raises:
        OSError: if it has none, or too many names are being looked up.
        UnicodeError: if no name can be spelled so.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def settle(how: Callable[[Any], None], value: object) -> None:
        if not found.done():  # cancelled, where nobody waits any more
            how(value)

    def look_up() -> None:
        answer: tuple[Callable[[Any], None], object]
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer = found.set_result, [str(address[0]) for *_, address in addresses]
        except (OSError, UnicodeError) as error:
            answer = found.set_exception, error
        finally:
            _PLACES.release()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *answer)

    if not _PLACES.acquire(blocking=False):
        raise OSError("too many names are being looked up")
    threading.Thread(target=look_up, name="perceptio-names", daemon=True).start()
    return await found
