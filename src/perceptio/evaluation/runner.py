"""Running a benchmark: in batches, with progress, resumable at any moment, one report and one line for every sample.

What is decoded together never depends on where a run was interrupted, so a run that was killed and taken up again gives
the same files as one that was not (but for the times). `folder.py` tells what a folder of results holds.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from perceptio.evaluation.checks import PICTURES, QuestionCheck, are_of, picture_size, pictures_hash
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import (
    PROGRESS,
    RUNS,
    Chunk,
    append_chunk,
    check_report,
    claim_folder,
    drop_log,
    is_finished,
    keep_chunks,
    load_samples,
    read_chunks,
    write_results,
)
from perceptio.evaluation.judged import Judged
from perceptio.evaluation.provenance import provenance
from perceptio.evaluation.questions import Benchmark, Item
from perceptio.evaluation.report import Report
from perceptio.files import locked
from perceptio.pipeline import Perceptio
from perceptio.results import Answer

_CHUNK = 8  # units decoded together, and lost at most when a run is killed
_BATCH_PIXELS = 50_000_000  # of the pictures of a batch: answers hold masks and depth of their size


@dataclass(frozen=True)
class Results:
    """A finished run."""

    report: Report
    folder: Path


@dataclass(frozen=True)
class _Decoding:
    constrained: bool
    batch_size: int


def run_benchmark(
    model: Perceptio,
    benchmark: Benchmark,
    folder: str | Path | None = None,
    *,
    constrained: bool = True,
    batch_size: int = 32,
    progress: bool = True,
) -> Results:
    """Check all questions, ask, score and report.

    Args:
        model: to be judged.
        benchmark: what it is asked.
        folder: of the results; one that holds an unfinished run of the same settings is finished, one that holds a
            finished run is read. By default out/eval/NAME-HASH, one for each benchmark and settings.
        constrained: decode by the grammar.
        batch_size: questions decoded together; fewer where pictures are large.
        progress: show a progress bar.

    Raises:
        EvaluationError: if a question cannot be asked, or the folder holds results of other settings or damaged ones.
        OutputError: if the folder cannot be written, or another run is writing into it.
    """
    if not isinstance(batch_size, int):
        raise TypeError(f"batch_size is a number of questions, not {batch_size!r}")
    if batch_size < 1:
        raise EvaluationError(f"batch_size must be at least 1, not {batch_size}")
    settings = {
        "benchmark": benchmark.name,
        "protocol": benchmark.protocol,
        **benchmark.settings,
        "decoding": {"constrained": constrained, "batch_size": batch_size, "greedy": True},
        **provenance(model),
    }
    folder = Path(folder) if folder else _default_folder(settings)
    if is_finished(folder):
        claim_folder(folder, settings)
        report = Report(benchmark.name, settings, benchmark.figures(load_samples(folder)))
        check_report(folder, report)
        drop_log(folder)
        return Results(report, folder)
    with locked(folder):
        claim_folder(folder, settings)
        samples, seconds = _run(model, benchmark, folder / PROGRESS, _Decoding(constrained, batch_size), progress)
        report = Report(benchmark.name, settings, benchmark.figures(samples))
        write_results(folder, report, samples, seconds)
    return Results(report, folder)


def _default_folder(settings: dict[str, Any]) -> Path:
    name = re.sub(r"[^a-z0-9+]+", "-", settings["benchmark"].lower()).strip("-")
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return RUNS / f"{name}-{digest[:8]}"


def _run(
    model: Perceptio, benchmark: Benchmark, log: Path, decoding: _Decoding, progress: bool
) -> tuple[list[Judged], float]:
    """All samples, and the seconds that they took."""
    parts = [range(start, min(start + _CHUNK, len(benchmark))) for start in range(0, len(benchmark), _CHUNK)]
    chunks = _take_up(model, benchmark, log, parts, progress)
    samples = [sample for chunk in chunks for sample in chunk.samples]
    seconds = chunks[-1].seconds if chunks else 0.0
    done = sum(map(len, parts[: len(chunks)]))
    with tqdm(
        total=len(benchmark), initial=done, desc=benchmark.name, unit="unit", disable=not progress or None
    ) as bar:
        for part in parts[len(chunks) :]:
            began = time.perf_counter()
            fresh = _judge(model, benchmark, [item for unit in part for item in benchmark.items(unit)], decoding)
            samples += fresh
            seconds += time.perf_counter() - began
            append_chunk(log, Chunk(fresh, seconds))
            bar.update(len(part))
    return samples, seconds


def _take_up(model: Perceptio, benchmark: Benchmark, log: Path, parts: Sequence[range], progress: bool) -> list[Chunk]:
    """Check all questions; the chunks of an earlier run that are theirs, to which its log is cut back."""
    check = QuestionCheck(model)
    earlier, sound = read_chunks(log)[: len(parts)], 0
    bar = tqdm(parts, desc="check", leave=False, disable=None if progress else True)
    for number, part in enumerate(bar):
        items = [item for unit in part for item in benchmark.items(unit)]
        for item in items:
            check(item)
        if number == sound < len(earlier) and are_of(earlier[number].samples, items):
            sound += 1
    keep_chunks(log, sound)
    return earlier[:sound]


def _judge(model: Perceptio, benchmark: Benchmark, items: Sequence[Item], decoding: _Decoding) -> list[Judged]:
    """Ask and score; answers are let go as soon as their item is scored: masks of large pictures are large."""
    waiting: list[dict[int, Answer]] = [{} for _ in items]
    judged: dict[int, Judged] = {}
    for batch in _batches(items, decoding.batch_size):
        _ask(model, items, batch, decoding, waiting)
        for number in dict.fromkeys(number for number, _ in batch):
            if len(waiting[number]) == len(items[number].asks):
                judged[number] = _score(benchmark, items[number], waiting[number])
                waiting[number].clear()
    return [judged[number] for number in range(len(items))]


def _score(benchmark: Benchmark, item: Item, answers: Mapping[int, Answer]) -> Judged:
    found = benchmark.score(item, [answers[ask] for ask in range(len(item.asks))])
    pictures = pictures_hash(item)
    return replace(found, record={**found.record, PICTURES: pictures}) if pictures else found


def _batches(items: Sequence[Item], size: int) -> Iterator[list[tuple[int, int]]]:
    """Places (item, ask) of questions that are decoded together: rows of about one length, not too many pixels."""
    places = [(number, ask) for number, item in enumerate(items) for ask in range(len(item.asks))]
    places.sort(key=lambda place: items[place[0]].asks[place[1]].long)
    batch: list[tuple[int, int]] = []
    pixels = 0
    for number, ask in places:
        width, height = picture_size(items[number].asks[ask].image)
        if batch and (len(batch) == size or pixels + width * height > _BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append((number, ask))
        pixels += width * height
    if batch:
        yield batch


def _ask(
    model: Perceptio,
    items: Sequence[Item],
    batch: Sequence[tuple[int, int]],
    decoding: _Decoding,
    waiting: Sequence[dict[int, Answer]],
) -> None:
    """Put the answers to a batch where they wait for the others of their items."""
    asks = [items[number].asks[ask] for number, ask in batch]
    codes = [ask.codes for ask in asks if ask.codes is not None]
    assert len(codes) in (0, len(asks)), "codes are given for all questions or for none"
    answers = model.ask_batch(
        [ask.image for ask in asks],
        [ask.prompt for ask in asks],
        seg=[ask.seg for ask in asks],
        depth=[ask.depth for ask in asks],
        constrained=decoding.constrained,
        forced_depth=torch.from_numpy(np.stack(codes)) if codes else None,
        batch_size=len(asks),
    )
    for (number, ask), answer in zip(batch, answers, strict=True):
        waiting[number][ask] = replace(answer, image=None)  # no score looks at it
