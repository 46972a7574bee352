"""`perceptio label` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.cli import main


@pytest.fixture
def options(tmp_path: Path, depth_anything: Path, parts: Path) -> list[object]:
    """Arguments that label two pictures."""
    (tmp_path / "in").mkdir()
    for name in "ab":
        noise = np.random.default_rng(ord(name)).integers(0, 256, (40, 30, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{name}.png")
    return [tmp_path / "in", "--out", tmp_path / "out", "--teacher", depth_anything, "--tokenizer", parts / "depth"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["perceptio", "label", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_labels_and_samples_are_written(
    options: list[object],
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"image": "in/a.png", "boxes": [[2, 3, 20, 30]]}\n')
    masks = ["--sam", parts / "sam", "--prompts", prompts]
    assert run(monkeypatch, *options, *masks, "--samples", tmp_path / "samples.jsonl") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("2 pictures labelled in 1 of 1 files in ")
    assert said[1].startswith("2 samples in ")
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [(sample["image"], len(sample.get("masks", []))) for sample in samples] == [("in/a.png", 1), ("in/b.png", 0)]


def test_masks_are_written_for_other_programs(
    options: list[object],
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"image": "in/a.png", "boxes": [[2, 3, 20, 30]]}\n')
    masks = ["--sam", parts / "sam", "--prompts", prompts]
    assert run(monkeypatch, *options, *masks, "--annotations", tmp_path / "coco.json") == 0
    assert capsys.readouterr().out.splitlines()[1] == f"masks of 2 pictures in {tmp_path / 'coco.json'}"
    images = json.loads((tmp_path / "coco.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["in/a.png", "in/b.png"]
    tasks = tmp_path / "tasks.json"
    assert run(monkeypatch, *options, *masks, "--annotations", tasks, "--format", "label-studio") == 0
    urls = [task["data"]["image"] for task in json.loads(tasks.read_text())]
    assert urls == ["/data/local-files/?d=in/a.png", "/data/local-files/?d=in/b.png"]


def test_bad_pictures_fail_the_command_unless_they_are_allowed(
    options: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "a.png").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").touch()
    samples = tmp_path / "samples.jsonl"
    assert run(monkeypatch, *options, "--samples", samples) == 1
    output = capsys.readouterr()
    assert "1 pictures labelled in 1 of 1 files" in output.out
    assert "not labelled: ../in/a.png: " in output.err
    assert "left out: 1 .txt" in output.err
    assert "error: 1 pictures could not be labelled" in output.err
    assert not samples.exists()
    assert run(monkeypatch, *options, "--samples", samples, "--allow-bad") == 0
    assert len(samples.read_text().splitlines()) == 1


def test_odd_names_and_links_are_told_in_a_line_each(
    options: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "new\nline\u2028\udce9.png").touch()
    (tmp_path / "in" / "self").symlink_to(".")
    assert run(monkeypatch, *options, "--allow-bad") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("not labelled: ../in/new\\nline\\u2028\\udce9.png: ")]
    assert [line for line in lines if line.startswith("link to a folder, left out: ") and "in/self (" in line]


def test_samples_wait_for_all_parts(
    options: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    part = ["--shard-size", 1, "--shard", "1/2", "--samples", tmp_path / "samples.jsonl"]
    assert run(monkeypatch, *options, *part) == 1
    output = capsys.readouterr()
    assert "1 pictures labelled in 1 of 2 files" in output.out
    assert "samples.jsonl is not written before all is labelled" in output.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--shard", "3"], "--shard must be I/N, such as 1/4, not '3'"),
        (["--shard", "0/2"], "one of 1/2 to 2/2, not 0/2"),
        (["--device", "gpu"], "no device 'gpu'"),
        (["--sam", "nowhere"], "there is no model 'nowhere'"),
        (["--prompts", "nowhere.jsonl"], "give both, or neither"),
        (["--format", "coco"], "--format coco belongs to --annotations"),
        (["--annotations", "coco.json"], "--annotations writes masks: give --sam and --prompts"),
    ],
)
def test_wrong_options_are_one_sentence(
    options: list[object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    assert run(monkeypatch, *options, *arguments) == 1
    assert complaint in capsys.readouterr().err
