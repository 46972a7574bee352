"""The photographs of a set in a folder of unpacked packages."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.photos.annotations import PackageFile, Photograph, PhotoOrder, read_photo_order
from perceptio.evaluation.photos.resources import ResourceError, ResourceFile
from perceptio.images import load_image

_MEMBER = "!"  # between a resource file and a file inside it
_MISSING, _CHANGED = "missing", "changed"


@dataclass(frozen=True)
class FoundPhotograph:
    """A photograph whose files are there."""

    photograph: Photograph
    root: Path

    @property
    def source(self) -> Path | bytes:
        """Its file, or its content where it lies in a resource file."""
        file = self.photograph.file
        return _content(self.root, file) if _MEMBER in file.path else _place(self.root, file.package, file.path)

    def image(self) -> Image.Image:
        """The picture, upright RGB.

        Raises:
            ImageError: if it has been damaged since it was found.
        """
        return load_image(self.source, self.photograph.name)

    def disparity(self) -> np.ndarray | None:
        """(H, W) float32 measured disparity in px, NaN or infinite where it is unknown; None if none was measured."""
        if self.photograph.disparity is None:
            return None
        with np.load(io.BytesIO(_content(self.root, self.photograph.disparity)), allow_pickle=False) as arrays:
            return arrays[arrays.files[0]].astype(np.float32)


@dataclass(frozen=True)
class PhotoFolder:
    """Which photographs of a set a folder holds."""

    found: tuple[FoundPhotograph, ...]
    missing: dict[str, int]  # by package: how many photographs have no file
    changed: dict[str, int]  # by package: how many have another file than the one that was judged
    digest: str  # SHA-256 of the set


def open_photographs(
    root: str | Path, *, allow_missing: bool = False, photo_order: PhotoOrder | None = None
) -> PhotoFolder:
    """Find the photographs of a set, and compare the hash of each file.

    Args:
        root: holds the files of all packages together, or of each package in a folder of its name.
        allow_missing: leave out what is not there, or is another file than was judged.
        photo_order: the set; by default the one that is part of this package.

    Raises:
        EvaluationError: if photographs are missing or changed.
    """
    root = Path(root)
    photo_order = photo_order or read_photo_order()
    if not root.is_dir():
        raise EvaluationError(f"there is no folder {root}; scripts/fetch_photos.sh fills one")
    states = [(photograph, _state(root, photograph)) for photograph in photo_order.photographs]
    found = tuple(FoundPhotograph(photograph, root) for photograph, state in states if state is None)
    faults = [(photograph, state) for photograph, state in states if state is not None]
    if faults and not (allow_missing and found):
        hint = "; --allow-missing runs on the rest" if found else ""
        raise EvaluationError(
            f"{len(faults)} of {len(states)} photographs are not in {root}, {_told(faults, photo_order.packages)}: "
            f"scripts/fetch_photos.sh gets the packages{hint}"
        )
    missing = Counter(photograph.file.package for photograph, state in faults if state == _MISSING)
    changed = Counter(photograph.file.package for photograph, state in faults if state == _CHANGED)
    return PhotoFolder(found, dict(missing), dict(changed), photo_order.digest)


def _state(root: Path, photograph: Photograph) -> str | None:
    """What is wrong with the files of a photograph."""
    try:
        for file in (photograph.file, photograph.disparity):
            if file is not None and hashlib.sha256(_content(root, file)).hexdigest() != file.sha256:
                return _CHANGED
    except OSError:
        return _MISSING
    except ResourceError:
        return _CHANGED
    return None


def _told(faults: Sequence[tuple[Photograph, str]], packages: Mapping[str, str]) -> str:
    """How many of which package, and the first of them."""
    counts = Counter((photograph.file.package, state) for photograph, state in faults)
    parts = [f"{count} {state} of {name} ({packages[name]})" for (name, state), count in counts.items()]
    first = faults[0][0].file
    return f"{', '.join(parts)}, the first is {first.package}/{first.path}"


def _content(root: Path, file: PackageFile) -> bytes:
    """Raises: OSError if there is no such file, ResourceError if its resource file is damaged or does not hold it."""
    path, _, member = file.path.partition(_MEMBER)
    place = _place(root, file.package, path)
    return _resources(place).read(member) if member else place.read_bytes()


def _place(root: Path, package: str, path: str) -> Path:
    own = root / package / path
    return own if own.is_file() else root / path


@lru_cache(maxsize=4)
def _resources(path: Path) -> ResourceFile:
    return ResourceFile(path)
