"""Around every request: an id, a line of log, the counts, and one plain sentence for our own mistakes."""

from __future__ import annotations

import logging
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perceptio.serving.api.connection import ClientGoneError
from perceptio.serving.api.errors import internal_error
from perceptio.serving.api.service import Service

ACCESS = logging.getLogger("perceptio.access")
ERRORS = logging.getLogger("perceptio.errors")
_METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS")  # others are counted as one
GONE = 499  # in the log alone: the client has closed the connection


class Watch:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, began = f"req_{secrets.token_hex(8)}", time.perf_counter()
        scope.setdefault("state", {})["request_id"] = request_id
        status, gone = 0, False

        async def receive_watched() -> Message:
            nonlocal gone
            message = await receive()
            gone = gone or (message["type"] == "http.disconnect" and not ended)
            return message

        ended = False

        async def send_watched(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
                if self.service.closing:
                    message["headers"].append((b"connection", b"close"))
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self.app(scope, receive_watched, send_watched)
        except ClientGoneError:
            gone = True
        except Exception:
            ERRORS.exception("%s failed", request_id)
            if status:
                raise  # the reply has begun: all that is left is to break it off
            await internal_error(request_id).response(scope, receive, send_watched)
        finally:
            self._note(scope, request_id, GONE if gone else status, time.perf_counter() - began)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self.service.metrics.request(method, route, status, seconds)
        client = (scope.get("client") or ("-",))[0]
        path = scope["path"].encode("unicode_escape").decode()[:200]  # no line ends of a client's making
        ACCESS.info('%s "%s %s" %d %.0f ms %s', client, scope["method"], path, status, 1000 * seconds, request_id)
