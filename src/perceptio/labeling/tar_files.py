"""The files in an uncompressed tar file, where each begins and how long it is: nothing is unpacked."""

from __future__ import annotations

import posixpath
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from perceptio.data.errors import DataError

_LARGEST = 1_000_000_000  # bytes: a member is read as a whole, and no picture has as many
_LONGEST_CHAIN = 40  # links that lead to links, as many as Linux follows


@dataclass(frozen=True)
class Member:
    """Where a file lies in a tar file."""

    name: str  # relative, its path if it were unpacked
    offset: int = 0  # of its first byte in the tar file
    size: int = 0  # bytes
    flaw: str = ""  # why it cannot be read: the rest of a sentence that begins with its name


def tar_members(path: Path) -> list[Member]:
    """The members of a tar file that are no folders; a link stands for the file that it leads to.

    Raises:
        DataError: if it is no uncompressed tar file, or damaged.
    """
    members: list[Member] = []
    links: dict[str, str] = {}
    try:
        if not path.is_file():  # a pipe would be waited for
            raise OSError("there is no such file")
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                if entry.size < 0:  # the reader would go round in a circle
                    raise tarfile.ReadError("a member is of negative size")
                if not entry.isdir():
                    members.append(_member(entry))
                if entry.islnk() or entry.issym():
                    links[members[-1].name] = _target(entry)
                archive.members = []  # type: ignore[attr-defined]  # they are kept otherwise, and may be millions
            _check_end(archive)
    except (OSError, ValueError, tarfile.TarError, MemoryError, OverflowError) as error:
        raise DataError(f"{path} cannot be read as an uncompressed tar file: {error}") from error
    if links:
        files = {member.name: member for member in members if member.name not in links}
        members = [_followed(member, files, links) if member.name in links else member for member in members]
    return members


def _member(entry: tarfile.TarInfo) -> Member:
    name, flaw = _inside(entry.name), ""
    if ".." in PurePosixPath(name).parts:
        flaw = "has a name that leads out of the tar file: pack it anew"
    elif not (entry.isreg() or entry.islnk() or entry.issym()):
        flaw = "is a pipe or a device, not an image file"
    elif entry.issparse():
        flaw = "is stored with holes: pack it anew without --sparse"
    elif entry.size > _LARGEST:
        flaw = f"has {entry.size / 1e9:.1f} GB; the limit is {_LARGEST / 1e9:.0f}"
    return Member(name, entry.offset_data, entry.size, flaw)


def _inside(name: str) -> str:
    """A relative path: tar too takes away the "/" that a name begins with."""
    return PurePosixPath(name.lstrip("/")).as_posix()


def _target(entry: tarfile.TarInfo) -> str:
    """The path inside that a link leads to: a hard link names it from the top, a symbolic one from its folder."""
    if entry.islnk():
        return _inside(entry.linkname)
    return posixpath.normpath(posixpath.join(posixpath.dirname(_inside(entry.name)), entry.linkname))


def _followed(link: Member, files: dict[str, Member], links: dict[str, str]) -> Member:
    target = links[link.name]
    for _ in range(_LONGEST_CHAIN):
        if target in files:
            found = files[target]
            return replace(link, offset=found.offset, size=found.size, flaw=link.flaw or found.flaw)
        target = links.get(target, target)
    return replace(link, flaw=f"is a link to {target}, which is not in the tar file")


def _check_end(archive: tarfile.TarFile) -> None:
    """Complain of an archive that does not end where the reading did: damage passes for the end otherwise."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"damaged at byte {archive.offset}")
