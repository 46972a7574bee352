"""Running a benchmark: in batches, with progress, resumable at any moment, one report and one line for every sample.

What is decoded together never depends on where a run was interrupted, nor on how many processes share it. So a run
that was killed and taken up again, by more processes or by fewer, gives the same files as one that was not (but for the
times). `folder.py` tells what a folder of results holds.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from perceptio.evaluation.checks import PICTURES, QuestionCheck, are_of, picture_size, pictures_hash
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import (
    RUNS,
    Chunk,
    append_chunk,
    check_report,
    claim_folder,
    drop_log,
    is_finished,
    keep_chunks,
    load_samples,
    log_of,
    read_chunks,
    write_results,
)
from perceptio.evaluation.judged import Judged
from perceptio.evaluation.provenance import provenance
from perceptio.evaluation.questions import Ask, Benchmark, Item
from perceptio.evaluation.ranks import Ranks
from perceptio.evaluation.report import Report
from perceptio.files import locked
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.tokens import DepthDecoding

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
    depth_decoding: DepthDecoding
    soft_depth: bool


def run_benchmark(
    model: Perceptio,
    benchmark: Benchmark,
    folder: str | Path | None = None,
    *,
    constrained: bool = True,
    batch_size: int = 32,
    depth_decoding: DepthDecoding | None = None,
    soft_depth: bool = True,
    progress: bool = True,
    ranks: Ranks | None = None,
) -> Results:
    """Check all questions, ask, score and report.

    Args:
        model: to be judged.
        benchmark: what it is asked.
        folder: of the results; one that holds an unfinished run of the same settings is finished, one that holds a
            finished run is read. By default out/eval/NAME-HASH, one for each benchmark and settings.
        constrained: decode by the grammar.
        batch_size: questions decoded together; fewer where pictures are large.
        depth_decoding: how depth codes are found, and
        soft_depth: how maps are made of them: as of `Perceptio.ask`.
        progress: show a progress bar.
        ranks: the processes that share the run, each of which makes this call; by default there is one.

    Raises:
        EvaluationError: if a question cannot be asked, or the folder holds results of other settings or damaged ones.
        OutputError: if the folder cannot be written, or another run is writing into it.
    """
    if not isinstance(batch_size, int):
        raise TypeError(f"batch_size is a number of questions, not {batch_size!r}")
    if batch_size < 1:
        raise EvaluationError(f"batch_size must be at least 1, not {batch_size}")
    how = depth_decoding or model.model.config.depth_decoding
    decoding = _Decoding(constrained, batch_size, how, soft_depth)
    settings = {
        "benchmark": benchmark.name,
        "protocol": benchmark.protocol,
        **benchmark.settings,
        "decoding": {**asdict(decoding), "greedy": True},
        **provenance(model),
    }
    folder = Path(folder) if folder else _default_folder(settings)
    ranks = ranks or Ranks()
    if is_finished(folder):  # a run cannot end before all its processes have seen that it has not
        return _read(benchmark, folder, settings)
    with locked(folder) if ranks.is_first else nullcontext():
        if ranks.is_first:
            claim_folder(folder, settings)
        _run(model, benchmark, folder, decoding, ranks, progress)
        if ranks.is_first:
            samples, seconds = _gather(benchmark, folder)
            write_results(folder, Report(benchmark.name, settings, benchmark.figures(samples)), samples, seconds)
    ranks.wait()
    return _read(benchmark, folder, settings)


def _read(benchmark: Benchmark, folder: Path, settings: dict[str, Any]) -> Results:
    """What a finished run has left."""
    claim_folder(folder, settings)
    report = Report(benchmark.name, settings, benchmark.figures(load_samples(folder)))
    check_report(folder, report)
    drop_log(folder)
    return Results(report, folder)


def _default_folder(settings: dict[str, Any]) -> Path:
    name = re.sub(r"[^a-z0-9+]+", "-", settings["benchmark"].lower()).strip("-")
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return RUNS / f"{name}-{digest[:8]}"


def _parts(benchmark: Benchmark) -> list[range]:
    """The units of each chunk."""
    return [range(start, min(start + _CHUNK, len(benchmark))) for start in range(0, len(benchmark), _CHUNK)]


def _items(benchmark: Benchmark, part: range) -> list[Item]:
    return [item for unit in part for item in benchmark.items(unit)]


def _run(
    model: Perceptio, benchmark: Benchmark, folder: Path, decoding: _Decoding, ranks: Ranks, progress: bool
) -> None:
    """Bring the logs of a run to an end."""
    hidden = None if progress and ranks.is_first else True  # None: where there is a terminal
    parts = _parts(benchmark)
    check = QuestionCheck(model)
    for part in tqdm(parts[ranks.number :: ranks.count], desc="check", leave=False, disable=hidden):
        for item in _items(benchmark, part):
            check(item)
    done = ranks.share(sorted(_take_up(benchmark, folder, parts)) if ranks.is_first else None)
    ranks.wait()  # nothing is asked before everything is checked
    todo = [number for number in range(len(parts)) if number not in set(done)]
    asked = sum(len(parts[number]) for number in done)  # or about to be
    with tqdm(total=len(benchmark), initial=asked, desc=benchmark.name, unit="unit", disable=hidden) as bar:
        for number, before in ranks.deal(todo):
            bar.update(asked + sum(len(parts[each]) for each in todo[:before]) - bar.n)
            began = time.perf_counter()
            fresh = _judge(model, benchmark, _items(benchmark, parts[number]), decoding)
            append_chunk(log_of(folder, ranks.number), Chunk(number, fresh, time.perf_counter() - began))
        ranks.wait()
        bar.update(len(benchmark) - bar.n)


def _take_up(benchmark: Benchmark, folder: Path, parts: Sequence[range]) -> dict[int, Chunk]:
    """The chunks of an earlier run that are of this one's questions; its logs are cut back to them."""

    def is_sound(chunk: Chunk) -> bool:
        return chunk.number < len(parts) and are_of(chunk.samples, _items(benchmark, parts[chunk.number]))

    return keep_chunks(folder, is_sound)


