"""Before a request reaches its route: whom it is addressed to, whose page sent it, how large and how slow it is."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.settings import ApiSettings


class Gate:
    """Refuses what is not to be read."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self.app, self.settings = app, settings
        self.held = 0  # bytes of all bodies that are being dealt with

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(Headers(scope=scope))
        except ApiError as error:
            await error.response(scope, receive, send)
            return
        bounded = _Bounded(receive, self)
        try:
            await self.app(scope, bounded, send)
        finally:
            self.held -= bounded.size

    def _check(self, headers: Headers) -> None:
        host = headers.get("host", "")
        hosts = self.settings.hosts
        if hosts is not None and _name(host) not in hosts:
            raise ApiError(403, "this server is not called by that name in the Host header", "host_not_allowed")
        origin = headers.get("origin")
        if origin is not None and origin not in self.settings.cors_origins and _netloc(origin) != host:
            raise ApiError(403, "pages of that origin may not ask this server", "origin_not_allowed")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self.settings.max_body_bytes:
            raise _too_large(self.settings)


class _Bounded:
    """A request's body, counted and timed as it comes in."""

    def __init__(self, receive: Receive, gate: Gate) -> None:
        self._receive, self._gate = receive, gate
        self._whole = False
        self._until: float | None = None
        self.size = 0

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        settings = self._gate.settings
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + settings.body_seconds
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError as error:
            reason = f"the request was not whole after {settings.body_seconds:g} s"
            raise ApiError(408, reason, "request_timeout") from error
        self._count(len(message.get("body", b"")))
        self._whole = not message.get("more_body", False)
        return message

    def _count(self, more: int) -> None:
        settings = self._gate.settings
        self.size += more
        self._gate.held += more
        if self.size > settings.max_body_bytes:
            raise _too_large(settings)
        if self._gate.held > settings.max_held_bytes:
            reason = "the server is busy with large requests: ask again in a moment"
            raise ApiError(429, reason, "rate_limit_exceeded", headers={"Retry-After": "1"})


def _too_large(settings: ApiSettings) -> ApiError:
    return ApiError(
        413, f"the request has more than {settings.max_body_bytes} bytes, the limit here", "request_too_large"
    )


def _name(host: str) -> str:
    """The name of a Host header, without the port and an IPv6 address's brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
