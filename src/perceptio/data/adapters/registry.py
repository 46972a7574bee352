"""The adapters of public data sets by name, and the conversion of a user's folder to one file of samples."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from perceptio.data.adapters import conversations, depth, grounded, marked, refer, semantic
from perceptio.data.adapters.acceptance import accepted
from perceptio.data.adapters.source import Source
from perceptio.data.errors import DataError
from perceptio.data.refer import COLLECTIONS as REFER_COLLECTIONS
from perceptio.data.sample_files import write_samples
from perceptio.data.schema import SCALES, Sample
from perceptio.files import check_writable, replacing, replacing_folder

MARKER = ".made-by-perceptio"  # in a folder of made files: whose they are; that one's next conversion may replace them


@dataclass(frozen=True)
class Adapter:
    """How one data set becomes samples."""

    read: Callable[[Source], Iterator[Sample]]
    splits: tuple[str, ...] = ()  # the first is the default; none: the user may name any folder, or none


@dataclass
class Conversion:
    """What a conversion gave."""

    samples: int
    turns: int
    masks: int
    left_out: dict[str, int]  # what no sample holds, and how many of it
    first: dict[str, str]  # where the first of those stands, if that is known
    files: Path | None  # folder of the files that had to be made


_SPLITS: dict[str, tuple[str, ...]] = {
    **{name: collection.splits for name, collection in REFER_COLLECTIONS.items()},
    "grandf": ("train",),
    "openpsg-gcg": ("train", "val"),
    "refcocog-gcg": ("train", "val"),
    "flickr30k-gcg": ("train", "val"),
    "ade20k": ("training", "validation"),
    "ade20k-depth": ("training", "validation"),
    "ade20k-marks": ("training", "validation"),
    "coco-stuff": ("train2017", "val2017"),
    "llava-665k": ("train",),
}
ADAPTERS = {
    name: Adapter(read, _SPLITS.get(name, ()))
    for room in (refer, grounded, semantic, depth, marked, conversations)
    for name, read in room.READERS.items()
}


def convert(
    name: str,
    folder: str | Path,
    out: str | Path,
    split: str = "",
    *,
    allow_missing: bool = False,
    scale: float = 1000.0,
    adapters: Mapping[str, Adapter] = ADAPTERS,
) -> Conversion:
    """Write a data set as samples.

    Files that have to be made (pictures and depth of scenes, depth maps of one channel instead of three) go to a folder
    beside the samples, OUT-files. Nothing half-written is left. What training would refuse is left out and counted.

    Args:
        name: one of `adapters`.
        folder: of the data set, in its original layout.
        out: file of samples, .jsonl or .parquet.
        split: of the data set; its training split by default.
        allow_missing: convert what is there, and count what is not.
        scale: values of 16-bit metric depth per metre.
        adapters: by name.

    Raises:
        DataError: if there is no such data set, split or folder, files are missing or damaged, nothing is left, or
            OUT-files is not this file's to replace.
        OutputError: if the system refuses to write.
    """
    if name not in adapters:
        raise DataError(f"there is no data set {name!r}: give one of {', '.join(adapters)}")
    adapter = adapters[name]
    if adapter.splits and split and split not in adapter.splits:
        raise DataError(f"{name} has no split {split!r}: give one of {', '.join(adapter.splits)}")
    if not Path(folder).is_dir():
        raise DataError(f"there is no folder {folder}: give the folder of {name} as docs/datasets.md describes it")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise DataError(f"the scale of depth lies between {SCALES[0]:g} and {SCALES[1]:g}, not at {scale:g}")
    out = Path(out)
    if out.is_dir():
        raise DataError(f"{out} is a folder: give the name of a file for the samples")
    check_writable(out)
    files = out.with_name(f"{out.stem}-files")
    _check_owner(files, out)
    totals = Conversion(0, 0, 0, {}, {}, files)
    with replacing_folder(files) as made:
        source = Source(
            folder=Path(folder),
            split=split or (adapter.splits[0] if adapter.splits else ""),
            home=out.parent,
            made=made,
            kept=files,
            allow_missing=allow_missing,
            scale=scale,
        )
        written = made / out.name  # moved to its place after the files that it names
        write_samples(written, _counted(adapter.read(source), source, totals))
        if not totals.samples:
            reasons = "; ".join(told(what, count, source.first) for what, count in source.left_out.items())
            raise DataError(f"no sample of {name} is left: {reasons or 'the folder is empty'}")
        (made / MARKER).write_bytes(os.fsencode(out.name))
    with replacing(out) as beside:
        shutil.move(files / out.name, beside)
    if {path.name for path in files.iterdir()} == {MARKER}:
        shutil.rmtree(files)
        totals.files = None
    totals.left_out, totals.first = dict(source.left_out), source.first
    return totals


def told(what: str, count: int, first: Mapping[str, str]) -> str:
    """One thing that was left out, for people, with the place of the first of its kind if that is known."""
    return f"{count} {what}" + (f" (the first: {first[what]})" if what in first else "")


def _check_owner(files: Path, out: Path) -> None:
    """Refuse a folder of made files that another file's samples name, or that is somebody else's."""
    if not files.is_dir():
        return
    if not (files / MARKER).is_file():
        raise DataError(f"{files} is there, and no earlier conversion made it: give another name for the samples")
    owner = os.fsdecode((files / MARKER).read_bytes()) or out.name
    if owner != out.name:
        raise DataError(f"{files} holds what {owner} names: give another name for the samples")


def _counted(samples: Iterator[Sample], source: Source, totals: Conversion) -> Iterator[Sample]:
    for made in samples:
        sample = accepted(made, source)
        if sample is None:
            continue
        totals.samples += 1
        totals.turns += len(sample.turns)
        totals.masks += len(sample.masks)
        yield sample
