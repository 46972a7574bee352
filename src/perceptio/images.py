"""Any picture a user may hand over, as one upright 8-bit RGB image, or one sentence that says why not.

Every picture of the package is opened here. Pixels decide: metadata that does not parse never makes a picture unusable.
"""

from __future__ import annotations

import errno
import io
import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

# Memory in large blocks goes back to the system once a picture is let go; Pillow's usual 16 MB stay with the process.
Image.core.set_block_size(1 << 26)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "PPM", "ICO", "TGA")
"""The formats that are opened, by Pillow's names: none of them calls another program, as EPS does."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".ppm", ".pgm")
"""How the names of pictures end, where they are looked for in folders."""

MAX_PIXELS = 150_000_000
"""The most pixels an image may have, below Pillow's own guard against decompression bombs."""

WORKING_PIXELS = 25_000_000
"""The most pixels that anything here looks at: far more than the networks read."""

_MAX_PIXELS = {"WEBP": 50_000_000, "AVIF": 50_000_000}  # decoded as a whole, in several copies
_STRIP = 4_000_000  # pixels converted at a time
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
_WARNINGS = threading.Lock()  # their filters are one for all threads

ImageLike = str | os.PathLike[str] | bytes | Image.Image | np.ndarray


class ImageError(ValueError):
    """An image cannot be used; the message is one sentence for people."""


@dataclass(frozen=True, eq=False)
class WorkingImage:
    """A picture as the networks get it."""

    image: Image.Image  # upright RGB, reduced by a whole factor where it has more than `WORKING_PIXELS`
    size: tuple[int, int]  # (width, height) px of the upright original, which masks, boxes and points refer to


def load_image(source: ImageLike, name: str = "") -> Image.Image:
    """Read a picture as an upright RGB image of 8 bits a channel; the source is never changed.

    Args:
        source: a file's path or its content; a Pillow image; or an array, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), of
            uint8, uint16 or bool.
        name: of the picture, for messages; the path, where there is one, by default.

    EXIF rotation is applied. Transparency is laid on white. 16-bit values are scaled to 8 bits over the full range
    0..65535. Of an animation, the first frame is taken. Any size from 1x1 to `MAX_PIXELS` is accepted (to a third of
    that for WebP and AVIF, whose decoders hold several copies).

    Raises:
        ImageError: if there is no such file, it is no image of `FORMATS`, damaged, empty, too large, or of a kind whose
            values cannot be mapped to colours.
    """
    return _load(source, name, None).image


def load_working_image(source: ImageLike, name: str = "") -> WorkingImage:
    """As `load_image`, but of at most `WORKING_PIXELS`, whatever the size of the original.

    Raises:
        ImageError: as `load_image`.
    """
    return _load(source, name, WORKING_PIXELS)


def upright_size(source: str | os.PathLike[str] | bytes) -> tuple[int, int]:
    """Width and height of a picture file, by path or content, as `load_image` will turn it, read from its header alone.

    Raises:
        ImageError: if `load_image` would refuse it for what its header says.
    """
    with _opened(source, _name(source)) as image:
        return _upright_size(image)


@contextmanager
def open_image(
    source: str | os.PathLike[str] | bytes, name: str = "", *, formats: tuple[str, ...] = FORMATS
) -> Iterator[Image.Image]:
    """A picture decoded as it is stored, neither turned nor converted: for maps whose values are no colours.

    Args:
        source: a file's path, or its content.
        name: of the picture, for messages; the path by default.
        formats: that are opened, by Pillow's names.

    Raises:
        ImageError: if it cannot be decoded.
    """
    name = name or _name(source)
    with _opened(source, name, formats) as image:
        _decode(image, name)
        yield image


