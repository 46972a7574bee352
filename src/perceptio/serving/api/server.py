"""Runs the application: one process, one socket, and an end that loses no request."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import uvicorn

from perceptio.serving.api.app import create_app
from perceptio.serving.api.service import Service
from perceptio.serving.api.slow_clients import ImpatientProtocol
from perceptio.serving.engine import Engine

LOG = logging.getLogger("perceptio.server")
_BACKLOG, _CONNECTIONS = 512, 2048
_KEEP_ALIVE = 20  # seconds; longer than clients keep idle connections, which then never meet one that just closed
_HEAD_BYTES = 32_768  # of a request
_LINGER = 1.0  # seconds in which requests that are on their way on open connections still arrive


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        ValueError: if the address is none of this machine's, or is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot listen on {host}, port {port}: {reason}; give --host or --port another") from error


def serve(service: Service, make: Callable[[], Engine], listener: socket.socket, grace_s: float, told: str) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then take no more, and finish those that are there.

    Args:
        service: of the application.
        make: gives the engine; it runs while the server says that it is not ready.
        listener: the socket.
        grace_s: seconds for the requests that are there.
        told: logged once the model is loaded.

    Raises:
        Exception: what `make` has raised.
    """
    server = GentleServer(service, grace_s)

    def loaded() -> None:
        if service.failure is None:
            LOG.info(told, service.model_name)
        else:
            server.should_exit = True

    service.load(make, loaded)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:  # the signal that has ended the server, sent again
        pass
    finally:
        service.close(grace_s=1.0)
    if service.failure is not None:
        raise service.failure
    if server.cut_off:
        LOG.warning("closed; %d connections were cut off before their answers had gone out", server.cut_off)
    else:
        LOG.info("closed; every request was answered")


class GentleServer(uvicorn.Server):
    """A server that ends gently: requests that are on their way when the signal comes are still read and answered.

    Args:
        service: of the application.
        grace_s: seconds for the requests that are there at the end.
    """

    def __init__(self, service: Service, grace_s: float) -> None:
        config = uvicorn.Config(
            create_app(service),
            http=ImpatientProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=max(round(grace_s), 1),
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        super().__init__(config)
        self._service = service
        self.cut_off = 0  # connections that the end of the grace, or a second Ctrl-C, has left without their answers

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As of uvicorn's server."""
        self._service.closing = True  # replies now ask clients to close their connections
        for server in self.servers:
            server.close()
        if self.server_state.connections and not self.force_exit:
            await asyncio.sleep(_LINGER)
        await super().shutdown(sockets)
        self.cut_off = len(self.server_state.connections)
