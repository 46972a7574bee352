"""A folder of results, and what stays readable in it.

A run that is under way keeps `settings.json` and a log of one line for each chunk of units: `progress.jsonl`, and
`progress-1.jsonl` and so on of further processes. A finished one keeps `report.json`, `report.md`, `samples.jsonl`,
`timing.json` and `settings.json`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged, misfit
from perceptio.evaluation.report import Report
from perceptio.files import claim, json_line, parse_json, read_json, read_lines, replacing, write_files
from perceptio.files.writing import making_folder

REPORT, TABLE, SAMPLES, TIMING = "report.json", "report.md", "samples.jsonl", "timing.json"
SETTINGS, PROGRESS = "settings.json", "progress.jsonl"
RUNS = Path("out/eval")  # where runs without a folder of their own go

_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    REPORT: {"title": str, "model": str, "weights": str, "figures": dict},
    TIMING: {"seconds": (int, float), "samples": int},
}

logger = logging.getLogger(__name__)


def is_finished(folder: str | Path) -> bool:
    """Whether a run has ended there: its report comes last."""
    return (Path(folder) / REPORT).is_file()


def claim_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Note in a folder of results what settings they are of.

    Raises:
        EvaluationError: if it holds results of other settings, or results without any.
    """
    if not (folder / SETTINGS).is_file():
        found = [name for name in (REPORT, SAMPLES, PROGRESS) if (folder / name).is_file()]
        if found:
            raise EvaluationError(
                f"{folder} holds {found[0]} but no {SETTINGS}, so nobody knows what it is of: give another folder"
            )
    for name, (earlier, now) in claim(folder / SETTINGS, settings).items():
        name, earlier, now = _innermost(name, earlier, now)
        raise EvaluationError(
            f"{folder} holds results of other settings ({name}: {earlier!r}, now {now!r}); give another folder"
        )


def _innermost(name: str, earlier: Any, now: Any) -> tuple[str, Any, Any]:
    """Of two settings that differ somewhere within, the first that does."""
    while isinstance(earlier, dict) and isinstance(now, dict):
        key = next(key for key in sorted({*earlier, *now}) if earlier.get(key) != now.get(key))
        name, earlier, now = f"{name}: {key}", earlier.get(key), now.get(key)
    return name, earlier, now


@dataclass(frozen=True)
class Chunk:
    """What a run has found of some units in a row."""

    number: int  # from 0: which units they are
    samples: Sequence[Judged]
    seconds: float  # that they took


def log_of(folder: Path, rank: int = 0) -> Path:
    """The log that one process of a run writes."""
    return folder / (f"progress-{rank}.jsonl" if rank else PROGRESS)


def read_chunks(folder: Path) -> dict[int, Chunk]:
    """The chunks of an unfinished run by their number, from the logs of all its processes; of each log those before
    the first line that is none."""
    return {chunk.number: chunk for path in _logs(folder) for _, chunk in _read_log(path)}


def keep_chunks(folder: Path, is_sound: Callable[[Chunk], bool]) -> dict[int, Chunk]:
    """Put the logs of an unfinished run together, each cut back to its sound beginning, and return what is in them.

    What is cut off is said, unless it is only a line that was not written to its end.

    Args:
        folder: of the run.
        is_sound: whether a chunk is one of the run's.
    """
    kept: dict[int, tuple[bytes, Chunk]] = {}
    logs = _logs(folder)
    for path in logs:
        sound = 0
        for line, chunk in _read_log(path):
            if not is_sound(chunk):
                break
            sound += 1
            kept.setdefault(chunk.number, (line, chunk))
        if len(_whole_lines(path)) > sound:
            logger.warning(
                "%s is damaged from line %d on, as if two runs had written into it: the run goes on from there",
                path,
                sound + 1,
            )
    text = b"".join(kept[number][0] + b"\n" for number in sorted(kept))
    if logs and (logs != [folder / PROGRESS] or text != logs[0].read_bytes()):
        with replacing(folder / PROGRESS) as beside:
            beside.write_bytes(text)
        for path in logs:
            if path.name != PROGRESS:
                path.unlink()
    return {number: chunk for number, (_, chunk) in kept.items()}


def append_chunk(path: Path, chunk: Chunk) -> None:
    """Add a line.

    Raises:
        OutputError: if the system refuses to write.
    """
    samples = [sample.to_json() for sample in chunk.samples]
    line = json_line({"chunk": chunk.number, "samples": samples, "seconds": chunk.seconds})
    with making_folder(path.parent), path.open("a", encoding="utf-8", newline="\n") as log:
        log.write(line + "\n")


