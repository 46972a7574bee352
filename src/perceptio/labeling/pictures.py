"""The pictures that are to be labelled: files of folders, and members of tar shards."""

from __future__ import annotations

import io
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from perceptio.data.adapters.source import IMAGE_SUFFIXES
from perceptio.data.errors import DataError
from perceptio.images import ImageError, load_image


@dataclass(frozen=True)
class Member:
    """Where a picture lies in a tar file."""

    name: str
    offset: int  # of its first byte in the tar file
    size: int  # bytes


@dataclass(frozen=True)
class PictureFile:
    """One picture, not read yet."""

    key: str  # name of its source and its path inside, unique in a run
    path: Path  # of the picture, or of the tar file that holds it
    member: Member | None = None

    @property
    def location(self) -> Path:
        """The picture's path; that of a member goes on inside the tar file: shards/0001.tar/a.jpg."""
        return self.path if self.member is None else self.path / self.member.name

    def read(self) -> Image.Image:
        """The upright RGB picture.

        Raises:
            ImageError: if it cannot be read.
        """
        if self.member is None:
            return load_image(self.path)
        try:
            with self.path.open("rb") as file:
                file.seek(self.member.offset)
                content = file.read(self.member.size)
            return load_image(Image.open(io.BytesIO(content)))
        except (OSError, Image.DecompressionBombError) as error:
            raise ImageError(f"{self.location} cannot be read: {error}") from error


@dataclass(frozen=True)
class Found:
    """What lies in the sources."""

    pictures: tuple[PictureFile, ...]  # in the order of their keys
    others: Counter[str]  # files that are no pictures by their names, by suffix


def find_pictures(sources: Sequence[Path]) -> Found:
    """All pictures of folders, subfolders included, and of uncompressed tar files.

    Hidden files are passed over; other files whose suffix is not of `IMAGE_SUFFIXES` are counted.

    Raises:
        DataError: if a source is neither, two are of one name, or there is no picture.
    """
    names = Counter(_name(source) for source in sources)
    double = next((name for name, count in names.items() if count > 1), None)
    if double is not None:
        raise DataError(f"two sources are named {double!r}, and keys begin with that name: rename one of them")
    pictures: dict[str, PictureFile] = {}
    others: Counter[str] = Counter()
    for source in sources:
        for path, member in _tar_files(source) if source.suffix.lower() == ".tar" else _folder_files(source):
            inside = PurePosixPath(member.name) if member else PurePosixPath(path.relative_to(source).as_posix())
            if inside.name.startswith("."):
                continue
            if inside.suffix.lower() not in IMAGE_SUFFIXES:
                others[inside.suffix.lower() or inside.name] += 1
                continue
            picture = PictureFile(f"{_name(source)}/{inside}", path, member)
            if picture.key in pictures:
                raise DataError(f"{source} holds {inside} twice: keep one of them")
            pictures[picture.key] = picture
    if not pictures:
        raise DataError(
            f"there is no picture in {', '.join(map(str, sources))}: names must end in {', '.join(IMAGE_SUFFIXES)}"
        )
    return Found(tuple(pictures[key] for key in sorted(pictures)), others)


def _name(source: Path) -> str:
    return source.resolve().name


def _folder_files(source: Path) -> Iterator[tuple[Path, None]]:
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder nor a .tar file: name one of these")
    for folder, folders, files in os.walk(source, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            yield Path(folder) / name, None


def _tar_files(source: Path) -> Iterator[tuple[Path, Member]]:
    try:
        with tarfile.open(source, "r:") as archive:
            for entry in archive:
                if entry.isfile():
                    yield source, Member(PurePosixPath(entry.name).as_posix(), entry.offset_data, entry.size)
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{source} cannot be read as an uncompressed tar file: {error}") from error


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed must not look empty."""
    raise DataError(f"the folder {error.filename} cannot be listed: {error.strerror}") from error
