"""Every kind of picture a user may hand over: the pixels that come out, or the sentence that says why none do."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from perceptio.images import (
    MAX_PIXELS,
    WORKING_PIXELS,
    ImageError,
    load_image,
    load_working_image,
    open_image,
    upright_size,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def values(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


def refused(source: Any) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_file_array_and_picture_give_the_same_pixels(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(PIXELS), PIXELS):
        np.testing.assert_array_equal(values(load_image(source)), PIXELS)


@pytest.mark.parametrize("extension", ["png", "webp", "bmp", "tiff", "ppm"])
def test_formats_without_loss_are_exact(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    Image.fromarray(PIXELS).save(path, **({"lossless": True} if extension == "webp" else {}))
    np.testing.assert_array_equal(values(load_image(path)), PIXELS)


def test_the_format_is_read_from_the_content_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", format="PNG")
    np.testing.assert_array_equal(values(load_image(tmp_path / "a.jpg")), PIXELS)


@pytest.mark.parametrize("size", [(1, 1), (20000, 10), (10, 20000)])
def test_extreme_sizes_are_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.size == size
    assert (values(image) == (1, 2, 3)).all()


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.png") == f"there is no image file {tmp_path / 'none.png'}"


def test_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path} is a folder, not an image file"


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert refused(tmp_path / "a.png") == f"{tmp_path / 'a.png'} is empty"


@pytest.mark.parametrize("content", [b"hello", bytes(5000), b"%PDF-1.4 ", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    message = refused(tmp_path / "a.png")
    assert message.startswith(f"{tmp_path / 'a.png'} is not an image of a known format")


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "bmp", "tiff", "gif", "ppm"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_file_is_refused(tmp_path: Path, extension: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    path = tmp_path / f"a.{extension}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert str(path) in refused(path)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("seed", range(30))
def test_spoilt_bytes_give_a_picture_or_one_sentence(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for extension in ("png", "jpg", "gif", "tiff"):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).save(buffer, format={"jpg": "JPEG"}.get(extension, extension.upper()))
        content = bytearray(buffer.getvalue())
        for position in rng.integers(0, len(content), 8):
            content[position] = rng.integers(256)
        path = tmp_path / f"a.{extension}"
        path.write_bytes(content)
        try:
            outcome = load_image(path).mode
        except ImageError as error:
            outcome = str(error)
        assert outcome == "RGB" or (str(path) in outcome and "\n" not in outcome)


@pytest.mark.parametrize(("width", "height"), [(16000, 10000), (40000, 40000)])
def test_picture_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, width: int, height: int) -> None:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, format="PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = struct.pack(">II", width, height)  # only the header lies: decoding would fail as damaged
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    assert f"has {width * height // 1_000_000} megapixels; the limit is 150" in refused(tmp_path / "a.png")


def test_array_with_too_many_pixels_is_refused() -> None:
    array = np.broadcast_to(np.uint8(0), (MAX_PIXELS // 10_000 + 1, 10_000))
    assert refused(array).startswith("the image array has 150 megapixels; the limit is 150")


@pytest.mark.parametrize("mode", ["L", "1"])
def test_greyscale_becomes_three_equal_channels(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(PIXELS[..., 0]).convert(mode)
    grey.save(tmp_path / "a.png")
    expected = np.repeat(np.asarray(grey.convert("L"))[..., None], 3, axis=2)
    for source in (grey, tmp_path / "a.png"):
        np.testing.assert_array_equal(values(load_image(source)), expected)


def test_sixteen_bits_are_scaled_over_the_full_range(tmp_path: Path) -> None:
    deep = np.array([[0, 128, 129, 257, 32767, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    expected = np.round(deep.astype(np.float64) / 65535 * 255).astype(np.uint8)
    assert expected.tolist() == [[0, 0, 1, 1, 127, 128, 254, 255, 255]]
    Image.fromarray(deep).save(tmp_path / "a.png")
    Image.fromarray(deep).save(tmp_path / "a.tiff")
    whole = Image.fromarray(deep.astype(np.int32))
    assert whole.mode == "I"
    for source in (deep, tmp_path / "a.png", tmp_path / "a.tiff", Image.fromarray(deep), whole):
        np.testing.assert_array_equal(values(load_image(source)), np.repeat(expected[..., None], 3, axis=2))


def test_thirty_two_bit_values_are_refused() -> None:
    for extreme in (65536, -1):
        message = refused(Image.fromarray(np.array([[0, extreme]], dtype=np.int32)))
        assert "has 32-bit values" in message
        assert str(extreme) in message


def test_floating_values_are_refused(tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32))
    picture.save(tmp_path / "a.tiff")
    for source in (picture, tmp_path / "a.tiff"):
        assert "has floating-point values: convert it to 8 bits first" in refused(source)


def test_lab_colours_are_refused() -> None:
    assert "LAB" in refused(Image.new("LAB", (3, 3)))


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    layered = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128], [10, 20, 30, 0]]], dtype=np.uint8)
    Image.fromarray(layered).save(tmp_path / "a.png")
    for source in (layered, Image.fromarray(layered), tmp_path / "a.png"):
        assert values(load_image(source)).tolist() == [[[255, 0, 0], [255, 255, 255], [127, 127, 127], [255, 255, 255]]]


def test_transparent_grey_is_laid_on_white(tmp_path: Path) -> None:
    picture = Image.merge("LA", (Image.new("L", (2, 1), 40), Image.fromarray(np.array([[255, 0]], dtype=np.uint8))))
    picture.save(tmp_path / "a.png")
    assert values(load_image(tmp_path / "a.png")).tolist() == [[[40, 40, 40], [255, 255, 255]]]


def test_transparent_palette_is_laid_on_white(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    picture.putpalette([10, 20, 30, 200, 100, 0, 0, 0, 255])
    assert picture.mode == "P"
    picture.save(tmp_path / "plain.png")
    assert values(load_image(tmp_path / "plain.png")).tolist() == [[[10, 20, 30], [200, 100, 0], [0, 0, 255]]]
    for name in ("one.png", "one.gif"):
        picture.save(tmp_path / name, transparency=1)
        assert values(load_image(tmp_path / name)).tolist() == [[[10, 20, 30], [255, 255, 255], [0, 0, 255]]]


def test_transparent_colour_of_an_rgb_file_is_laid_on_white(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    picture.save(tmp_path / "a.png", transparency=(1, 2, 3))
    assert values(load_image(tmp_path / "a.png")).tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_printing_colours_become_rgb(tmp_path: Path) -> None:
    picture = Image.fromarray(PIXELS).convert("CMYK")
    np.testing.assert_array_equal(values(load_image(picture)), PIXELS)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(called) print showpage\n"
EMF = struct.pack("<II", 1, 108) + bytes(32) + b" EMF" + bytes(64)


@pytest.mark.parametrize("content", [EPS, EMF, b"\xd7\xcd\xc6\x9a" + bytes(40), b"/* XPM */\n"])
@pytest.mark.parametrize("name", ["b.png", "b.eps"])
def test_formats_that_start_a_program_or_are_not_listed_are_not_opened(
    tmp_path: Path, content: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"a program was started: {arguments}")

    monkeypatch.setattr("subprocess.Popen", started)
    (tmp_path / name).write_bytes(content)
    assert "is not an image of a known format" in refused(tmp_path / name)
    assert "is not an image of a known format" in refused(content)
    with pytest.raises(ImageError, match=name):
        upright_size(tmp_path / name)


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert refused(tmp_path / "a.png") == f"{tmp_path / 'a.png'} is a pipe or a device, not an image file"
    assert "is a pipe or a device" in refused("/dev/zero")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "I;16", "CMYK", "LA"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_working_image_is_the_reduced_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, orientation: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (101, 63, 4), dtype=np.uint8)
    picture = Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    (picture if mode == "I;16" else picture.convert(mode)).save(path, exif=exif)
    whole = load_image(path)
    for most, factor in ((101 * 63, 1), (101 * 63 - 1, 2), (800, 3)):
        monkeypatch.setattr("perceptio.images.WORKING_PIXELS", most)
        monkeypatch.setattr("perceptio.images._STRIP", 63 * 7)
        working = load_working_image(path)
        assert working.size == whole.size == upright_size(path)
        assert working.image.size == (-(-whole.width // factor), -(-whole.height // factor))
        if orientation == 1:
            np.testing.assert_array_equal(values(working.image), values(whole.reduce(factor)))


def test_a_large_picture_becomes_a_small_working_image(tmp_path: Path) -> None:
    Image.new("1", (12000, 12000)).save(tmp_path / "a.png")
    working = load_working_image(tmp_path / "a.png")
    assert working.size == (12000, 12000)
    assert working.image.width * working.image.height <= WORKING_PIXELS


def test_the_name_that_is_given_stands_in_messages(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^line 3 of a\.tsv is not an image"):
        load_image(b"hello", "line 3 of a.tsv")
    with pytest.raises(ImageError, match=r"^line 3 of a\.tsv is not an image"), open_image(b"hello", "line 3 of a.tsv"):
        pass


def test_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        with Image.open(tmp_path / name) as animation:
            assert animation.n_frames == 2
        assert (values(load_image(tmp_path / name)) == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PIXELS[..., 0], np.repeat(PIXELS[..., :1], 3, axis=2)),
        (PIXELS[..., :1], np.repeat(PIXELS[..., :1], 3, axis=2)),
        (PIXELS[::-1, ::2], PIXELS[::-1, ::2]),
        (np.asfortranarray(PIXELS), PIXELS),
        (PIXELS[..., 0] > 99, np.repeat(np.where(PIXELS[..., :1] > 99, 255, 0), 3, axis=2)),
        (PIXELS.astype(np.uint16) * 257, PIXELS),
    ],
    ids=["grey", "one channel", "strided", "fortran", "bool", "uint16"],
)
def test_arrays_of_every_accepted_kind(array: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(values(load_image(array)), expected)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"got (3, 20, 30); move the channels last"),
        (np.zeros((20, 30, 2), np.uint8), "got (20, 30, 2)"),
        (np.zeros((1, 20, 30, 3), np.uint8), "got (1, 20, 30, 3)"),
        (np.zeros(5, np.uint8), "got (5,)"),
        (np.zeros((0, 30, 3), np.uint8), "the image array is empty: (0, 30, 3)"),
        (np.zeros((20, 0), np.uint8), "the image array is empty: (20, 0)"),
        (np.zeros((2, 2, 3), np.float32), "got float32: scale it to 0..255 and cast to uint8"),
        (np.zeros((2, 2, 3), np.int64), "got int64: cast it to uint8"),
        (np.zeros((2, 2, 3), np.complex64), "got complex64"),
        (np.full((2, 2), "a"), "got <U1"),
        (np.full((2, 2), None), "got object"),
    ],
)
def test_arrays_of_other_kinds_are_refused(array: np.ndarray, complaint: str) -> None:
    assert complaint in refused(array)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (None, "got NoneType"),
        (3, "got int"),
        ([[1, 2]], "got list"),
        (b"\x89PNG", "the image is not an image of a known format"),
        (b"", "the image is empty"),
        ("https://example.org/a.png", "is a web address: download it first"),
        ("a\0b.png", "is not a usable path"),
        ("a" * 5000, "the name is too long"),
        ("", "is a folder"),
    ],
)
def test_sources_of_other_kinds_are_refused(source: Any, complaint: str) -> None:
    assert complaint in refused(source)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_protected_file_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    assert refused(tmp_path / "a.png").endswith("permission denied")


def test_overlong_text_in_a_file_is_not_blamed_on_the_path(tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=notes)
    message = refused(tmp_path / "a.png")
    assert "path" not in message.replace(str(tmp_path), "")
    assert "damaged" in message


def test_a_closed_picture_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pass
    assert "the image is damaged" in refused(picture)


def test_the_source_is_never_changed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format="PNG", exif=exif)
    picture = Image.open(buffer)
    load_image(picture)
    assert picture.size == (30, 20)
    np.testing.assert_array_equal(np.asarray(picture), PIXELS)
    rgb = Image.fromarray(PIXELS)
    load_image(rgb).putpixel((0, 0), (1, 1, 1))
    np.testing.assert_array_equal(np.asarray(rgb), PIXELS)
    array = PIXELS.copy()
    load_image(array).putpixel((0, 0), (1, 1, 1))
    np.testing.assert_array_equal(array, PIXELS)
