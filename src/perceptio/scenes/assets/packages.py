"""Debian packages in a folder: unpacked trees, or `.deb` files, which are unpacked for the time of the work."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from perceptio.scenes.assets.skipped import AssetError

# The versions that the tables were written for.
VERSIONS = {
    "sweethome3d-furniture": "1.8-1",
    "supertuxkart-data": "1.4+dfsg-2",
    "mypaint-data": "2.0.1-9",
    "0ad-data": "0.0.26-1",
}
FURNITURE = "sweethome3d-furniture"


class Packages:
    """Where the files of packages lie; made by `open_packages`."""

    def __init__(self, roots: dict[str, Path], still_open: ExitStack) -> None:
        self._roots, self._open = roots, still_open
        self._archives: dict[Path, zipfile.ZipFile] = {}
        self.versions = {name: _version(root, name) for name, root in sorted(roots.items())}

    def __contains__(self, package: str) -> bool:
        return package in self._roots

    def path(self, package: str, path: str) -> Path:
        """Where a file of a package that is here lies, whether or not it is there."""
        return self._roots[package] / path

    def read(self, package: str, path: str) -> bytes:
        """A file of a package that is here; `archive.zip!file` is a file within a zip of the package.

        Raises:
            KeyError: if there is none, or it cannot be read.
        """
        outer, _, member = path.partition("!")
        try:
            if member:
                return self._archive(self.path(package, outer)).read(member)
            return self.path(package, outer).read_bytes()
        except (OSError, zipfile.BadZipFile) as error:
            raise KeyError(path) from error

    def _archive(self, path: Path) -> zipfile.ZipFile:
        if path not in self._archives:
            self._archives[path] = self._open.enter_context(zipfile.ZipFile(path))
        return self._archives[path]

    def other_versions(self) -> list[str]:
        """For each package of another version than the tables were written for a sentence."""
        return [
            f"{name} is version {version or 'unknown'}, the tables were written for {VERSIONS[name]}"
            for name, version in self.versions.items()
            if name in VERSIONS and version != VERSIONS[name]
        ]


@contextmanager
def open_packages(folder: str | os.PathLike[str], names: Iterable[str]) -> Iterator[Packages]:
    """Find packages in a folder: as trees (`usr/share/...`) in it or in a folder of the package's name, or as `.deb`.

    Raises:
        AssetError: if there is no such folder, a `.deb` stands there twice or cannot be unpacked.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AssetError(f"there is no folder {folder}")
    with tempfile.TemporaryDirectory(prefix="perceptio-assets-") as scratch, ExitStack() as still_open:
        found = {name: _root(folder, name, Path(scratch)) for name in names}
        yield Packages({name: root for name, root in found.items() if root is not None}, still_open)


def _root(folder: Path, name: str, scratch: Path) -> Path | None:
    for place in (folder / name, folder):
        if (place / "usr/share/doc" / name).is_dir():
            return place
    archives = sorted(folder.glob(f"{name}_*.deb"))
    if len(archives) > 1:
        both = ", ".join(path.name for path in archives)
        raise AssetError(f"{folder} holds {name} more than once ({both}): leave one")
    return _unpack(archives[0], scratch / name) if archives else None


def _unpack(archive: Path, target: Path) -> Path:
    if shutil.which("dpkg-deb") is None:
        raise AssetError(f"{archive.name} needs dpkg-deb, which is not here: unpack it with `ar` and `tar`")
    done = subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise AssetError(f"{archive} cannot be unpacked: {reason}")
    return target


def _version(root: Path, name: str) -> str | None:
    for changelog in ("changelog.Debian.gz", "changelog.gz"):
        try:
            with gzip.open(root / "usr/share/doc" / name / changelog, "rt", encoding="utf-8", errors="replace") as file:
                found = re.match(r"\S+ \(([^)]+)\)", file.readline())
        except (OSError, EOFError):
            continue
        if found:
            return found[1]
    return None
