"""Odd inputs made from good ones: bytes, texts and JSON values, changed as editors, disks and attackers change them."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    3,
    10**9,
    10**20,
    -(10**20),
    0.5,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "1",
    "a" * 5000,
    "\x00",
    "\ud800",
    "\u2028\x85\x0b",
    "../../etc/passwd",
    "/dev/zero",
    "http://example.org/a.png",
    [],
    [[]],
    {},
    {"a": 1},
    [None] * 3,
    list(range(2000)),
)
_INSERTS = (b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r\n", b"\xe2\x80\xa8", b"\xc2\x85", b"\xe4", b'"', b"{", b"[" * 2000)
_NUMBERS = (b"0", b"-1", b"999999999999", b"1e308", b"NaN", b"Infinity", b"null", b'"x"', b"[]", b"9" * 5000)


def bytes_from(content: bytes, rng: random.Random) -> bytes:
    """A few changes of bytes: flips, cuts, repeats, inserts, numbers of headers."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(7):
            case 0:
                changed[place:] = b""
            case 1:
                changed[place : place + rng.randint(1, 40)] = b""
            case 2:
                changed[place:place] = changed[place : place + rng.randint(1, 400)]
            case 3:
                changed[place:place] = rng.choice(_INSERTS)
            case 4:
                changed[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", bytes(4)))
            case 5 if changed:
                early = rng.randrange(min(len(changed), 200))  # where headers stand
                changed[early] = rng.randrange(256)
            case _ if changed:
                changed[min(place, len(changed) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def text_from(content: bytes, rng: random.Random) -> bytes:
    """As `bytes_from`, or one number of a text replaced by an odd one."""
    digits = [place for place, byte in enumerate(content) if 48 <= byte < 58]
    if not digits or rng.random() < 0.5:
        return bytes_from(content, rng)
    first = last = rng.choice(digits)
    while first > 0 and content[first - 1 : first] in b"0123456789.-":
        first -= 1
    while last < len(content) and content[last : last + 1] in b"0123456789.":
        last += 1
    return content[:first] + rng.choice(_NUMBERS) + content[last:]


def value_from(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one of its parts, at any depth, replaced, removed, repeated or renamed."""
    changed = copy.deepcopy(value)
    places = list(_places(changed))
    if not places:
        return rng.choice(ODD_VALUES)
    holder, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 1:
            holder[rng.choice(("extra", "", "\ud800", key + " "))] = holder.pop(key)
        case _:
            holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return changed


def json_from(value: Any, rng: random.Random) -> bytes:
    """A JSON text of a changed value, or a changed text of the value."""
    if rng.random() < 0.3:
        return text_from(json.dumps(value).encode(), rng)
    return json.dumps(value_from(value, rng)).encode()


def _places(value: Any) -> Any:
    """Every (holder, key) below a value."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(inner)
