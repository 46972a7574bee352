"""Finding and reading pictures in folders and tar files."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from perceptio.data.errors import DataError
from perceptio.images import ImageError, load_image
from perceptio.labeling.pictures import find_pictures


@pytest.fixture
def shard(pictures: Path) -> Path:
    """The same pictures in a tar file, with a text and a damaged picture."""
    path = pictures.parent / "shard.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(pictures, arcname=".")
        for name, content in (("a.txt", b"text"), ("bad.png", b"no picture"), ("._0.png", b"of macOS")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_folder_and_tar_file_hold_the_same(pictures: Path, shard: Path) -> None:
    found = find_pictures([shard, pictures])
    files = {picture.key: picture for picture in found.pictures}
    assert list(files) == sorted(files)
    assert found.others == Counter({".txt": 1})
    names = ["0.png", "1.png", "2.png", "3.png", "4.png", "more/5.png", "more/6.png"]
    assert list(files) == [f"pictures/{name}" for name in names] + [
        f"shard.tar/{name}" for name in ([*names[:5], "bad.png", *names[5:]])
    ]
    for name in names:
        inside = files[f"shard.tar/{name}"]
        assert inside.location == shard / name
        expected = np.asarray(load_image(pictures / name))
        for picture in (files[f"pictures/{name}"], inside, pickle.loads(pickle.dumps(inside))):
            np.testing.assert_array_equal(np.asarray(picture.read().image), expected)
        assert inside.digest() == files[f"pictures/{name}"].digest()
    with pytest.raises(ImageError, match=r"shard.tar/bad.png is not an image"):
        files["shard.tar/bad.png"].read()


def test_order_does_not_depend_on_how_sources_are_named(pictures: Path, shard: Path, monkeypatch) -> None:
    monkeypatch.chdir(pictures.parent)
    keys = [picture.key for picture in find_pictures([pictures, shard]).pictures]
    assert [picture.key for picture in find_pictures([Path("shard.tar"), Path("pictures")]).pictures] == keys
    monkeypatch.chdir(pictures)
    assert [picture.key for picture in find_pictures([Path(), shard]).pictures] == keys


def test_sources_that_cannot_be_used_are_one_sentence(pictures: Path, shard: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.tar"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(pictures / "0.png")
    twice = tmp_path / "twice.tar"
    with tarfile.open(twice, "w") as archive:
        for _ in range(2):
            archive.add(pictures / "0.png", arcname="0.png")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.tar")
    for source, complaint in {
        tmp_path / "nowhere": "neither a folder nor a .tar file",
        tmp_path / "nowhere.tar": "cannot be read as an uncompressed tar file",
        packed: "cannot be read as an uncompressed tar file",
        twice: "holds 0.png twice",
        tmp_path / "pipe.tar": "cannot be read as an uncompressed tar file",
        tmp_path / "empty": "there is no picture in",
    }.items():
        with pytest.raises(DataError, match=complaint):
            find_pictures([source])
    with pytest.raises(DataError, match="two sources are named 'pictures'"):
        find_pictures([pictures, pictures])


def test_picture_that_has_gone_is_an_image_error(pictures: Path, shard: Path) -> None:
    found = find_pictures([pictures, shard]).pictures
    (pictures / "0.png").unlink()
    shard.unlink()
    for picture in (found[0], found[-1]):
        with pytest.raises(ImageError):
            picture.read()


def test_folder_named_like_a_tar_file_is_a_folder(pictures: Path) -> None:
    folder = pictures.rename(pictures.parent / "pictures.tar")
    assert find_pictures([folder]).pictures[0].key == "pictures.tar/0.png"


def test_links_to_pictures_and_pipes_are_the_reader_s_to_judge(pictures: Path) -> None:
    (pictures / "link.png").symlink_to("0.png")
    (pictures / "broken.png").symlink_to("nowhere.png")
    (pictures / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(pictures / "pipe.png")
    found = {picture.key: picture for picture in find_pictures([pictures]).pictures}
    assert found["pictures/link.png"].read().size == found["pictures/0.png"].read().size
    for name in ("broken", "zero", "pipe"):
        with pytest.raises(ImageError, match=f"{name}.png"):
            found[f"pictures/{name}.png"].read()
