"""Running a benchmark: in batches, with progress, resumable at any moment, one report and one line for every sample.

A folder of results holds `report.json` and `report.md`, `samples.jsonl`, `timing.json`, and while it is being filled
`settings.json` and `progress.jsonl`. What is decoded together never depends on where a run was interrupted, so a run
that was killed and taken up again gives the same files as one that was not (but for the times).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from perceptio.evaluation.judged import Judged
from perceptio.evaluation.provenance import provenance
from perceptio.evaluation.report import Figure, Report
from perceptio.files import claim, replacing, write_files
from perceptio.images import ImageLike
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.tokens import Switch

REPORT, TABLE, SAMPLES, TIMING = "report.json", "report.md", "samples.jsonl", "timing.json"
SETTINGS, _PROGRESS = "settings.json", "progress.jsonl"
_CHUNK = 8  # units decoded together, and lost at most when a run is killed


@dataclass(frozen=True)
class Ask:
    """One question to the model."""

    image: ImageLike
    prompt: str
    seg: Switch = Switch.AUTO
    depth: Switch = Switch.AUTO
    codes: np.ndarray | None = None  # (N,) codebook entries written in place of the model's own
    long: bool = False  # a depth span is expected: such questions are decoded together


@dataclass(frozen=True)
class Item:
    """One sample to come: a question, or several that are scored together."""

    key: str
    asks: tuple[Ask, ...]
    truth: Any = None  # what `score` needs


class Benchmark(Protocol):
    """Questions with their truth."""

    name: str
    protocol: str  # version of the rules: another one, other figures

    @property
    def settings(self) -> dict[str, Any]:
        """What was measured: files, split, options; JSON-safe."""
        ...

    def __len__(self) -> int:
        """Units: pictures, or whatever the items come in."""
        ...

    def items(self, unit: int) -> Sequence[Item]:
        """The items of one unit, the same in every call."""
        ...

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """Judge the answers to one item, one for each of its asks."""
        ...

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        """The figures of all samples."""
        ...


@dataclass(frozen=True)
class Results:
    """A finished run."""

    report: Report
    folder: Path


class EvaluationError(ValueError):
    """An evaluation cannot run; the message is one sentence for people."""


def run_benchmark(
    model: Perceptio,
    benchmark: Benchmark,
    folder: str | Path | None = None,
    *,
    constrained: bool = True,
    batch_size: int = 32,
    progress: bool = True,
) -> Results:
    """Ask, score and report.

    Args:
        model: to be judged.
        benchmark: what it is asked.
        folder: of the results; one that holds an unfinished run of the same settings is finished, one that holds a
            finished run is read. By default out/eval/NAME-HASH, one for each benchmark and settings.
        constrained: decode by the grammar.
        batch_size: questions decoded together.
        progress: show a progress bar.

    Raises:
        EvaluationError: if the folder holds results of other settings.
    """
    settings = {
        "benchmark": benchmark.name,
        "protocol": benchmark.protocol,
        **benchmark.settings,
        "decoding": {"constrained": constrained, "batch_size": batch_size, "greedy": True},
        **provenance(model),
    }
    folder = Path(folder) if folder else _default_folder(settings)
    claim_folder(folder, settings)
    if not (folder / REPORT).is_file():
        samples = _run(model, benchmark, folder, constrained, batch_size, progress)
        report = Report(benchmark.name, settings, benchmark.figures(samples))
        lines = "".join(sample.to_json() + "\n" for sample in samples)
        files = {SAMPLES: lines, REPORT: report.to_json(indent=1) + "\n", TABLE: report.to_markdown() + "\n"}
        write_files(folder, {name: text.encode() for name, text in files.items()})
        (folder / _PROGRESS).unlink(missing_ok=True)
    else:
        report = Report(benchmark.name, settings, benchmark.figures(load_samples(folder)))
    return Results(report, folder)


def load_samples(folder: str | Path) -> list[Judged]:
    """The samples of a finished run.

    Raises:
        EvaluationError: if there are none.
    """
    path = Path(folder) / SAMPLES
    try:
        return [Judged.from_json(line) for line in path.read_text().splitlines()]
    except FileNotFoundError as error:
        raise EvaluationError(f"{path} is missing: {folder} holds no finished evaluation") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} is damaged: {error}") from error


def _default_folder(settings: dict[str, Any]) -> Path:
    name = re.sub(r"[^a-z0-9+]+", "-", settings["benchmark"].lower()).strip("-")
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return Path("out/eval") / f"{name}-{digest[:8]}"


def claim_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Note in a folder of results what settings they are of.

    Raises:
        EvaluationError: if it holds results of other settings.
    """
    for name, (earlier, now) in claim(folder / SETTINGS, settings).items():
        raise EvaluationError(
            f"{folder} holds results of other settings ({name}: {earlier!r}, now {now!r}); give another folder"
        )


