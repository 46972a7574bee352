"""All questions are looked at before the first is asked, and a run goes on only with the pictures it began with."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import load_samples
from perceptio.evaluation.judged import Judged, figures
from perceptio.evaluation.questions import Ask, Item, answer_record
from perceptio.evaluation.report import Figure
from perceptio.evaluation.runner import run_benchmark
from perceptio.files import FolderInUseError, locked
from perceptio.images import ImageLike, load_working_image
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, Trace

UNITS = 20


class Quick(Perceptio):
    """Decodes the pictures and says the prompt again; remembers how many were asked together."""

    def ask_batch(self, images: Sequence[ImageLike], prompts: Sequence[str], **options: Any) -> list[Answer]:
        self.batches = [*getattr(self, "batches", []), len(prompts)]
        pictures = [load_working_image(image).image for image in images]
        return [
            Answer(prompt, [], None, Trace(raw=""), picture) for prompt, picture in zip(prompts, pictures, strict=True)
        ]


@pytest.fixture
def quick(tiny: Perceptio) -> Quick:
    return Quick(tiny.model, tiny.processor, "quick")


class Pictures:
    """A question about each picture of a folder."""

    name = "pictures"
    protocol = "1"

    def __init__(self, folder: Path, prompts: Sequence[str] | None = None, stop_at: int | None = None) -> None:
        self.folder, self.stop_at = folder, stop_at
        self.prompts = prompts or [f'What is\u2028\x85\x0b\r"{number}?' for number in range(UNITS)]

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def __len__(self) -> int:
        return len(self.prompts)

    def items(self, unit: int) -> list[Item]:
        return [Item(str(unit), (Ask(self.folder / f"{unit}.png", self.prompts[unit]),), where=f"file line {unit + 1}")]

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        if item.key == str(self.stop_at):
            raise KeyboardInterrupt
        return Judged(
            item.key, item.key, {"even": len(answers[0].text) % 2 == 0}, answer_record(item.asks[0], *answers)
        )

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        return figures(samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for unit in range(UNITS):
        Image.new("RGB", (20, 10 + unit)).save(tmp_path / "pictures" / f"{unit}.png")
    return tmp_path / "pictures"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "timing.json"}


BAD_PROMPTS = [
    ("What is here? " * 3000, "tokens"),
    ("Where is \ud800?", "place"),
    ("Where is \x00?", "place"),
    (" ", "empty"),
]


@pytest.mark.parametrize(("prompt", "named"), BAD_PROMPTS)
def test_a_prompt_that_cannot_be_asked_is_found_first(folder: Path, quick: Quick, prompt: str, named: str) -> None:
    prompts = ["What?"] * (UNITS - 1) + [prompt]
    with pytest.raises(EvaluationError, match=rf"^file line {UNITS}: .*{named}"):
        run_benchmark(quick, Pictures(folder, prompts), folder / "out", progress=False)
    assert not hasattr(quick, "batches")


@pytest.mark.parametrize("content", [None, b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_picture_that_cannot_be_opened_is_found_first(folder: Path, quick: Quick, content: bytes | None) -> None:
    (folder / "17.png").unlink()
    if content is not None:
        (folder / "17.png").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"^file line 18: .*17\.png"):
        run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    assert not hasattr(quick, "batches")


def test_a_picture_that_fails_later_can_be_mended_and_the_run_goes_on(folder: Path, quick: Quick) -> None:
    """Its header is sound: only decoding shows the damage."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)).save(folder / "9.png")
    whole = (folder / "9.png").read_bytes()
    run_benchmark(quick, Pictures(folder), folder / "whole", progress=False)
    (folder / "9.png").write_bytes(whole[:5000])
    with pytest.raises(ValueError, match=r"9\.png"):
        run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    assert len((folder / "out" / "progress.jsonl").read_bytes().split(b"\n")) == 2
    (folder / "9.png").write_bytes(whole)
    run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    assert files(folder / "out") == files(folder / "whole")


def interrupt(quick: Quick, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(quick, Pictures(folder, stop_at=17), folder / "out", progress=False)


def test_a_picture_that_changed_since_it_was_asked_about_is_refused(folder: Path, quick: Quick) -> None:
    interrupt(quick, folder)
    before = (folder / "3.png").read_bytes()
    Image.new("RGB", (20, 13), "red").save(folder / "3.png")
    Image.new("RGB", (20, 28), "red").save(folder / "18.png")  # not asked about yet
    with pytest.raises(EvaluationError, match=r"3\.png has been changed"):
        run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    (folder / "3.png").write_bytes(before)
    results = run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    assert len(load_samples(results.folder)) == UNITS
    assert all(len(sample.record["pictures_sha256"]) == 16 for sample in load_samples(results.folder))


def damages(lines: list[bytes]) -> dict[str, list[bytes]]:
    first, second = lines
    other = json.loads(second)
    other["samples"] = other["samples"][::-1]
    return {
        "two runs": [first, first, second, second],
        "others": [first, json.dumps(other).encode()],
        "more than there is": [first, second, second, second, second],
        "torn": [first[:100] + second[50:], second],
    }


@pytest.mark.parametrize("damage", ["two runs", "others", "more than there is", "torn"])
def test_a_log_that_two_runs_have_damaged_is_cut_back_to_its_sound_beginning(
    folder: Path, quick: Quick, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_benchmark(quick, Pictures(folder), folder / "whole", progress=False)
    interrupt(quick, folder)
    log = folder / "out" / "progress.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1]
    log.write_bytes(b"".join(line + b"\n" for line in damages(lines)[damage]))
    run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    assert "progress.jsonl is damaged from line" in caplog.text
    assert files(folder / "out") == files(folder / "whole")


def test_one_run_at_a_time(folder: Path, quick: Quick) -> None:
    with locked(folder / "out"), pytest.raises(FolderInUseError, match=f"out .* process {os.getpid()}"):
        run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    assert ".lock" not in files(folder / "out")


def test_a_finished_run_is_read_where_nothing_can_be_written(folder: Path, quick: Quick) -> None:
    first = run_benchmark(quick, Pictures(folder), folder / "out", progress=False).report
    before = files(folder / "out")
    (folder / "out" / "progress.jsonl").touch()  # left by a kill after the report was written
    with locked(folder / "out"):
        assert run_benchmark(quick, Pictures(folder), folder / "out", progress=False).report == first
    assert files(folder / "out") == before


def test_large_pictures_are_decoded_in_smaller_batches(
    folder: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_benchmark(quick, Pictures(folder), folder / "out", progress=False)
    assert quick.batches == [8, 8, 4]
    whole, quick.batches = files(folder / "out")["samples.jsonl"], []
    monkeypatch.setattr("perceptio.evaluation.runner._BATCH_PIXELS", 600)
    run_benchmark(quick, Pictures(folder), folder / "small", batch_size=3, progress=False)
    assert quick.batches[:4] == [2, 2, 2, 1]  # 20 x 10, 11 ... pixels
    assert set(quick.batches) <= {1, 2}
    assert files(folder / "small")["samples.jsonl"] == whole


@pytest.mark.parametrize(("size", "error"), [(0, EvaluationError), (-1, EvaluationError), ("3", TypeError)])
def test_a_bad_batch_size_is_refused_at_once(folder: Path, quick: Quick, size: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="batch_size"):
        run_benchmark(quick, Pictures(folder), folder / "out", batch_size=size, progress=False)
    assert not (folder / "out").exists()
