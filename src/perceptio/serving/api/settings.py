"""How the server guards itself."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perceptio.files.text import read_text

KEY_VARIABLE = "PERCEPTIO_API_KEY"
_SHORTEST_KEY = 16
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ApiSettings:
    """How the server guards itself; the limits of questions and pictures are those of the engine."""

    api_key: str | None = None  # None: everyone may ask
    hosts: tuple[str, ...] | None = _LOCAL  # names by which it may be called, against DNS rebinding; None: any
    cors_origins: tuple[str, ...] = ()  # pages of other addresses whose scripts may ask
    remote_images: bool = False  # fetch pictures from public web addresses
    max_body_bytes: int = 32_000_000
    max_held_bytes: int = 512_000_000  # of all bodies that are being dealt with at a time
    body_seconds: float = 30.0  # that a client may take to send its request
    remote_seconds: float = 10.0  # that a picture from the web may take, redirects included


def check_address(host: str, api_key: str | None) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        ValueError: if the address is not loopback and there is no key.
    """
    if api_key is None and not is_loopback(host):
        raise ValueError(
            f"--host {host} can be reached from other machines, so a key is required: set {KEY_VARIABLE} or give "
            f"--api-key-file (openssl rand -hex 24 makes a key)"
        )


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def allowed_hosts(host: str, more: tuple[str, ...]) -> tuple[str, ...] | None:
    """By which names a server on `host` may be called: any where that is not loopback and none is given."""
    if is_loopback(host) or more:
        return (*_LOCAL, host, *more)
    return None


def check_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """Origins of pages, as browsers send them.

    Raises:
        ValueError: if one is none; "*" is none: it would let every page ask.
    """
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", origin):
            raise ValueError(f"--cors-origin must be like https://example.org, in small letters, not {origin!r}")
    return tuple(origins)


def read_key(file: Path | None) -> str | None:
    """The key of a file, or of the environment; None where there is neither.

    Raises:
        ValueError: if the file cannot be read, or the key is short or holds what no header can.
    """
    where = KEY_VARIABLE if file is None else str(file)
    key = os.environ.get(KEY_VARIABLE) if file is None else read_text(file).strip()
    if key is None:
        return None
    if len(key) < _SHORTEST_KEY or not re.fullmatch("[!-~]+", key):
        raise ValueError(
            f"the key in {where} must be at least {_SHORTEST_KEY} letters, digits and signs without a blank: "
            "openssl rand -hex 24 makes one"
        )
    return key
