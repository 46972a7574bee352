"""Pictures that are kept for further questions: bounded in number, dropped when nobody has used them for a while."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.decoding.perceiving import LoadedPictures, Perceived, load_pictures
from perceptio.images import ImageError, ImageLike, load_working_image, upright_size
from perceptio.model.processing import PerceptioProcessor
from perceptio.serving.engine.errors import UnknownPictureError
from perceptio.serving.engine.settings import EngineSettings

MOST_BYTES = 2_000_000_000
"""Of all pictures that are kept and what was found out of them, but for the newest, whatever their number."""


@dataclass(eq=False)
class StoredPicture:
    """A picture that an engine keeps. It stays usable for whoever holds it, even when it is kept no longer."""

    id: str  # of its content where it came as a file: the same file has the same
    loaded: LoadedPictures  # itself alone
    expires_s: float  # how long it is kept after its last use
    perceived: Perceived | None = field(default=None, repr=False)  # from its first query on
    used_at: float = field(default_factory=time.monotonic, repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px, upright: what masks, points and boxes refer to."""
        return self.loaded.images[0].size

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        tensors = self.loaded.pixel_values.nbytes + self.loaded.sam_pixels.nbytes
        return 3 * self.image.width * self.image.height + (self.perceived.nbytes if self.perceived else tensors)

    @property
    def image(self) -> Image.Image:
        """Upright RGB, reduced by a whole factor where the original is very large."""
        return self.loaded.images[0].image


class PictureStore:
    """The pictures of an engine, for any number of threads.

    Args:
        processor: of the engine's model.
        settings: how many pictures are kept, for how long, and how large one may be.
    """

    def __init__(self, processor: PerceptioProcessor, settings: EngineSettings) -> None:
        self._processor, self._settings = processor, settings
        self._kept: OrderedDict[str, StoredPicture] = OrderedDict()  # the one that was not used for longest first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, source: ImageLike) -> StoredPicture:
        """Load a picture, unless it is kept already.

        Raises:
            ImageError: if it cannot be used, or has more pixels than the settings allow.
        """
        if isinstance(source, (str, os.PathLike)):
            upright_size(source)  # says what is wrong with a path
            source = Path(source).read_bytes()
        key = hashlib.sha256(source).hexdigest()[:32] if isinstance(source, bytes) else secrets.token_hex(16)
        image_id = f"img_{key}"
        known = self._find(image_id)
        if known is not None:
            return known
        self._check_pixels(source)
        loaded = load_pictures(self._processor, [load_working_image(source)])
        picture = StoredPicture(image_id, loaded, self._settings.picture_seconds)
        with self._lock:
            picture = self._kept.setdefault(image_id, picture)  # another thread may have been quicker
            self._kept.move_to_end(image_id)
        self.sweep()
        return picture

    def get(self, image_id: str) -> StoredPicture:
        """The picture of an id.

        Raises:
            UnknownPictureError: if it is not kept, or no longer.
        """
        picture = self._find(image_id)
        if picture is None:
            raise UnknownPictureError("there is no picture of this id, or it is kept no longer: upload it again")
        return picture

    def forget(self, image_id: str) -> bool:
        """Keep a picture no longer; says whether it was kept."""
        with self._lock:
            return self._kept.pop(image_id, None) is not None

    def sweep(self) -> None:
        """Drop what is too old or too many."""
        with self._lock:
            self._drop_old()
            taken = sum(picture.nbytes for picture in self._kept.values())
            while len(self._kept) > self._settings.pictures or (taken > MOST_BYTES and len(self._kept) > 1):
                taken -= self._kept.popitem(last=False)[1].nbytes

    def _find(self, image_id: str) -> StoredPicture | None:
        with self._lock:
            self._drop_old()
            picture = self._kept.get(image_id)
            if picture is not None:
                picture.used_at = time.monotonic()
                self._kept.move_to_end(image_id)
            return picture

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self._settings.picture_seconds
        while self._kept and next(iter(self._kept.values())).used_at < oldest:
            self._kept.popitem(last=False)

    def _check_pixels(self, source: bytes | Image.Image | np.ndarray) -> None:
        if isinstance(source, bytes):
            width, height = upright_size(source)
        elif isinstance(source, Image.Image):
            width, height = source.size
        else:
            height, width = (*source.shape, 1, 1)[:2]
        if width * height > self._settings.max_pixels:
            raise ImageError(
                f"the image has {width * height / 1e6:.1f} megapixels; the limit here is "
                f"{self._settings.max_pixels / 1e6:.1f}: make it smaller first"
            )