def _run(
    model: Perceptio, benchmark: Benchmark, folder: Path, constrained: bool, batch_size: int, progress: bool
) -> list[Judged]:
    chunks, seconds = _resume(folder / _PROGRESS)
    samples = [sample for chunk in chunks for sample in chunk]
    units, done = len(benchmark), min(len(chunks) * _CHUNK, len(benchmark))
    bar = tqdm(total=units, initial=done, desc=benchmark.name, unit="unit", disable=None if progress else True)
    with (folder / _PROGRESS).open("a") as log, bar:
        for start in range(done, units, _CHUNK):
            began = time.perf_counter()
            part = range(start, min(start + _CHUNK, units))
            items = [item for unit in part for item in benchmark.items(unit)]
            fresh = [
                benchmark.score(item, answers)
                for item, answers in zip(items, _answers(model, items, constrained, batch_size), strict=True)
            ]
            samples += fresh
            seconds += time.perf_counter() - began
            log.write(json.dumps({"samples": [sample.to_json() for sample in fresh], "seconds": seconds}) + "\n")
            log.flush()
            bar.update(len(part))
    keys = {sample.key for sample in samples}
    assert len(keys) == len(samples), f"{benchmark.name}: keys of samples repeat"
    with replacing(folder / TIMING) as beside:
        beside.write_text(json.dumps({"seconds": round(seconds, 3), "samples": len(samples)}) + "\n")
    return samples


def _resume(path: Path) -> tuple[list[list[Judged]], float]:
    """Finished chunks and the seconds they took; a line that was cut off is dropped from the file."""
    if not path.is_file():
        return [], 0.0
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    with replacing(path) as beside:
        beside.write_text("".join(whole))
    lines = [json.loads(line) for line in whole]
    seconds = lines[-1]["seconds"] if lines else 0.0
    return [[Judged.from_json(text) for text in line["samples"]] for line in lines], seconds


def _answers(
    model: Perceptio, items: Sequence[Item], constrained: bool, batch_size: int
) -> Iterator[tuple[Answer, ...]]:
    """Answers by item; rows of about one length are decoded together."""
    asks = [ask for item in items for ask in item.asks]
    order = sorted(range(len(asks)), key=lambda place: asks[place].long)
    ordered = [asks[place] for place in order]
    codes = [ask.codes for ask in ordered]
    assert all(row is None for row in codes) or all(row is not None for row in codes)
    forced = (
        None if not codes or codes[0] is None else torch.from_numpy(np.stack([row for row in codes if row is not None]))
    )
    answers = model.ask_batch(
        [ask.image for ask in ordered],
        [ask.prompt for ask in ordered],
        seg=[ask.seg for ask in ordered],
        depth=[ask.depth for ask in ordered],
        constrained=constrained,
        forced_depth=forced,
        batch_size=batch_size,
    )
    back: list[Answer | None] = [None] * len(asks)
    for place, answer in zip(order, answers, strict=True):
        back[place] = answer
    given = iter([answer for answer in back if answer is not None])
    for item in items:
        yield tuple(next(given) for _ in item.asks)


def answer_record(ask: Ask, answer: Answer) -> dict[str, Any]:
    """What is kept of an answer for people: the words, the raw tokens and what was malformed."""
    return {
        "prompt": ask.prompt,
        "answer": answer.text,
        "raw": answer.trace.raw,
        "malformed": list(answer.trace.malformed),
        "no_target": answer.trace.no_target,
    }