def _logs(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / PROGRESS, *folder.glob("progress-*.jsonl")) if path.is_file())


def _read_log(path: Path) -> Iterator[tuple[bytes, Chunk]]:
    """Lines and their chunks, up to the first that is no chunk, or one again."""
    seen: set[int] = set()
    for place, line in enumerate(_whole_lines(path), 1):
        try:
            chunk = _chunk(parse_json(line, f"{path}:{place}"), f"{path}:{place}")
        except ValueError:  # `keep_chunks` says so
            return
        if chunk.number in seen:
            return
        seen.add(chunk.number)
        yield line, chunk


def _whole_lines(path: Path) -> list[bytes]:
    """The last line of a run that was killed may have no end."""
    return path.read_bytes().split(b"\n")[:-1]


def _chunk(line: Any, where: str) -> Chunk:
    fields = line if isinstance(line, dict) else {}
    number, samples, seconds = (fields.get(name) for name in ("chunk", "samples", "seconds"))
    if type(number) is not int or not isinstance(samples, list) or not isinstance(seconds, float):
        raise ValueError(f"{where} is no chunk of samples")
    if number < 0 or not math.isfinite(seconds):
        raise ValueError(f"{where} is no chunk of samples")
    return Chunk(number, [Judged.from_json(str(sample), where) for sample in samples], seconds)


def write_results(folder: Path, report: Report, samples: Sequence[Judged], seconds: float) -> None:
    """End a run: from the report on it counts as finished.

    Raises:
        EvaluationError: if the samples cannot be those of one run.
        OutputError: if the system refuses to write.
    """
    fault = misfit(samples)
    if fault:
        raise EvaluationError(f"{folder / PROGRESS} is damaged: {fault}; remove it, and the run begins anew")
    files = {
        SAMPLES: "".join(sample.to_json() + "\n" for sample in samples),
        TIMING: json.dumps({"seconds": round(seconds, 3), "samples": len(samples)}) + "\n",
        TABLE: report.to_markdown() + "\n",
    }
    write_files(folder, {name: text.encode("utf-8", "backslashreplace") for name, text in files.items()})
    write_files(folder, {REPORT: (report.to_json(indent=1) + "\n").encode()})
    drop_log(folder)


def drop_log(folder: Path) -> None:
    """Remove the logs of a finished run, which one that was killed at its very end has left."""
    with suppress(OSError):  # the folder may be closed to us, and the logs harm nobody
        for path in _logs(folder):
            path.unlink(missing_ok=True)


def load_samples(folder: str | Path) -> list[Judged]:
    """The samples of a finished run.

    Raises:
        EvaluationError: if there are none, or they are damaged.
    """
    path = Path(folder) / SAMPLES
    if not path.is_file():
        raise EvaluationError(f"{path} is missing: {folder} holds no finished evaluation")
    try:
        samples = [Judged.from_json(line, f"{path}:{number}") for number, line in read_lines(path)]
    except ValueError as error:
        raise EvaluationError(f"{error}; it is no longer what the run wrote") from error
    fault = misfit(samples)
    if fault:
        raise EvaluationError(f"{path} is damaged: {fault}")
    return samples


def load_report(folder: str | Path) -> dict[str, Any]:
    """The report of a finished run, with the field `seconds_per_answer`.

    Raises:
        EvaluationError: if there is none, or it is damaged.
    """
    report, timing = (_load(Path(folder) / name, fields) for name, fields in _FIELDS.items())
    return {**report, "seconds_per_answer": round(timing["seconds"] / max(timing["samples"], 1), 4)}


def _load(path: Path, fields: dict[str, type | tuple[type, ...]]) -> dict[str, Any]:
    try:
        content = read_json(path)
    except ValueError as error:
        raise EvaluationError(str(error)) from error
    for name, kind in fields.items():
        if not isinstance(content.get(name), kind):
            raise EvaluationError(f"{path} is damaged: {name} is {content.get(name)!r:.80}")
    return content


def check_report(folder: Path, report: Report) -> None:
    """Compare the report of a finished run with one made from its samples.

    Raises:
        EvaluationError: if they differ.
    """
    if _load(folder / REPORT, _FIELDS[REPORT]) != json.loads(report.to_json()):
        raise EvaluationError(
            f"{folder / REPORT} and {folder / SAMPLES} do not belong together: one of them was changed after the run"
        )
