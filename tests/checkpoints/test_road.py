"""The road from public weights to a model that works, as docs/training.md tells it: each of its commands, on tiny parts
of the true classes in bfloat16, with the photographs of two wheels."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, InternVLForConditionalGeneration

from perceptio.checkpoints.assemble import load_vlm
from perceptio.cli import main
from perceptio.data.sample_files import SampleFile
from perceptio.pipeline import Perceptio

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
WHEELS = Path(sys.prefix) / "photographs"  # where scripts/install.sh puts them
PHOTOS = (
    *(f"skimage/data/{name}.png" for name in ("astronaut", "camera", "chelsea", "coins")),
    "skimage/data/rocket.jpg",
    *(f"sklearn/datasets/images/{name}.jpg" for name in ("china", "flower")),
)
SIZES = "--size 16 --grid 4 --codes 16 --steps 4 --batch 2"  # of a tokenizer that learns in seconds
RECIPE = """
name: mine
base: {base}
data:
  train: {{mine-depth.jsonl: 1, marks.jsonl: 1}}
  val: {{mine-depth.jsonl: 0.5}}
mask_gate: true
packing: {{length: 0}}
lora: {{rank: 2, alpha: 4}}
tuning: {{steps: 5, global_batch: 2, workers: 0, log_every: 1, save_every: 5, evaluate_every: 5}}
"""


def commands() -> list[str]:
    """Those of the page's first section."""
    section = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    lines = text.replace("\\\n", " ").split("\n")
    return [" ".join(line.partition("#")[0].split()) for line in lines if line.startswith("perceptio ")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder: photographs, questions about them, and measured depth of some."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in PHOTOS:
        shutil.copy(WHEELS / name, photos)
    lines = [
        {
            "image": f"photos/{photo.name}",
            "turns": [
                {"question": "What is shown?", "answer": f"A picture called {photo.stem}."},
                {"question": "Segment it.", "answer": "Here is <p>it</p>.", "task": "referring", "masks": [0]},
            ],
            "masks": [[[10, 10, 90, 10, 90, 90]]],
        }
        for photo in sorted(photos.iterdir())
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("images", "depth"):
        (tmp_path / "judged" / name).mkdir(parents=True)
    for photo in ("china.jpg", "rocket.jpg"):
        shutil.copy(photos / photo, tmp_path / "judged" / "images")
        width, height = Image.open(photos / photo).size
        metres = np.linspace(9, 1, height, dtype=np.float32)[:, None].repeat(width, 1)
        np.save(tmp_path / "judged" / "depth" / photo.replace(".jpg", ".npy"), metres)
    return tmp_path


@pytest.fixture
def bfloat16(parts: Path, tmp_path: Path) -> Path:
    """The InternVL of `parts` as it is published: in bfloat16, and its configuration says so in each section."""
    folder = tmp_path / "published"
    shutil.copytree(parts / "vlm", folder)
    load_vlm(folder).to(torch.bfloat16).save_pretrained(folder)
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    for section in (stored, stored["text_config"], stored["vision_config"]):
        section["dtype"] = section["torch_dtype"] = "bfloat16"
    path.write_text(json.dumps(stored))
    return folder


def test_each_command_of_the_road(
    home: Path,
    bfloat16: Path,
    sa2va: Path,
    parts: Path,
    depth_anything: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (home / "mine.yaml").write_text(RECIPE.format(base="models/base"))
    stand_ins = {
        "ByteDance/Sa2VA-InternVL3-2B": sa2va,
        "OpenGVLab/InternVL3-2B-hf": bfloat16,
        "facebook/sam2.1-hiera-large": parts / "sam",
        "depth-anything/Depth-Anything-V2-Large-hf": depth_anything,
        "--size 320 --grid 10 --codes 128": SIZES,
        "--out models/base": "--tiles 4 --out models/base",  # the tiny tokenizer makes long questions
    }
    monkeypatch.chdir(home)
    said: dict[str, str] = {}
    for command in commands():
        shown = command
        for public, tiny in stand_ins.items():
            command = command.replace(public, str(tiny))
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as stopped:
            main()
        found = capsys.readouterr()
        assert not stopped.value.code, f"{shown}\n{found.out}{found.err}"
        said[" ".join(shown.split()[1:3])] = found.out
    assert {
        "tokenizer train",
        "init --vlm",
        "convert ByteDance/Sa2VA-InternVL3-2B",
        "label photos",
        "data enrich",
        "data marks",
        "data check",
    } <= said.keys()
    assert "Apache-2.0" in said["label photos"] or "terms" in said["label photos"]
    check_samples(home)
    check_result(home)


def check_samples(home: Path) -> None:
    samples = SampleFile(home / "mine-depth.jsonl")
    assert len(samples) == len(PHOTOS)
    for sample in (samples[index] for index in range(len(PHOTOS))):
        assert sample.codes is not None
        assert len(sample.codes) == 16
        assert [turn.depth for turn in sample.turns] == [True, True]
        assert [turn.masks for turn in sample.turns] == [(), (0,)]


def check_result(home: Path) -> None:
    entries: list[dict[str, Any]] = [
        json.loads(line) for line in (home / "runs/mine/log.jsonl").read_text().split("\n") if line
    ]
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    assert len(losses) == 5
    assert np.isfinite(losses).all()
    tuned = Perceptio.from_pretrained(home / "runs" / "mine", device="cpu")
    assert tuned.model.config.mask_gate
    answer = tuned.ask(home / "photos" / "rocket.jpg", "What is shown?", seg="on", depth="on", max_new_tokens=40)
    assert answer.depth is not None
    assert answer.depth.codes.shape == (4, 4)
    stock = InternVLForConditionalGeneration.from_pretrained(home / "plain", dtype="auto")
    assert stock.dtype == torch.bfloat16
    tokenizer = AutoTokenizer.from_pretrained(home / "plain")
    ids = tokenizer(f"<img>{'<IMG_CONTEXT>' * 64}</img>\nWhat is shown?", return_tensors="pt")["input_ids"]
    pixels = torch.zeros(1, 3, 128, 128, dtype=torch.bfloat16)
    written = stock.generate(input_ids=ids, pixel_values=pixels, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert written.shape == (1, ids.shape[1] + 4)
