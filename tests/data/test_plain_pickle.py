"""Pickles of plain data, and those that are none."""

from __future__ import annotations

import pickle
import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest

from perceptio.data.plain_pickle import RefusedClassError, read_plain_pickle

PROTOCOL = b"\x80\x04"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1, "b": [None, True, False, 1.5, -7, 10**30], 3: ("x", "ä", ())}, {}],
        [["same"] * 3] * 2,
        {"text": "x" * 300, "numbers": list(range(300))},
    ],
)
def test_plain_data_is_read(value: Any, protocol: int) -> None:
    assert read_plain_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("content", [b"cos\nsystem\n.", PROTOCOL + b"\x8c\x02os\x8c\x06system\x93."])
def test_whatever_could_run_code_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(RefusedClassError, match=r"os\.system"):
        read_plain_pickle(content)


@pytest.mark.parametrize(
    "content",
    [
        PROTOCOL + b"]r" + struct.pack("<I", 2**24) + b".",  # a place in the table of what was read before
        PROTOCOL + b"\x96" + struct.pack("<Q", 10**9),  # an array of bytes
        PROTOCOL + b"\x8d" + struct.pack("<Q", 10**10) + b".",  # a text
        PROTOCOL + b"\x8b" + struct.pack("<i", 2**31 - 1) + b".",  # a number
        PROTOCOL + b"\x95" + struct.pack("<Q", 2**62) + b".",  # a frame
    ],
)
def test_a_number_in_a_pickle_takes_no_memory(content: bytes) -> None:
    tracemalloc.start()
    with suppress(pickle.UnpicklingError):
        read_plain_pickle(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    "content",
    [
        PROTOCOL + b"})" + b"\x85" * 1000 + b"K\x01s.",  # a key that is a tuple in a tuple in a tuple ...
        PROTOCOL + b"}()" + b"\x85" * 1000 + b"K\x01u.",
        PROTOCOL + b"(]K\x01d.",
        PROTOCOL + b"\x8f.",  # a set
        PROTOCOL + b"]}b.",  # a state
        PROTOCOL + b"]]R.",  # a call
        PROTOCOL + b"(ios\nsystem\n.",  # an object
        PROTOCOL + b"K\x01Q.",  # somebody's own reference
        b"",
    ],
)
def test_what_is_not_plain_is_refused(content: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        read_plain_pickle(content)
