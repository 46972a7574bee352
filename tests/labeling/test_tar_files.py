"""What lies in tar files of all kinds."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from perceptio.data.errors import DataError
from perceptio.labeling.tar_files import Member, tar_members


def add(
    archive: tarfile.TarFile, name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b""
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, len(content)
    archive.addfile(entry, io.BytesIO(content))


def members(path: Path, fill: Callable[[tarfile.TarFile], None]) -> dict[str, Member]:
    with tarfile.open(path, "w") as archive:
        fill(archive)
    return {member.name: member for member in tar_members(path)}


def test_links_stand_for_their_files(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "first.png", tarfile.SYMTYPE, "more/second.png")  # before what it leads to
        add(archive, "more", tarfile.DIRTYPE)
        add(archive, "more/second.png", tarfile.LNKTYPE, "more/a.png")
        add(archive, "more/a.png", content=b"picture")
        add(archive, "more/up.png", tarfile.SYMTYPE, "../first.png")
        add(archive, "gone.png", tarfile.SYMTYPE, "nowhere.png")
        add(archive, "circle.png", tarfile.SYMTYPE, "circle.png")
        add(archive, "out.png", tarfile.SYMTYPE, "/etc/passwd")

    path = tmp_path / "a.tar"
    found = members(path, fill)
    for name in ("first.png", "more/second.png", "more/a.png", "more/up.png"):
        place = found.pop(name)
        assert path.read_bytes()[place.offset : place.offset + place.size] == b"picture"
        assert place.flaw == ""
    assert {name: member.flaw for name, member in found.items()} == {
        "gone.png": "is a link to nowhere.png, which is not in the tar file",
        "circle.png": "is a link to circle.png, which is not in the tar file",
        "out.png": "is a link to /etc/passwd, which is not in the tar file",
    }


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "pipe.png", tarfile.FIFOTYPE)
        add(archive, "device.png", tarfile.CHRTYPE)

    assert all("pipe or a device" in member.flaw for member in members(tmp_path / "a.tar", fill).values())


def test_names_stay_inside(tmp_path: Path) -> None:
    found = members(
        tmp_path / "a.tar", lambda archive: [add(archive, name) for name in ("/a.png", "./b.png", "../c.png")]
    )
    assert list(found) == ["a.png", "b.png", "../c.png"]
    assert [bool(member.flaw) for member in found.values()] == [False, False, True]


def test_files_with_holes_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a.png")
        entry.pax_headers = {"GNU.sparse.map": "0,4", "GNU.sparse.size": "4096", "GNU.sparse.numblocks": "1"}
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"data"))
    (member,) = tar_members(path)
    assert "holes" in member.flaw


def test_damage_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    members(path, lambda archive: [add(archive, f"{number}.png", content=b"x" * 600) for number in range(3)])
    whole = path.read_bytes()
    second = 512 + 1024
    for content in (
        whole[: second + 100],  # within a header
        whole[: second + 600],  # within a file
        whole[:second] + b"?" + whole[second + 1 :],  # a header of another check sum
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tar cannot be read"):
            tar_members(path)
    path.write_bytes(whole[: 3 * second])  # without the zeros at the end, as some writers leave it
    assert len(tar_members(path)) == 3
