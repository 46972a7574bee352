"""A mixture whose every sample has been read before: training starts on good data, or says what it leaves out."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perceptio.data.check import check_files
from perceptio.data.errors import DataError
from perceptio.data.fit import Learner
from perceptio.data.mixture import Annealing, DataMixture
from perceptio.files import read_json, replacing

REPORT = "data.json"  # in the folder of a run: what the check of its data found
INDEX = "index"  # folder in it: what is known of each sample (`index.py`)
_SHOWN = 3  # problems that the refusal quotes


def open_mixture(
    files: Mapping[str, float],
    seed: int,
    folder: Path,
    *,
    skip_bad: bool = False,
    batch: int = 1,
    annealing: Annealing | None = None,
    visual: Callable[[int, int], int] | None = None,
    learner: Learner | None = None,
    workers: int = 0,
) -> DataMixture:
    """Check all samples of some files, and mix the good ones.

    What was found stands in FOLDER/data.json and FOLDER/index; while the files stay as they are, no sample is read
    again for it. What is left out is logged as a warning too.

    Args:
        files: as of `DataMixture`, which says what `seed`, `batch`, `annealing` and `visual` are.
        seed: of every order.
        folder: of the run.
        skip_bad: train on the rest if samples are bad.
        batch: visits that make one batch.
        annealing: of depth generation.
        visual: tokens of a picture.
        learner: the model that samples must fit.
        workers: processes that check.

    Raises:
        DataError: if samples are bad and are not to be skipped, or there is no mixture without them.
    """
    found = _checked(list(files), folder / REPORT, learner, workers, skip_bad)
    problems, bad = found["problems"], f"{found['bad_samples']} of {found['samples']} samples are bad"
    if problems and not skip_bad:
        raise DataError(
            f"{bad} ({'; '.join(problems[:_SHOWN])}{'; ...' if problems[_SHOWN:] else ''}): `perceptio data check` "
            "lists all; mend them, or say skip_bad to train on the rest"
        )
    if problems:
        logging.getLogger(__name__).warning("%s and left out: see %s", bad, folder / REPORT)
    return DataMixture(
        files,
        seed,
        batch=batch,
        annealing=annealing,
        visual=visual,
        bad=found["bad"],
        workers=workers,
        folder=folder / INDEX,
    )


def _checked(files: list[str], path: Path, learner: Learner | None, workers: int, skip_bad: bool) -> dict[str, Any]:
    """What the check found, from an earlier report if the files have not changed since and it is enough to go on."""
    state = _state(files, learner)
    found = _earlier(path)
    # a picture that was bad may have been mended since: the state is that of the files of samples
    if found["state"] == state and (skip_bad or not found["problems"]):
        return found
    report = check_files(files, learner=learner, workers=workers)
    found = report.to_dict() | {"problems": [str(problem) for problem in report.problems], "state": state}
    with replacing(path) as beside:
        beside.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _earlier(path: Path) -> dict[str, Any]:
    """An earlier report; one without a state where there is none, or a damaged one: it is made anew."""
    nothing: dict[str, Any] = {"state": ""}
    if not path.is_file():
        return nothing
    try:
        found = read_json(path)
    except ValueError:
        return nothing
    kinds = {"state": str, "problems": list, "bad": dict, "samples": int, "bad_samples": int}
    return found if all(isinstance(found.get(name), kind) for name, kind in kinds.items()) else nothing


def _state(files: list[str], learner: Learner | None) -> str:
    """Changes when a file of samples does, or the model; pictures are taken to stay as they are."""
    parts: list[object] = []
    if learner is not None:
        processor, depth = learner.processor, learner.config.depth
        tokenizer = hashlib.sha256(processor.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
        images = processor.image_processor.to_json_string()
        parts += [processor.context_length, processor.image_seq_length, images, tokenizer]
        parts += [depth.tokens_per_map, depth.codes, learner.length]
    for name in files:
        path = Path(name)
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        status = path.stat()
        parts += [name, status.st_size, status.st_mtime_ns]
    return hashlib.sha256(repr(parts).encode()).hexdigest()
