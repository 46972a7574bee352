"""Pictures that are kept: the same one once, a bounded number, for a bounded time."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.images import ImageError
from perceptio.pipeline import Perceptio
from perceptio.serving.engine import EngineSettings, UnknownPictureError
from perceptio.serving.engine.pictures import PictureStore


def png(shade: int, width: int = 8, height: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def store(tiny: Perceptio, **settings: float) -> PictureStore:
    return PictureStore(tiny.processor, EngineSettings(**settings))  # type: ignore[arg-type]


def test_the_same_file_is_kept_once(tiny: Perceptio, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(5))
    pictures = store(tiny)
    picture = pictures.add(png(5))
    assert picture.id.startswith("img_")
    assert len(picture.id) == 36
    assert picture.size == (8, 6)
    assert picture.image.getpixel((0, 0)) == (5, 0, 0)
    assert pictures.add(tmp_path / "a.png") is picture
    assert pictures.get(picture.id) is picture
    assert pictures.add(png(6)) is not picture
    assert len(pictures) == 2


def test_arrays_and_images_are_kept_too(tiny: Perceptio) -> None:
    pictures = store(tiny)
    one = pictures.add(np.zeros((6, 8, 3), np.uint8))
    two = pictures.add(Image.new("L", (3, 4)))
    assert (one.size, two.size) == ((8, 6), (3, 4))
    assert pictures.get(one.id) is one


def test_the_one_that_was_not_used_for_longest_goes_first(tiny: Perceptio) -> None:
    pictures = store(tiny, pictures=2)
    one, two = pictures.add(png(1)), pictures.add(png(2))
    pictures.get(one.id)
    three = pictures.add(png(3))
    assert [pictures.get(each.id) for each in (one, three)] == [one, three]
    with pytest.raises(UnknownPictureError):
        pictures.get(two.id)
    assert pictures.forget(one.id)
    assert not pictures.forget(one.id)
    assert len(pictures) == 1


def test_large_pictures_make_room_for_one_another(tiny: Perceptio, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = store(tiny)
    one, two = pictures.add(png(1)), pictures.add(png(2))
    monkeypatch.setattr("perceptio.serving.engine.pictures.MOST_BYTES", 2 * one.nbytes)
    pictures.sweep()
    assert len(pictures) == 2
    three = pictures.add(png(3, 100, 100))
    assert pictures.get(three.id) is three
    assert not any(pictures.forget(each.id) for each in (one, two))


def test_a_picture_expires_after_its_last_use(tiny: Perceptio) -> None:
    pictures = store(tiny, picture_seconds=0.05)
    picture = pictures.add(png(1))
    time.sleep(0.1)
    with pytest.raises(UnknownPictureError):
        pictures.get(picture.id)
    pictures.add(png(2))
    time.sleep(0.1)
    pictures.sweep()
    assert len(pictures) == 0


@pytest.mark.parametrize(
    "wrong",
    [b"", b"no picture", png(1, 101, 100), Image.new("L", (101, 100)), np.zeros((100, 101), np.uint8), "none.png"],
)
def test_what_cannot_be_used_is_not_kept(tiny: Perceptio, wrong: bytes | str) -> None:
    pictures = store(tiny, max_pixels=10_000)
    with pytest.raises(ImageError):
        pictures.add(wrong)
    assert len(pictures) == 0


def test_size_is_checked_before_anything_is_decoded(tiny: Perceptio) -> None:
    cut_short = png(1, 101, 100)[:60]  # its header is whole
    with pytest.raises(ImageError, match="megapixels"):
        store(tiny, max_pixels=10_000).add(cut_short)
