"""What is known of each sample: the same however it is read, and read once."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.fields import SampleError
from perceptio.data.index import SampleIndex, index_samples
from perceptio.data.preparation import open_mixture
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import Sample, Turn

COUNT = 600  # more than two blocks


@pytest.fixture
def file(home: Path) -> SampleFile:
    """Samples of rising length; every third of depth generation; of two pictures, one of which is turned."""
    turned = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(home / "turned.jpg", exif=exif)
    samples = [
        Sample(
            "turned.jpg" if number % 2 else "a.png",
            (Turn("Where? " * (1 + number % 50), "Here.", "depth" if number % 3 == 0 else "plain"),),
            key=str(number),
        )
        for number in range(COUNT)
    ]
    write_samples(home / "x.jsonl", samples)
    return SampleFile(home / "x.jsonl")


def assert_equal(one: SampleIndex, two: SampleIndex) -> None:
    for each in fields(SampleIndex):
        np.testing.assert_array_equal(getattr(one, each.name), getattr(two, each.name), strict=True)


def test_an_index_says_what_the_samples_hold(file: SampleFile) -> None:
    kept = [place for place in range(COUNT) if place not in (1, 300)]
    index = index_samples(file, kept, sizes=True)
    assert index.places.tolist() == kept
    assert index.generation.tolist() == [place % 3 == 0 for place in kept]
    assert index.sizes.tolist() == [[20, 30] if place % 2 else [48, 32] for place in kept]
    words = [len("Where? " * (1 + place % 50)) + len("Here.") for place in kept]
    assert index.lengths.tolist() == [letters // 4 + 12 for letters in words]


def test_processes_read_the_same(file: SampleFile) -> None:
    assert_equal(*(index_samples(file, range(COUNT), sizes=True, workers=workers) for workers in (0, 2)))


def test_a_second_start_reads_no_sample_and_no_picture(file: SampleFile, home: Path) -> None:
    first = index_samples(file, range(COUNT), sizes=True, folder=home / "run")
    (home / "a.png").unlink()
    assert_equal(index_samples(file, range(COUNT), sizes=True, folder=home / "run"), first)
    with pytest.raises(SampleError, match=r"x\.jsonl:1: image: there is no image file"):
        index_samples(file, range(COUNT), sizes=True)


def test_an_index_of_something_else_is_made_anew(file: SampleFile, home: Path) -> None:
    def made(kept: range, sizes: bool) -> SampleIndex:
        return index_samples(SampleFile(file.path), kept, sizes=sizes, folder=home / "run")

    made(range(COUNT), False)
    assert made(range(COUNT), True).sizes.shape == (COUNT, 2)
    assert made(range(10), True).places.tolist() == list(range(10))
    write_samples(file.path, [replace(file[0], turns=(Turn("Q", "A"),)), *(file[place] for place in range(1, COUNT))])
    assert made(range(10), True).lengths[0] == 12
    assert len(list((home / "run").iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"half"])
def test_a_damaged_index_is_made_anew(file: SampleFile, home: Path, damage: bytes) -> None:
    first = index_samples(file, range(COUNT), folder=home / "run")
    (path,) = (home / "run").iterdir()
    path.write_bytes(path.read_bytes()[:2000] if damage == b"half" else damage)
    assert_equal(index_samples(file, range(COUNT), folder=home / "run"), first)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_wrong_with_a_sample_is_named_and_nothing_is_kept(file: SampleFile, home: Path, workers: int) -> None:
    (home / "turned.jpg").unlink()
    with pytest.raises(SampleError, match=r"x\.jsonl:2: image: there is no image file"):
        index_samples(file, range(COUNT), sizes=True, workers=workers, folder=home / "run")
    assert not (home / "run").exists()


def test_a_mixture_keeps_its_indices_in_the_folder_of_the_run(file: SampleFile, home: Path) -> None:
    def order(run: str) -> list[tuple[int, int]]:
        mixture = open_mixture({str(file.path): 1.0}, 0, home / run, batch=4, visual=lambda width, height: width)
        return [mixture.order(COUNT)[visit] for visit in range(50)]

    first = order("run")
    assert [path.suffix for path in (home / "run" / "index").iterdir()] == [".npz"]
    assert order("run") == order("other") == first
