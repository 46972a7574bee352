"""Questions about marked points, from the codes of labelled pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.data.check import check_files
from perceptio.data.errors import DataError
from perceptio.data.marked_samples import MarkPlan
from perceptio.data.marks import HARDBLINK_PROMPT, MARKED_SIZE
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Sample
from perceptio.depth.normalization import resize_nearest
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.labeling.labeler import Labels
from perceptio.labeling.shards import LabelRow, write_shard
from perceptio.labeling.to_marks import write_marked
from perceptio.model.loading import load_depth_tokenizer

STEP = 2 / 255


@pytest.fixture(scope="module")
def tokenizer() -> DepthTokenizer:
    return load_depth_tokenizer("nano")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory, tokenizer: DepthTokenizer) -> Path:
    """Of five pictures: slopes in several directions, with bumps; the last is nearly even."""
    home = tmp_path_factory.mktemp("marks")
    (home / "labels").mkdir()
    tokenizer.save_pretrained(home / "labels" / "tokenizer")
    size = tokenizer.config.image_size
    y, x = np.mgrid[:size, :size] / size * 2 - 1
    rows = []
    for number in range(5):
        Image.new("RGB", (400, 300) if number else (250, 200)).save(home / f"{number}.png")
        slope = np.cos(number) * x + np.sin(number) * y + 0.5 * np.sin(5 * x + number) * np.cos(4 * y)
        values = slope / np.abs(slope).max() if number < 4 else x * 0.01
        codes = tokenizer.encode(torch.tensor(values, dtype=torch.float32)[None, None])[0].tolist()
        picture = Labels(*((400, 300) if number else (250, 200)), tuple(codes), None, None)
        rows.append(LabelRow(f"{number}.png", f"../{number}.png", picture, "DA", None, "hash", "codes: free"))
    write_shard(home / "labels", 0, rows, [], "")
    return home / "labels"


def questions(path: Path) -> list[Sample]:
    file = SampleFile(path)
    return [file[index] for index in range(len(file))]


def test_marks_keep_hardblinks_law_where_they_are_drawn(
    labels: Path, tmp_path: Path, tokenizer: DepthTokenizer
) -> None:
    report = write_marked(labels, tmp_path / "marked.jsonl", MarkPlan(per_picture=6, seed=3))
    samples = questions(tmp_path / "marked.jsonl")
    assert (report.questions, report.pictures) == (len(samples), 4)
    assert report.left_out == {"pictures without points whose order is clear": 1}
    assert len(samples) >= 20
    assert {len(sample.marks) for sample in samples} == {3, 4, 5}
    assert len({sample.key for sample in samples}) == len(samples)
    letters = set()
    for sample in samples:
        width, height = Image.open(tmp_path / sample.image).size
        with torch.no_grad():
            decoded = tokenizer.decode(torch.tensor([sample.codes]))[0, 0].clamp(-1, 1).numpy()
        nearness = resize_nearest(decoded, MARKED_SIZE)
        (turn,) = sample.turns
        assert (turn.question, turn.depth, turn.task) == (HARDBLINK_PROMPT, True, "marks")
        assert [mark.letter for mark in sample.marks] == list("ABCDE"[: len(sample.marks)])
        points = [(round(mark.x * 336 / width), round(mark.y * 336 / height)) for mark in sample.marks]
        assert all(10 <= x <= 324 and 95 <= y <= 224 for x, y in points)
        values = [float(nearness[y, x]) for x, y in points]
        assert min(values) > -1 + STEP / 2  # not the farthest of 256 steps
        for number, (x, y) in enumerate(points):
            for other, (x2, y2) in enumerate(points[:number]):
                assert np.hypot(x - x2, y - y2) >= 20
                # a drawn point may lie a pixel beside the chosen one, where depth is even to 0.05
                assert abs(values[number] - values[other]) >= 20 * STEP - 0.05
        assert sample.marks[int(np.argmax(values))].letter == turn.target
        letters.add(turn.target)
    assert len(letters) >= 3
    assert not check_files([tmp_path / "marked.jsonl"], quiet=True).problems


def test_questions_depend_on_the_seed_alone(labels: Path, tmp_path: Path) -> None:
    texts = []
    for seed in (0, 0, 1):
        write_marked(labels, tmp_path / "m.jsonl", MarkPlan((3,), seed=seed))
        texts.append((tmp_path / "m.jsonl").read_bytes())
        assert {len(sample.marks) for sample in questions(tmp_path / "m.jsonl")} == {3}
    assert texts[0] == texts[1] != texts[2]


def test_codes_that_are_not_the_tokenizers_are_named(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "tokenizer").symlink_to(labels / "tokenizer")
    row = LabelRow("a.png", "../a.png", Labels(9, 9, (1, 2), None, None), "DA", None, "hash", "")
    write_shard(tmp_path / "labels", 0, [row], [], "")
    with pytest.raises(DataError, match=r"codes of a\.png are not of the tokenizer"):
        write_marked(tmp_path / "labels", tmp_path / "m.jsonl", MarkPlan())
    assert not (tmp_path / "m.jsonl").exists()


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no labels"):
        write_marked(tmp_path, tmp_path / "m.jsonl", MarkPlan())
