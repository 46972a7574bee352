"""Connections of clients that begin a request and do not finish its head, on purpose or not."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 30.0  # from the connection, or the last reply, to the end of the next request's head


class ImpatientProtocol(H11Protocol):
    """uvicorn's protocol, which waits for ever for the rest of a head, and for the rest of a body it has refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As of a protocol."""
        super().connection_made(transport)
        self._wait_after(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """As of a protocol."""
        super().connection_lost(exc)
        self._stop_waiting()

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
