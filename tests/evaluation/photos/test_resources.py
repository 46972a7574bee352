"""Files inside Qt resource files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perceptio.evaluation.photos.resources import ResourceError, ResourceFile

FILES = {"cat.png": b"cat" * 100, "B\N{LATIN SMALL LETTER A WITH DIAERESIS}r.webp": b"bear", "empty": b""}


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("flags", [0, 1])
def test_files_are_read_by_their_path(
    tmp_path: Path, resources: Callable[..., bytes], version: int, flags: int
) -> None:
    (tmp_path / "one.rcc").write_bytes(resources(FILES, version, flags))
    found = ResourceFile(tmp_path / "one.rcc")
    assert found.names == sorted(f"pictures/{name}" for name in FILES)
    assert {name: found.read(f"pictures/{name}") for name in FILES} == FILES


def test_what_is_not_there_is_named(tmp_path: Path, resources: Callable[..., bytes]) -> None:
    (tmp_path / "one.rcc").write_bytes(resources(FILES))
    with pytest.raises(ResourceError, match=r"one\.rcc holds no file pictures/dog\.png"):
        ResourceFile(tmp_path / "one.rcc").read("pictures/dog.png")


def test_other_compression_is_refused(tmp_path: Path, resources: Callable[..., bytes]) -> None:
    (tmp_path / "one.rcc").write_bytes(resources(FILES, 3, 4))
    with pytest.raises(ResourceError, match="Zstandard"):
        ResourceFile(tmp_path / "one.rcc").read("pictures/cat.png")


@pytest.mark.parametrize("content", [b"", b"qres", b"\x89PNG" + bytes(100), b"qres" + bytes([0, 0, 0, 9]) + bytes(100)])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.rcc").write_bytes(content)
    with pytest.raises(ResourceError, match=r"one\.rcc"):
        ResourceFile(tmp_path / "one.rcc")


def test_no_damage_gives_another_error(tmp_path: Path, resources: Callable[..., bytes]) -> None:
    whole = resources(FILES)
    refused = 0
    for place in range(len(whole)):
        for damaged in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :]):
            (tmp_path / "one.rcc").write_bytes(damaged)
            try:
                found = ResourceFile(tmp_path / "one.rcc")
                for name in found.names:
                    found.read(name)
            except ResourceError:
                refused += 1
    assert refused > len(whole)
