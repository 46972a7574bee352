"""Any picture a user may hand over, as one upright 8-bit RGB image, or one sentence that says why not."""

from __future__ import annotations

import errno
import os
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 150_000_000
"""The most pixels an image may have, below Pillow's own guard against decompression bombs."""

ImageLike = str | os.PathLike[str] | Image.Image | np.ndarray

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION, _FIRST_TURNED = 0x0112, 5  # EXIF tag; values from 5 on swap width and height


class ImageError(ValueError):
    """An image cannot be used; the message is one sentence for people."""


def load_image(source: ImageLike) -> Image.Image:
    """Read a picture as an upright RGB image of 8 bits a channel; the source is never changed.

    Args:
        source: a file's path; a Pillow image; or an array, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), of uint8, uint16
            or bool.

    EXIF rotation is applied. Transparency is laid on white. 16-bit values are scaled to 8 bits over the full range
    0..65535. Of an animation, the first frame is taken. Any size from 1x1 to `MAX_PIXELS` is accepted.

    Raises:
        ImageError: if there is no such file, it is no image, damaged, empty, too large, or of a kind whose values
            cannot be mapped to colours.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _normalize(source, "the image")
    if isinstance(source, (str, os.PathLike)):
        return _from_file(source)
    raise ImageError(
        f"an image is a path, a Pillow image or a numpy array, got {type(source).__name__}"
        + ("; wrap bytes: Image.open(io.BytesIO(data))" if isinstance(source, (bytes, bytearray)) else "")
    )


def upright_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height of a picture file as `load_image` will turn it, read from its header alone.

    Raises:
        OSError: if the file is missing or no picture that Pillow knows.
    """
    with Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION, 1) >= _FIRST_TURNED
    return (height, width) if turned else (width, height)


def _from_file(source: str | os.PathLike[str]) -> Image.Image:
    name = os.fspath(source)
    if re.match(r"https?://", str(name)):
        raise ImageError(f"{name} is a web address: download it first and pass the file")
    path = Path(source)
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder, not an image file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is our guard
            with Image.open(path) as image:
                return _normalize(image, str(path))
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"there is no image file {path}") from error
    except PermissionError as error:
        raise ImageError(f"{path} cannot be read: permission denied") from error
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_large(str(path), int(pixels[1]) if pixels else None) from error
    except UnidentifiedImageError as error:
        what = "is empty" if path.stat().st_size == 0 else "is not an image of a known format (PNG, JPEG, WebP, ...)"
        raise ImageError(f"{path} {what}") from error
    except OSError as error:
        reason = "the name is too long" if error.errno == errno.ENAMETOOLONG else error
        raise ImageError(f"{path} cannot be read: {reason}") from error
    except ValueError as error:
        if "\0" in str(name):
            raise ImageError(f"{name!r} is not a usable path: {error}") from error
        raise ImageError(f"{path} is damaged: {error}") from error


def _from_array(array: np.ndarray) -> Image.Image:
    shape = array.shape
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = "; move the channels last" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise ImageError(f"an image array is (H, W), (H, W, 3) or (H, W, 4), got {shape}{hint}")
    if 0 in shape:
        raise ImageError(f"the image array is empty: {shape}")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise _too_large("the image array", array.shape[0] * array.shape[1])
    if array.dtype == np.uint16:
        array = _to_eight_bit(array)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        hint = "scale it to 0..255 and cast" if array.dtype.kind == "f" else "cast it"
        raise ImageError(f"an image array is of uint8 or uint16, got {array.dtype}: {hint} to uint8")
    return _normalize(Image.fromarray(np.ascontiguousarray(array)), "the image array")


def _normalize(image: Image.Image, name: str) -> Image.Image:
    """Check the size, decode, turn upright, convert to RGB."""
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} is empty: {width}x{height} pixels")
    if width * height > MAX_PIXELS:
        raise _too_large(name, width * height)
    try:
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image), name)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is: {width}x{height} pixels") from error
    except Exception as error:  # decoders fail in many ways on damaged files: OSError, SyntaxError, struct.error ...
        raise ImageError(f"{name} is damaged or cut short: {error}") from error


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
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
    return image.convert("RGB")


def _to_eight_bit(values: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255, rounded to nearest, in uint8."""
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _too_large(name: str, pixels: int | None) -> ImageError:
    size = f"{pixels / 1e6:.0f} megapixels" if pixels else "too many pixels"
    return ImageError(f"{name} has {size}; the limit is {MAX_PIXELS / 1e6:.0f}: make it smaller first")