def _load(source: ImageLike, name: str, most: int | None) -> WorkingImage:
    if isinstance(source, np.ndarray):
        name = name or "the image array"
        return _normalize(_from_array(source, name), name, most)
    if isinstance(source, Image.Image):
        return _normalize(source, name or "the image", most)
    if isinstance(source, (str, os.PathLike, bytes)):
        name = name or _name(source)
        with _opened(source, name) as image:
            size = _upright_size(image)
            factor = _factor(image, most)
            if factor > 1:  # a JPEG's decoder can reduce, and then holds less
                image.draft(image.mode, (image.width // factor, image.height // factor))
            return WorkingImage(_normalize(image, name, most).image, size)
    raise ImageError(f"an image is a path, bytes, a Pillow image or a numpy array, got {type(source).__name__}")


def _name(source: str | os.PathLike[str] | bytes) -> str:
    return "the image" if isinstance(source, bytes) else str(source)


@contextmanager
def _opened(
    source: str | os.PathLike[str] | bytes, name: str, formats: tuple[str, ...] = FORMATS
) -> Iterator[Image.Image]:
    """A picture whose header was read and whose size may be decoded."""
    with _stream(source, name) as file, _open(file, name, formats) as image:
        _check_pixels(image, name)
        yield image


@contextmanager
def _stream(source: str | os.PathLike[str] | bytes, name: str) -> Iterator[IO[bytes]]:
    """What Pillow reads; never a path, for it maps some files into memory, a turned TIFF with its sides swapped."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    _check_path(source, name)
    with Path(source).open("rb") as file:
        yield file


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Pillow's warnings: of its own guard, which `MAX_PIXELS` replaces, and of odd metadata."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(file: IO[bytes], name: str, formats: tuple[str, ...]) -> Image.Image:
    try:
        with _quietly():
            return Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_large(name, int(pixels[1]) if pixels else None, MAX_PIXELS) from error
    except UnidentifiedImageError as error:
        empty = file.seek(0, os.SEEK_END) == 0
        what = "is empty" if empty else f"is not an image of a known format ({', '.join(formats)})"
        raise ImageError(f"{name} {what}") from error
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is") from error
    except Exception as error:  # decoders fail in many ways on damaged headers: OSError, ZeroDivisionError ...
        raise ImageError(f"{name} is damaged: {_reason(error)}") from error


def _check_path(source: str | os.PathLike[str], name: str) -> None:
    if re.match(r"https?:/", name):
        raise ImageError(f"{name} is a web address: download it first and pass the file")
    try:
        kind = os.stat(source or ".").st_mode
    except FileNotFoundError as error:
        raise ImageError(f"there is no image file {name}") from error
    except ValueError as error:  # a NUL
        raise ImageError(f"{name!r} is not a usable path: {error}") from error
    except OSError as error:
        reasons = {errno.EACCES: "permission denied", errno.ENAMETOOLONG: "the name is too long"}
        raise ImageError(f"{name} cannot be read: {reasons.get(error.errno or 0, error.strerror)}") from error
    if stat.S_ISDIR(kind):
        raise ImageError(f"{name} is a folder, not an image file")
    if not stat.S_ISREG(kind):  # a pipe would be waited for, a device has no end
        raise ImageError(f"{name} is a pipe or a device, not an image file")
    if not os.access(source, os.R_OK):
        raise ImageError(f"{name} cannot be read: permission denied")


def _check_pixels(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} is empty: {width}x{height} pixels")
    most = _MAX_PIXELS.get(image.format or "", MAX_PIXELS)
    if width * height > most:
        raise _too_large(name, width * height, most)


def _decode(image: Image.Image, name: str) -> None:
    try:
        image.load()
    except MemoryError as error:
        width, height = image.size
        raise ImageError(f"{name} needs more memory than there is: {width}x{height} pixels") from error
    except Exception as error:  # decoders fail in many ways on damaged files: OSError, SyntaxError, struct.error ...
        raise ImageError(f"{name} is damaged or cut short: {_reason(error)}") from error


def _orientation(image: Image.Image) -> int:
    """By EXIF, 2 to 8, or 1: as stored. What does not parse, is of another type or out of range counts as 1."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, and their size with them
    try:
        with _quietly():
            value = image.getexif().get(_ORIENTATION)
    except Exception:  # parsers fail in many ways on damaged EXIF, and nobody needs it
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in _SWAPS_SIDES else (width, height)


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    shape = array.shape
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = "; move the channels last" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise ImageError(f"an image array is (H, W), (H, W, 3) or (H, W, 4), got {shape}{hint}")
    if 0 in shape:
        raise ImageError(f"{name} is empty: {shape}")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise _too_large(name, array.shape[0] * array.shape[1], MAX_PIXELS)
    if array.dtype == np.uint16:
        array = _to_eight_bit(array)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        hint = "scale it to 0..255 and cast" if array.dtype.kind == "f" else "cast it"
        raise ImageError(f"an image array is of uint8 or uint16, got {array.dtype}: {hint} to uint8")
    return Image.fromarray(np.ascontiguousarray(array))


def _normalize(image: Image.Image, name: str, most: int | None) -> WorkingImage:
    """Check the size, decode, convert to RGB, reduce to `most` pixels, turn upright."""
    _check_pixels(image, name)
    size = _upright_size(image)
    _decode(image, name)
    width, height = image.size
    try:
        picture = _convert(image, name, _factor(image, most))
        orientation = _orientation(image)
        upright = picture.transpose(_TURNS[orientation]) if orientation > 1 else picture
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is: {width}x{height} pixels") from error
    except Exception as error:  # a palette that is missing, a colour profile that does not fit ...
        raise ImageError(f"{name} is damaged: {_reason(error)}") from error
    return WorkingImage(upright, size)


def _factor(image: Image.Image, most: int | None) -> int:
    """By which each side is divided so that at most `most` pixels are left."""
    return 1 if most is None else math.ceil(math.sqrt(max(image.width * image.height / most, 1)))


def _convert(image: Image.Image, name: str, factor: int) -> Image.Image:
    """To RGB, each side divided by `factor`; strip by strip, so that no second copy of the whole is ever held."""
    width, height = image.size
    rows = max(_STRIP // width, 1) * factor
    if rows >= height:
        return _to_rgb(image, name).reduce(factor) if factor > 1 else _to_rgb(image, name)
    whole = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = _to_rgb(image.crop((0, top, width, min(top + rows, height))), name)
        whole.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    return whole


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    """A new RGB image; nothing is shared with the given one."""
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(f"{name} has 32-bit values ({values.min()}..{values.max()}): convert it to 8 bits first")
        return Image.fromarray(_to_eight_bit(values)).convert("RGB")
    if image.mode == "F":
        raise ImageError(f"{name} has floating-point values: convert it to 8 bits first")
    if image.mode == "LAB":
        raise ImageError(f"{name} is in the LAB colour space: convert it to RGB first")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")  # a copy, of an RGB image too


def _to_eight_bit(values: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255, rounded to nearest, in uint8."""
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _too_large(name: str, pixels: int | None, most: int) -> ImageError:
    size = f"{pixels / 1e6:.0f} megapixels" if pixels else "too many pixels"
    return ImageError(f"{name} has {size}; the limit is {most / 1e6:.0f}: make it smaller first")
