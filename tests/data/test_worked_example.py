"""The example of docs/data.md, run as it stands there, on photos that are drawn here."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from perceptio.cli import main
from perceptio.data.check import check_files
from perceptio.data.schema import Sample

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
PHOTOS = 12


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def draw_photos(home: Path) -> None:
    """Photos of both orientations with two objects each, as the page says that they lie."""
    for folder in ("photos", "masks", "depth"):
        (home / folder).mkdir(parents=True)
    rng, rows = np.random.default_rng(0), [("photo", "number", "name")]
    for photo in range(1, PHOTOS + 1):
        width, height = (80, 60) if photo % 2 else (60, 80)
        picture, ids = Image.new("RGB", (width, height), (120, 140, 160)), Image.new("L", (width, height))
        for number, name in enumerate(("mug", "kettle"), 1):
            x, y = int(rng.integers(2, 22)), 29 * number - 27 + int(rng.integers(4))  # one above the other
            for image, color in ((picture, (60 * number, 200, 40)), (ids, number)):
                ImageDraw.Draw(image).rectangle((x, y, x + 20 + number * 8, y + 25), fill=color)
            rows.append((f"{photo:04}", str(number), name))
        depth = np.linspace(4000, 900, height).astype(np.uint16)[:, None].repeat(width, 1)
        picture.save(home / "photos" / f"{photo:04}.jpg")
        ids.save(home / "masks" / f"{photo:04}.png")
        Image.fromarray(depth).save(home / "depth" / f"{photo:04}.png")
    with (home / "names.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_example_runs_as_it_stands_on_the_page(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_photos(Path("mine"))
    make, mix = blocks("python")
    check, show, *_ = blocks("sh")
    exec(make, {})
    assert run(check, monkeypatch) == 0
    assert f"{PHOTOS} samples in 2 files" in capsys.readouterr().out
    assert run(f"{show.strip()} --model {tiny_folder}", monkeypatch) == 0
    assert Image.open("sheet.png").height > 1000
    exec(mix, {})
    assert "44 samples a pass" in capsys.readouterr().out  # 4 x 11, and half of one, rounded to even

    report = check_files(["mine/train.jsonl"], quiet=True)
    assert report.supervised == {"text": 44, "seg": 22, "depth": 11}

    Image.new("L", (5, 5)).save("mine/depth/0005.png")
    assert run(check, monkeypatch) == 1
    assert "mine/train.jsonl:4: depth: mine/depth/0005.png is of mode L" in capsys.readouterr().out


def test_depth_is_put_before_the_answers_and_points_are_marked_as_the_page_says(
    tmp_path: Path, depth_anything: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_photos(Path("mine"))
    exec(blocks("python")[0], {})
    _, _, join, mark = blocks("sh")
    label, enrich = join.replace("\\\n", "").splitlines()
    networks = {"depth-anything/Depth-Anything-V2-Small-hf": str(depth_anything), "my-model": "nano"}
    for name, here in networks.items():
        assert name in label
        label = label.replace(name, here)
    for command in (label, enrich, mark):
        assert run(command, monkeypatch) == 0
    told = capsys.readouterr().out.splitlines()
    assert "11 samples in mine/train-depth.jsonl: 33 turns gained a depth span and 0 masks" in told
    assert any(" questions about " in line for line in told)
    report = check_files(["mine/train-depth.jsonl", "mine/marks.jsonl"], quiet=True)
    assert not report.problems
    assert report.supervised["depth"] == sum(report.turns.values())


def test_the_sample_of_the_page_is_of_the_form() -> None:
    (text,) = blocks("json")
    sample = Sample.from_dict(json.loads(text), "docs/data.md")
    assert len(sample.turns) == 3
