"""Pictures that were changed as disks and attackers change them: an answer or a refusal, never a failure."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import pytest
from starlette.testclient import TestClient

from perceptio.serving.engine import Engine

from ...fuzz.mutations import bytes_from
from .conftest import client_of, data_url, picture_bytes

KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "ICO", "TGA", "PPM")


@cache
def good(kind: str) -> bytes:
    return picture_bytes(kind, (48, 32))


def statuses(client: TestClient, count: int) -> Counter[int]:
    """What the server says to so many of them, sent in every way there is."""
    found: Counter[int] = Counter()
    for number in range(count):
        rng = random.Random(number)
        content = bytes_from(good(KINDS[number % len(KINDS)]), rng)
        match rng.randrange(3):
            case 0:
                reply = client.post("/v1/images", files={"image": content})
            case 1:
                files = {"image": content, "points": (None, "[[5, 5]]")}
                reply = client.post("/v1/perceive", files=files)
            case _:
                reply = client.post("/v1/perceive", json={"image": data_url(content), "boxes": [1, 1, 9, 9]})
        found[reply.status_code] += 1
        assert reply.status_code in (200, 400), (number, reply.text)
        if reply.status_code == 400:
            assert reply.json()["error"]["code"] == "invalid_image", (number, reply.text)
    return found


def test_a_few_corrupted_pictures(client: TestClient) -> None:
    found = statuses(client, 30)
    assert found[200] > 0
    assert found[400] > 0


@pytest.mark.slow
def test_many_corrupted_pictures(engine: Engine) -> None:
    client = client_of(engine)
    statuses(client, 500)
    assert engine.ready
    assert client.post("/v1/images", files={"image": good("PNG")}).status_code == 200
