"""The shipped model on somebody's own data: a JSONL file of fifty pictures, the command line, a better model."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.cli import main
from perceptio.data.mixture import DataMixture
from perceptio.data.packing import collate
from perceptio.data.rle import json_rle, mask_rle
from perceptio.data.sample_files import write_samples
from perceptio.data.schema import Sample, Turn
from perceptio.data.supervision import Supervision
from perceptio.model.loading import load
from perceptio.model.packed_objective import PackedObjective
from perceptio.pipeline import Perceptio
from perceptio.scenes.language.mixture import Mixture
from perceptio.scenes.render_job import render_split
from perceptio.scenes.samples import build_sample
from perceptio.scenes.storage import SceneStore
from perceptio.training.visits import Visits, packer

PICTURES, HELD_BACK = 50, 10
RECIPE = """
name: mine
base: nano
data:
  train:
    train.jsonl: 1
  val:
    val.jsonl: 1
packing:
  length: 0
  explicit: 0.0
lora:
  rank: 16
  alpha: 32
tuning:
  steps: 20
  global_batch: 4
  batch: 2
  learning_rate: 4.0e-4
  bf16: false
  workers: 0
  log_every: 5
  save_every: 10
  evaluate_every: 20
"""


# what somebody's own data is about: nano knows the parts, and not how they are asked for
OWN = Mixture(**dict.fromkeys(vars(Mixture()), 0.0) | {"naming": 1.0, "depth": 0.5})


def in_own_words(turn: Turn) -> Turn:
    """A request in the language of a workshop."""
    phrase = re.search("<p>(.*)</p>", turn.answer)
    if phrase is None:
        return turn
    return replace(turn, question=f"Inspect {phrase[1]}.", answer=f"Part located: <p>{phrase[1]}</p>, no defects.")


def write_own_data(store: SceneStore, home: Path) -> None:
    """Scenes as a person's own files: pictures, depth maps in metres, and samples with masks."""
    samples = []
    for picture in range(PICTURES):
        stored = store[picture]
        sample = build_sample(stored, np.random.default_rng(picture), questions=3, mixture=OWN)
        Image.fromarray(sample.image).save(home / f"{picture}.png")
        np.save(home / f"{picture}.npy", stored.depth)
        objects = sorted({number for turn in sample.turns for number in turn.masks})
        turns = tuple(
            Turn(
                turn.question,
                turn.answer,
                turn.task,
                tuple(objects.index(number) for number in turn.masks),
                turn.depth,
                turn.target,
            )
            for turn in map(in_own_words, sample.turns)
        )
        masks = tuple(json_rle(mask_rle(stored.ids == number)) for number in objects)
        once = tuple(dict.fromkeys(turns))  # an object may have been drawn twice
        samples.append(Sample(f"{picture}.png", once, masks=masks, depth=f"{picture}.npy"))
    write_samples(home / "train.jsonl", samples[:-HELD_BACK])
    write_samples(home / "val.jsonl", samples[-HELD_BACK:])


def perceptio(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["perceptio", *shlex.split(command)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@torch.no_grad()
def mean_loss(name: str | Path, file: Path) -> float:
    """Of a model in use on a file of samples."""
    model, processor = load(name, device="cpu")
    pack = packer(model.config, processor, explicit=0.0, length=0, supervision=Supervision())
    rows, objective = Visits(DataMixture({str(file): 1}, 0).once(), pack, 0), PackedObjective(model)
    batches = [collate([rows[visit]], processor.tokenizer.pad_token_id) for visit in range(len(rows))]
    return sum(float(objective(**batch)["loss"]) for batch in batches) / len(batches)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and recipe."""
    folder = tmp_path_factory.mktemp("home")
    write_own_data(render_split(folder / "scenes" / "val", "val", PICTURES, size=224), folder)
    (folder / "mine.yaml").write_text(RECIPE)
    return folder


@pytest.mark.slow
def test_twenty_steps_on_fifty_pictures_make_nano_better_on_others(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert perceptio("train mine.yaml --out run", monkeypatch) == 0
    before, after = mean_loss("nano", home / "val.jsonl"), mean_loss(home / "run", home / "val.jsonl")
    print(f"loss on pictures held back: {before:.2f} -> {after:.2f}")  # docs/training.md
    assert after < before - 0.5
    answer = Perceptio.from_pretrained(home / "run").ask(home / "49.png", "How many cubes are there?")
    assert answer.text


@pytest.mark.slow
def test_a_dry_run_measures_the_data_and_loads_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    assert perceptio("train mine.yaml --out planned --dry-run", monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "LoRA and token rows" in shown
    assert "1 tiles" in shown
    assert "data: 40 samples in a pass, 20 steps of 4" in shown
    assert "the whole run: 0.0" in shown
    found = sorted(path.relative_to(home / "planned") for path in (home / "planned").rglob("*") if path.is_file())
    assert [path.as_posix().rpartition("/")[0] for path in found] == ["", "index", "val", "val/index"]


def test_a_dry_run_without_base_and_data_plans_and_says_what_is_missing(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = RECIPE.replace("base: nano", f"base: {tiny_folder}").replace("length: 0", "length: 200")
    Path("mine.yaml").write_text(text)
    assert perceptio("train mine.yaml --dry-run", monkeypatch) == 1
    shown = capsys.readouterr()
    assert "activations of sequences of 200 tokens" in shown.out
    assert "there is no file train.jsonl" in shown.err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train mine.yaml --stage depth", "mine.yaml is a fine-tune: it has no stages and no scenes"),
        ("train nothing.yaml --dry-run", "nothing.yaml starts from nothing: --dry-run plans fine-tunes only"),
        ("train unknown.yaml --dry-run", "nowhere is no folder here: set `sizes`"),
    ],
)
def test_what_does_not_fit_together_is_said(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(RECIPE)
    Path("nothing.yaml").write_text("name: nothing\n")
    Path("unknown.yaml").write_text(RECIPE.replace("base: nano", "base: nowhere"))
    assert perceptio(command, monkeypatch) == 1
    assert message in capsys.readouterr().err
