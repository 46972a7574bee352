"""Connections of clients that do not finish a request's head, or do not read their reply, on purpose or not."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 30.0  # from the connection, or the last reply, to the end of the next request's head
STILL_SECONDS = 30.0  # between two looks at a reply, of which something must have gone out meanwhile


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol, which waits for ever for the rest of a head, for the rest of a body it has refused, and for
    a reader that stands still."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As of a protocol."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._wait_after(None)
        self._look_again(0)

    def connection_lost(self, exc: Exception | None) -> None:
        """As of a protocol."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._look is not None:
            self._look.cancel()

    def on_response_complete(self) -> None:
        """As of uvicorn's protocol."""
        answered = self.cycle
        super().on_response_complete()
        self._wait_after(answered)

    def _wait_after(self, answered: Any) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._lose_patience, answered)

    def _lose_patience(self, answered: Any) -> None:
        if self.cycle is answered and not self.transport.is_closing():
            self.transport.abort()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _look_again(self, unsent: int) -> None:
        self._look = self.loop.call_later(STILL_SECONDS, self._look_at_reply, unsent)

    def _look_at_reply(self, before: int) -> None:
        """End a connection whose reply is written, or waits to be, and of which nothing has gone out.

        A transport that is being closed waits for its last bytes too.
        """
        unsent = self.transport.get_write_buffer_size()
        growing = not self.flow.write_paused and self.cycle is not None and not self.cycle.response_complete
        if before and unsent >= before and not growing:
            self.transport.abort()
        else:
            self._look_again(unsent)
