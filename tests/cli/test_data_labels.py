"""`perceptio data enrich` and `perceptio data marks` as a user meets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.cli import main
from perceptio.labeling.labeler import Labels
from perceptio.labeling.shards import LabelRow, write_shard
from perceptio.model.loading import load_depth_tokenizer


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two photos, one of them labelled as a slope; two samples about them."""
    tokenizer = load_depth_tokenizer("nano")
    tokenizer.save_pretrained(tmp_path / "labels" / "tokenizer")
    slope = np.tile(np.linspace(-1, 1, tokenizer.config.image_size, dtype=np.float32), (tokenizer.config.image_size, 1))
    codes = tuple(tokenizer.encode(torch.from_numpy(slope)[None, None])[0].tolist())
    row = LabelRow("a.jpg", "../a.jpg", Labels(400, 300, codes, None, None), "DA", None, "hash", "codes: Apache-2.0")
    write_shard(tmp_path / "labels", 0, [row], [], "")
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (400, 300)).save(tmp_path / name)
    turn = {"question": "What is this?", "answer": "A slope."}
    lines = [json.dumps({"image": name, "turns": [turn]}) for name in ("a.jpg", "b.jpg")]
    (tmp_path / "llava.jsonl").write_text("\n".join(lines))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["perceptio", "data", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_labels_are_joined_and_what_has_none_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = home / "deep.jsonl"
    arguments = ("enrich", home / "llava.jsonl", "--labels", home / "labels", "--out", out)
    assert run(monkeypatch, *arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: 1 of 2 samples have pictures without labels in {home}/labels, the first is {home}/llava.jsonl:2: "
        "label them, or give --allow-missing"
    )
    assert not out.exists()
    assert run(monkeypatch, *arguments, "--allow-missing") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"2 samples in {out}: 1 turns gained a depth span and 0 masks",
        f"kept as they are, without labels: 1 samples ({home}/llava.jsonl:2)",
    ]
    first, second = map(json.loads, out.read_text().splitlines())
    assert (len(first["codes"]), first["turns"][0]["depth"]) == (100, True)
    assert "codes" not in second
    assert run(monkeypatch, "check", out, "--model", "nano") == 0


def test_marked_points_are_asked_about_labels_and_about_samples(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = home / "marked.jsonl"
    options = ("--out", out, "--points", 3, "--points", 4, "--per-picture", 5)
    assert run(monkeypatch, "marks", home / "labels", *options) == 0
    assert capsys.readouterr().out.splitlines() == [f"5 questions about 1 pictures in {out}"]
    assert {len(json.loads(line)["marks"]) for line in out.read_text().splitlines()} <= {3, 4}
    assert run(monkeypatch, "check", out, "--model", "nano") == 0
    capsys.readouterr()
    assert run(monkeypatch, "marks", home / "llava.jsonl", "--out", home / "none.jsonl") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: nothing in {home}/llava.jsonl can be asked about: 2 samples without a depth map"
    )
    assert not (home / "none.jsonl").exists()
    assert run(monkeypatch, "marks", home / "llava.jsonl", "--out", home / "llava.jsonl") == 1
    assert "is the file that is read" in capsys.readouterr().err
