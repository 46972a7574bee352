"""Pictures of surfaces out of packages, each known by its hash."""

from __future__ import annotations

import hashlib

import numpy as np

from perceptio.images import FORMATS, ImageError, open_image
from perceptio.scenes.assets.classes import SurfaceFile
from perceptio.scenes.assets.pack import SURFACE_SIDE, Surface
from perceptio.scenes.assets.packages import Packages
from perceptio.scenes.assets.skipped import Skipped


def read_surface(file: SurfaceFile, packages: Packages) -> tuple[Surface, np.ndarray] | Skipped:
    """A surface picture (256, 256, 3) uint8, first row on top, or why it is not there."""
    name = f"{file.package}/{file.path}"
    if file.package not in packages:
        return Skipped(name, f"the package {file.package} is not there")
    try:
        content = packages.read(file.package, file.path)
    except KeyError:
        return Skipped(name, f"the package {file.package} does not hold them")
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return Skipped(name, f"the package {file.package} holds other pictures of these names")
    try:
        image = _square(content)
    except ImageError:  # the file is the one that was chosen, so Pillow lacks its format
        return Skipped(name, "this Pillow cannot read them")
    return Surface(name, file.group, file.licence, file.credit), image


def _square(content: bytes) -> np.ndarray:
    """Where a picture is twice as long as wide it is laid twice: a crop would no longer repeat."""
    from PIL import Image

    with open_image(content, formats=(*FORMATS, "DDS")) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    height, width = pixels.shape[:2]
    pixels = np.tile(pixels, (max(round(width / height), 1), max(round(height / width), 1), 1))
    side = (SURFACE_SIDE, SURFACE_SIDE)
    return np.asarray(Image.fromarray(pixels).resize(side, Image.Resampling.LANCZOS))
