"""Labelled pictures -> questions about marked points, whose depth is what the labels' codes decode to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from perceptio.data.errors import DataError
from perceptio.data.marked_samples import MarkedReport, MarkPlan, counted, marked, marked_samples
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import Sample
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import check_writable
from perceptio.labeling.job import TOKENIZER_FOLDER
from perceptio.labeling.shards import LabelRow
from perceptio.labeling.to_samples import bare_sample, label_rows
from perceptio.model.loading import load_depth_tokenizer


def write_marked(source: Path, out: Path, plan: MarkPlan) -> MarkedReport:
    """Write a file of questions about marked points.

    Args:
        source: a folder of labels, or a file of samples with depth maps.
        out: .jsonl or .parquet, another than `source`.
        plan: what to ask.

    Raises:
        DataError: if `source` cannot be used, nothing can be asked about it, or `out` is `source` or has another
            suffix.
        OutputError: if `out` cannot be written.
    """
    if os.path.realpath(out) == os.path.realpath(source):
        raise DataError(f"{out} is the file that is read: give another name for the questions")
    check_writable(out)
    report = MarkedReport()
    if source.is_dir():
        found = marked_labels(source, out.parent, plan, report)
    else:
        found = marked_samples(SampleFile(source), out.parent, plan, report)
    write_samples(out, _some(found, source, report))
    return report


def _some(found: Iterator[Sample], source: Path, report: MarkedReport) -> Iterator[Sample]:
    """What was found, or an error after nothing was."""
    yield from found
    if not report.questions:
        reasons = ", ".join(f"{count} {what}" for what, count in report.left_out.items())
        raise DataError(f"nothing in {source} can be asked about: {reasons or 'it holds no pictures'}")


def marked_labels(folder: Path, home: Path, plan: MarkPlan, report: MarkedReport) -> Iterator[Sample]:
    """Questions about the labelled pictures of a folder, as `marked_samples` asks them.

    Args:
        folder: of labels, with the tokenizer that wrote them.
        home: the folder that the samples' paths are relative to.
        plan: what to ask.
        report: counts what is found.

    Raises:
        DataError: if the folder has no labels, a file is damaged, or a picture lies in a tar file.
        ValueError: if the tokenizer cannot be loaded.
    """
    rows = label_rows(folder)
    first = list(islice(rows, 1))  # without labels that is said, and not that the tokenizer is missing
    tokenizer = load_depth_tokenizer(folder / TOKENIZER_FOLDER)
    for index, row in enumerate(tqdm(chain(first, rows), "marking", unit="picture", disable=None)):
        sample, size = bare_sample(row, folder, home), (row.labels.width, row.labels.height)
        rng = np.random.default_rng((plan.seed, index))
        yield from counted(marked(sample, decoded(row, tokenizer), size, plan, rng), report)


def decoded(row: LabelRow, tokenizer: DepthTokenizer) -> np.ndarray:
    """The depth map (S, S) float32 in [-1, 1] of a row's codes.

    Raises:
        DataError: if they are not the tokenizer's.
    """
    codes, config = row.labels.codes, tokenizer.config
    if len(codes) != config.tokens_per_map or not all(0 <= code < config.codes for code in codes):
        raise DataError(f"the depth codes of {row.key} are not of the tokenizer beside them: label again")
    with torch.inference_mode():
        map_SS = tokenizer.decode(torch.tensor([codes]))[0, 0]
    return map_SS.float().clamp(-1, 1).cpu().numpy()
