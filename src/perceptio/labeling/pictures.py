"""The pictures that are to be labelled: files of folders, and members of tar shards."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from perceptio.data.errors import DataError
from perceptio.images import IMAGE_SUFFIXES, ImageError, WorkingImage, load_working_image
from perceptio.labeling.folders import Links, walk_folders
from perceptio.labeling.tar_files import Member, tar_members

_Item = tuple[Path, PurePosixPath, Path, Member | None]  # source, path inside, and where it lies


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

    def read(self) -> WorkingImage:
        """The upright RGB picture.

        Raises:
            ImageError: if it cannot be read.
        """
        if self.member is None:
            return load_working_image(self.path)
        return load_working_image(self._content(self.member), str(self.location))

    def digest(self) -> str:
        """First 16 digits of the SHA-256 of the file.

        Raises:
            ImageError: if it cannot be read.
        """
        if self.member is not None:
            return hashlib.sha256(self._content(self.member)).hexdigest()[:16]
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:16]
        except OSError as error:
            raise ImageError(f"{self.path} cannot be read: {error.strerror}") from error

    def _content(self, member: Member) -> bytes:
        if member.flaw:
            raise ImageError(f"{self.location} {member.flaw}")
        try:
            with self.path.open("rb") as file:
                file.seek(member.offset)
                return file.read(member.size)
        except (OSError, MemoryError) as error:
            raise ImageError(f"{self.location} cannot be read: {error or 'out of memory'}") from error


@dataclass(frozen=True)
class Found:
    """What lies in the sources."""

    pictures: tuple[PictureFile, ...]  # in the order of their keys
    others: Counter[str]  # files that are no pictures by their names, by suffix
    links: Links


def find_pictures(sources: Sequence[Path], suffixes: Sequence[str] = IMAGE_SUFFIXES) -> Found:
    """All pictures of folders, subfolders included, and of uncompressed tar files.

    Hidden files are passed over; other files whose suffix is not of `suffixes` are counted.

    Raises:
        DataError: if a source is neither, two are of one name, or there is no picture.
    """
    names = {source: source.resolve().name for source in sources}
    counts = Counter(source.resolve().name for source in sources)
    double = next((name for name, count in counts.items() if count > 1), None)
    if double is not None:
        raise DataError(f"two sources are named {double!r}, and keys begin with that name: rename one of them")
    folders = [source for source in sources if source.is_dir()]
    files, links = walk_folders(folders)
    archives = [source for source in sources if source not in folders]
    pictures: dict[str, PictureFile] = {}
    others: Counter[str] = Counter()
    for source, inside, path, member in chain(_of_folders(files), _of_archives(archives)):
        key = f"{names[source]}/{inside}"
        if inside.suffix.lower() not in suffixes:
            others[inside.suffix.lower() or inside.name] += 1
        elif key in pictures:
            raise DataError(f"{source} holds {inside} twice: keep one of them")
        else:
            pictures[key] = PictureFile(key, path, member)
    if not pictures:
        raise DataError(
            f"there is no picture in {', '.join(map(str, sources))}: names must end in {', '.join(suffixes)}"
        )
    return Found(tuple(pictures[key] for key in sorted(pictures)), others, links)


def _of_folders(files: Sequence[tuple[Path, Path]]) -> Iterator[_Item]:
    for source, path in files:
        yield source, PurePosixPath(path.relative_to(source).as_posix()), path, None


def _of_archives(archives: Sequence[Path]) -> Iterator[_Item]:
    for source in archives:
        if source.suffix.lower() != ".tar":
            raise DataError(f"{source} is neither a folder nor a .tar file: name one of these")
        for member in tar_members(source):
            inside = PurePosixPath(member.name)
            if not any(part.startswith(".") and part != ".." for part in inside.parts):
                yield source, inside, source, member
