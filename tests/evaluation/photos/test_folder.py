"""Photographs in a folder of unpacked packages: found, missing, changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.photos.annotations import PhotoOrder
from perceptio.evaluation.photos.folder import open_photographs


def test_files_and_members_are_found(photo_order: PhotoOrder, packages: Path) -> None:
    folder = open_photographs(packages, photo_order=photo_order)
    assert [found.photograph.name for found in folder.found] == ["cat", "tree", "bear"]
    assert (folder.missing, folder.changed) == ({}, {})
    assert [found.image().size for found in folder.found] == [(60, 40)] * 3
    disparities = [found.disparity() for found in folder.found]
    assert disparities[0] is not None
    assert disparities[0].shape == (40, 60)
    assert disparities[1:] == [None, None]


def test_packages_may_lie_in_one_folder(photo_order: PhotoOrder, packages: Path, tmp_path: Path) -> None:
    for package in packages.iterdir():
        shutil.copytree(package, tmp_path / "together", dirs_exist_ok=True)
    assert len(open_photographs(tmp_path / "together", photo_order=photo_order).found) == 3


@pytest.mark.parametrize("file", ["garden/usr/cat.png", "garden/usr/cat.npz"])
def test_missing_files_are_counted_and_named(photo_order: PhotoOrder, packages: Path, file: str) -> None:
    (packages / file).unlink()
    with pytest.raises(EvaluationError) as error:
        open_photographs(packages, photo_order=photo_order)
    assert "1 of 3 photographs" in str(error.value)
    assert "1 missing of garden (Debian 1), the first is garden/usr/cat.png" in str(error.value)
    assert "--allow-missing runs on the rest" in str(error.value)
    folder = open_photographs(packages, allow_missing=True, photo_order=photo_order)
    assert [found.photograph.name for found in folder.found] == ["tree", "bear"]
    assert (folder.missing, folder.changed) == ({"garden": 1}, {})


@pytest.mark.parametrize("content", [b"another version", b"qres"])
def test_other_files_are_counted_and_named(photo_order: PhotoOrder, packages: Path, content: bytes) -> None:
    (packages / "toys/usr/toys.rcc").write_bytes(content)
    (packages / "garden/usr/tree.jpg").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"2 of 3 .* 1 changed of garden \(Debian 1\), 1 changed of toys"):
        open_photographs(packages, photo_order=photo_order)
    folder = open_photographs(packages, allow_missing=True, photo_order=photo_order)
    assert [found.photograph.name for found in folder.found] == ["cat"]
    assert (folder.missing, folder.changed) == ({}, {"garden": 1, "toys": 1})


def test_an_empty_folder_is_refused_in_any_case(photo_order: PhotoOrder, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(EvaluationError, match="fetch_photos"):
            open_photographs(folder, allow_missing=True, photo_order=photo_order)
