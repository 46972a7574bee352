"""All files below some folders. Links to folders are followed, each folder once, and never in a circle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perceptio.data.errors import DataError
from perceptio.images import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Links:
    """What became of the links to folders."""

    followed: int = 0
    left_out: tuple[str, ...] = ()  # each with its reason


def walk_folders(tops: Sequence[Path]) -> tuple[list[tuple[Path, Path]], Links]:
    """The files below some folders, each with its top folder; what is hidden is passed over.

    Of two ways to a folder the one without links counts, whatever the order: first come all folders that need none,
    then, link by link, what only links lead to.

    Raises:
        DataError: if a folder cannot be listed.
    """
    walk = _Walk()
    for top in tops:
        walk.enter(top, top, linked=False)
    walk.follow_links()
    return walk.files, Links(walk.followed, tuple(sorted(walk.left_out)))


class _Walk:
    def __init__(self) -> None:
        self.files: list[tuple[Path, Path]] = []
        self.followed = 0
        self.left_out: list[str] = []
        self._links: list[tuple[Path, Path]] = []  # tops and links, not followed yet
        self._seen: dict[tuple[int, int], Path] = {}  # folders by their identity

    def enter(self, top: Path, start: Path, *, linked: bool) -> None:
        """Take the files of a folder and its subfolders.

        Args:
            top: that they belong to.
            start: the folder.
            linked: whether a link led here; then folders that were seen are left out.
        """
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            with _listing(folder):
                state = folder.stat()
                earlier = self._seen.setdefault((state.st_dev, state.st_ino), folder)
                if linked and earlier != folder:
                    self.left_out.append(f"{folder} (leads back to {earlier})")
                    continue
                self.followed += linked and folder == start
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if not entry.name.startswith("."):
                            waiting += self._take(top, folder / entry.name, entry)

    def follow_links(self) -> None:
        """Enter what links lead to, and the links found there, until none is left."""
        while self._links:
            links, self._links = sorted(self._links, key=lambda link: (link[0].resolve().name, link[1])), []
            for top, link in links:
                target = Path(os.path.realpath(link))
                if Path(os.path.realpath(link.parent)).is_relative_to(target):  # above us: it would find everything
                    self.left_out.append(f"{link} (leads back to {target})")
                else:
                    self.enter(top, link, linked=True)

    def _take(self, top: Path, path: Path, entry: os.DirEntry[str]) -> list[Path]:
        """Note a file or a link; returns a subfolder, for later."""
        if entry.is_dir(follow_symlinks=False):
            return [path]
        if not entry.is_symlink() or os.path.isfile(path):
            self.files.append((top, path))
        elif os.path.isdir(path):
            self._links.append((top, path))
        elif os.path.exists(path) or path.suffix.lower() in IMAGE_SUFFIXES:  # the reader will say what is wrong
            self.files.append((top, path))
        else:
            self.left_out.append(f"{path} (leads nowhere)")
        return []


@contextmanager
def _listing(folder: Path) -> Iterator[None]:
    """A folder that cannot be listed must not look empty."""
    try:
        yield
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be listed: {error.strerror}") from error