def _gather(benchmark: Benchmark, folder: Path) -> tuple[list[Judged], float]:
    """All samples in order, and the seconds that they took, of all processes together.

    Raises:
        EvaluationError: if some are missing, which only happens if another run has written into the folder.
    """
    chunks = read_chunks(folder)
    missing = set(range(len(_parts(benchmark)))) - set(chunks)
    if missing:
        raise EvaluationError(f"{folder} was written into by another run: start this one again, and it goes on")
    ordered = [chunks[number] for number in sorted(chunks)]
    return [sample for chunk in ordered for sample in chunk.samples], sum(chunk.seconds for chunk in ordered)


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
    forced = torch.from_numpy(np.stack(codes)) if codes else None
    if any(ask.repeat_first for ask in asks):
        assert all(ask.repeat_first for ask in asks), "the first code is repeated for all questions or for none"
        forced = _first_codes(model, _answers(model, asks, decoding, None))
    for (number, ask), answer in zip(batch, _answers(model, asks, decoding, forced), strict=True):
        waiting[number][ask] = replace(answer, image=None)  # no score looks at it


def _first_codes(model: Perceptio, answers: Sequence[Answer]) -> torch.Tensor:
    """(B, N) the first code of each answer, N times; zeros where it holds none, and so none will be replaced."""
    vocabulary = model.model.config.vocabulary
    entries = {token: entry for entry, token in enumerate(vocabulary.codes)}
    raw = [model.processor.tokenizer.encode(answer.trace.raw, add_special_tokens=False) for answer in answers]
    first = [next((entries[token] for token in ids if token in entries), 0) for ids in raw]
    return torch.tensor(first)[:, None].repeat(1, vocabulary.tokens_per_map)


def _answers(model: Perceptio, asks: Sequence[Ask], decoding: _Decoding, forced: torch.Tensor | None) -> list[Answer]:
    return model.ask_batch(
        [ask.image for ask in asks],
        [ask.prompt for ask in asks],
        seg=[ask.seg for ask in asks],
        depth=[ask.depth for ask in asks],
        constrained=decoding.constrained,
        forced_depth=forced,
        depth_decoding=decoding.depth_decoding,
        soft_depth=decoding.soft_depth,
        batch_size=len(asks),
    )
