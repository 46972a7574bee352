"""Labels joined to samples by their pictures: answers then come after `[SEG]` and the depth codes of their picture.

A turn that gets depth writes the span before its answer, as the method has it: [SEG], depth, text (docs/method.md).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
from pycocotools import mask as coco
from tqdm import tqdm

from perceptio.data import sample_files
from perceptio.data.errors import DataError
from perceptio.data.marked_samples import relative
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import SPANS, Sample, Span, Turn
from perceptio.files import check_writable
from perceptio.labeling.to_samples import label_rows, source_of
from perceptio.tokens import extract_phrases

_SHOWN = 20  # samples without labels that a report names


@dataclass(frozen=True)
class _Label:
    """What joins a sample; one for each picture is held, so the codes are an array."""

    codes: np.ndarray  # (N,) int32
    masks: tuple[dict[str, Any], ...]
    source: str
    licence: str


@dataclass
class Enrichment:
    """What became of the samples."""

    samples: int = 0  # written
    turns: Counter[str] = field(default_factory=Counter)  # that gained "depth" or "masks"
    replaced: int = 0  # samples whose own codes gave way to those of the labels
    unlabelled: int = 0  # samples whose picture has no labels
    first: list[str] = field(default_factory=list)  # file and line of some of those
    unmatched: int = 0  # samples with other numbers of phrases without a mask and of the labels' masks


def enrich(file: SampleFile, labels: Path, out: Path, *, share: float = 1.0, allow_missing: bool = False) -> Enrichment:
    """Write the samples of a file anew, with the labels of their pictures.

    Codes replace a sample's own. Every turn that teaches its text gets a depth span, or a share of these turns; the
    question of the others says that none is wanted. Phrases (`<p>...</p>`) of turns without masks get the labels'
    masks, the first phrase of a sample the first mask, if there are as many; other answers refer to nothing that a mask
    could be drawn for. Source and licence name the labels too.

    Args:
        file: of samples; their pictures are found by their real paths.
        labels: folder of labels.
        out: another file, .jsonl or .parquet.
        share: of the turns that teach text and have no depth span.
        allow_missing: keep samples as they are whose picture has no labels.

    Raises:
        DataError: if there are no labels, or none of some sample's picture and that is not allowed, or `out` is the
            file itself or has another suffix.
        SampleError: if a sample is not of the form.
        OutputError: if the file cannot be written.
    """
    if not 0 <= share <= 1:
        raise DataError(f"the share of turns that get a depth span lies between 0 and 1, not at {share:g}")
    if os.path.realpath(out) == os.path.realpath(file.path):
        raise DataError(f"{out} is the file that is read: give another name for the samples")
    if out.suffix not in (".jsonl", ".parquet"):
        raise DataError(f"{out} is neither .jsonl nor .parquet: give the file one of these suffixes")
    check_writable(out)
    found = _by_picture(labels)
    report = Enrichment()
    sample_files.write_samples(out, _enriched(file, found, labels, out.parent, share, allow_missing, report))
    return report


def _by_picture(folder: Path) -> dict[str, _Label]:
    """Labels by the real path of their picture."""
    rows = tqdm(label_rows(folder), "reading labels", unit="picture", disable=None)
    return {
        os.path.realpath(folder / row.image): _Label(
            np.array(row.labels.codes, np.int32), row.labels.masks or (), intern(source_of(row)), intern(row.licence)
        )
        for row in rows
    }


def _enriched(
    file: SampleFile,
    labels: dict[str, _Label],
    folder: Path,
    home: Path,
    share: float,
    allow_missing: bool,
    report: Enrichment,
) -> Iterator[Sample]:
    for index in tqdm(range(len(file)), "joining", unit="sample", disable=None):
        sample = file[index]
        assert isinstance(sample.image, str), "a line names a file"
        assert sample.depth is None or isinstance(sample.depth, str)
        label = labels.get(os.path.realpath(file.path.parent / sample.image))
        if label is None:
            report.unlabelled += 1
            report.first += [file.where(index)][: _SHOWN - len(report.first)]
        else:
            sample = _joined(sample, label, np.random.default_rng(index), share, report)
        report.samples += 1
        yield replace(
            sample,
            image=relative(file.path.parent / str(sample.image), home),
            depth=None if sample.depth is None else relative(file.path.parent / str(sample.depth), home),
        )
    every = report.unlabelled == report.samples
    if report.unlabelled and (every or not allow_missing):
        count = f"{report.unlabelled} of {report.samples} samples have pictures without labels in {folder}"
        advice = "label them" if every else "label them, or give --allow-missing"
        raise DataError(f"{count}, the first is {report.first[0]}: {advice}")


def _joined(sample: Sample, label: _Label, rng: np.random.Generator, share: float, report: Enrichment) -> Sample:
    codes = tuple(label.codes.tolist())
    report.replaced += sample.codes is not None and sample.codes != codes
    turns, masks = _with_masks(sample, label.masks, report)
    turns = tuple(_with_depth(turn, rng.random() < share, report) for turn in turns)
    return replace(
        sample,
        turns=turns,
        masks=masks,
        codes=codes,
        source=_both(sample.source, label.source),
        licence=_both(sample.licence, label.licence),
    )


def _with_depth(turn: Turn, chosen: bool, report: Enrichment) -> Turn:
    if turn.depth or "text" not in turn.supervise:
        return turn
    if not chosen:  # of a question that does not say so, it would be taught that no depth is due
        return replace(turn, supervise=tuple(span for span in turn.supervise if span != "depth"))
    report.turns["depth"] += 1
    return replace(turn, depth=True, supervise=_also(turn, "depth"))


def _with_masks(
    sample: Sample, masks: Sequence[dict[str, Any]], report: Enrichment
) -> tuple[tuple[Turn, ...], tuple[Any, ...]]:
    """Turns and masks of a sample; those of the labels belong to the phrases that have none, in order."""
    assert isinstance(sample.masks, tuple)
    waiting = [0 if turn.masks else len(extract_phrases(turn.answer)[1]) for turn in sample.turns]
    if not masks or not sum(waiting):
        return sample.turns, sample.masks
    if sum(waiting) != len(masks) or not all(coco.area(mask) for mask in masks):
        report.unmatched += 1
        return sample.turns, sample.masks
    turns, following = [], len(sample.masks)
    for turn, count in zip(sample.turns, waiting, strict=True):
        if count:
            numbers = tuple(range(following, following + count))
            turn = replace(turn, masks=numbers, supervise=_also(turn, "seg"))
            report.turns["masks"] += 1
        following += count
        turns.append(turn)
    return tuple(turns), (*sample.masks, *masks)


def _also(turn: Turn, more: Span) -> tuple[Span, ...]:
    """What a turn teaches, and one span more."""
    return tuple(span for span in SPANS if span in turn.supervise or span == more)


def _both(old: str, new: str) -> str:
    """Two notes as one; a note that is there already is not repeated."""
    return old if new in old else "; ".join(filter(None, (old, new)))
