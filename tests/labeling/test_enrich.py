"""Labels joined to samples that others have written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.data.check import check_files
from perceptio.data.errors import DataError
from perceptio.data.packing import pack_sample
from perceptio.data.reading import read_sample
from perceptio.data.rle import json_rle, mask_rle
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import Sample, Turn
from perceptio.labeling.enrich import enrich
from perceptio.labeling.labeler import Labels
from perceptio.labeling.shards import LabelRow, write_shard
from perceptio.pipeline import Perceptio

ASKED = Turn("What is this?", "A room.", "conversation")
NAMED = Turn("What is where?", "There are <p>a chair</p> and <p>a lamp</p>.", supervise=("text",))
REFERRED = Turn("Segment it.", "Here is <p>it</p>.", "referring", masks=(0,))
CODES = tuple(range(16))


def rectangle(left: int) -> dict[str, object]:
    mask = np.zeros((40, 60), bool)
    mask[5:30, left : left + 20] = True
    return json_rle(mask_rle(mask))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Of two pictures; the second has two masks."""
    for name in ("a", "b", "c"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (60, 40)).save(tmp_path / "photos" / f"{name}.png")
    folder = tmp_path / "labels"
    folder.mkdir()
    rows = [
        LabelRow(name, f"../photos/{name}.png", Labels(60, 40, codes, masks, None), "DA", "SAM", "hash", "codes: free")
        for name, codes, masks in (("a", CODES, None), ("b", CODES[::-1], (rectangle(0), rectangle(30))))
    ]
    write_shard(folder, 0, rows[:1], [], "")
    write_shard(folder, 1, rows[1:], [], "")
    return folder


def joined(tmp_path: Path, labels: Path, *samples: Sample, **options: object) -> list[Sample]:
    path, out = tmp_path / "in" / "x.jsonl", tmp_path / "out" / "y.jsonl"
    write_samples(path, samples)
    enrich(SampleFile(path), labels, out, **options)  # type: ignore[arg-type]
    file = SampleFile(out)
    return [file[index] for index in range(len(file))]


def test_answers_come_after_the_codes_of_their_picture(tmp_path: Path, labels: Path, tiny: Perceptio) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    given = Sample("../link/a.png", (ASKED, REFERRED), masks=(rectangle(9),), source="LLaVA", licence="CC BY-NC 4.0")
    (sample,) = joined(tmp_path, labels, given)
    assert sample.codes == CODES
    assert [turn.depth for turn in sample.turns] == [True, True]
    assert [turn.masks for turn in sample.turns] == [(), (0,)]
    assert sample.masks == given.masks
    assert sample.source == "LLaVA; labelled by DA and SAM, depth tokenizer hash"
    assert sample.licence == "CC BY-NC 4.0; codes: free"
    assert not check_files([tmp_path / "out" / "y.jsonl"], quiet=True).problems
    read = read_sample(sample, tmp_path / "out", "here")
    row = pack_sample(read, tiny.processor, tiny.model.config, np.random.default_rng(0))
    asked, referred = row.branches
    assert asked.span is not None
    assert asked.question < asked.span < asked.words  # the span, then the answer
    assert referred.segments[0] < referred.span < referred.words  # [SEG], depth, text
    assert tuple(row.codes) == CODES


def test_phrases_without_a_mask_take_those_of_the_labels_in_order(tmp_path: Path, labels: Path) -> None:
    given = Sample("../photos/b.png", (REFERRED, NAMED, ASKED), masks=(rectangle(9),))
    (sample,) = joined(tmp_path, labels, given)
    assert sample.masks == (rectangle(9), rectangle(0), rectangle(30))
    assert [turn.masks for turn in sample.turns] == [(0,), (1, 2), ()]
    assert [turn.supervise for turn in sample.turns] == [("seg", "depth", "text")] * 3
    assert not check_files([tmp_path / "out" / "y.jsonl"], quiet=True).problems


def test_masks_that_no_phrase_asks_for_stay_behind(tmp_path: Path, labels: Path) -> None:
    one = replace(NAMED, answer="There is <p>a chair</p>.")
    plain, uneven = joined(tmp_path, labels, Sample("../photos/b.png", (ASKED,)), Sample("../photos/b.png", (one,)))
    for sample in (plain, uneven):
        assert (sample.masks, sample.turns[0].masks, sample.turns[0].depth) == ((), (), True)
    report = enrich(SampleFile(tmp_path / "in" / "x.jsonl"), labels, tmp_path / "out" / "z.parquet")
    assert (report.samples, report.unmatched, report.turns["depth"], report.turns["masks"]) == (2, 1, 2, 0)


def test_a_share_of_the_turns_gets_depth_and_the_others_say_that_none_is_wanted(tmp_path: Path, labels: Path) -> None:
    turns = tuple(replace(ASKED, question=f"What is {number}?") for number in range(40))
    (sample,) = joined(tmp_path, labels, Sample("../photos/a.png", turns), share=0.5)
    (again,) = joined(tmp_path, labels, Sample("../photos/a.png", turns), share=0.5)
    assert sample == again
    assert 10 < sum(turn.depth for turn in sample.turns) < 30
    assert all(turn.depth == ("depth" in turn.supervise) for turn in sample.turns)
    (none,) = joined(tmp_path, labels, Sample("../photos/a.png", turns), share=0.0)
    assert not any(turn.depth for turn in none.turns)
    with pytest.raises(DataError, match="between 0 and 1, not at 2"):
        joined(tmp_path, labels, Sample("../photos/a.png", turns), share=2.0)


def test_codes_of_another_tokenizer_give_way_and_a_second_time_changes_nothing(tmp_path: Path, labels: Path) -> None:
    path, out = tmp_path / "x.jsonl", tmp_path / "y.jsonl"
    write_samples(path, [Sample("photos/a.png", (ASKED,), codes=(9, 9), depth="d.png")])
    assert enrich(SampleFile(path), labels, out).replaced == 1
    assert (SampleFile(out)[0].codes, SampleFile(out)[0].depth) == (CODES, "d.png")
    again = enrich(SampleFile(out), labels, tmp_path / "z.jsonl")
    assert (again.replaced, again.turns.total()) == (0, 0)
    assert (tmp_path / "z.jsonl").read_bytes() == out.read_bytes()


def test_samples_without_labels_stop_the_join_or_stay_as_they_are(tmp_path: Path, labels: Path) -> None:
    given = [Sample(f"../photos/{name}.png", (ASKED,)) for name in ("a", "c", "c")]
    with pytest.raises(DataError, match=r"2 of 3 samples have .* the first is .*x\.jsonl:2: .*--allow-missing"):
        joined(tmp_path, labels, *given)
    assert not (tmp_path / "out" / "y.jsonl").exists()
    assert joined(tmp_path, labels, *given, allow_missing=True)[1:] == given[1:]
    report = enrich(SampleFile(tmp_path / "in" / "x.jsonl"), labels, tmp_path / "z.jsonl", allow_missing=True)
    assert (report.unlabelled, [each.rpartition(":")[2] for each in report.first]) == (2, ["2", "3"])
    with pytest.raises(DataError, match=r"2 of 2 samples have pictures without labels .*: label them$"):
        joined(tmp_path, labels, *given[1:], allow_missing=True)


def test_places_that_cannot_be_read_or_written_are_named(tmp_path: Path, labels: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_samples(path, [Sample("photos/a.png", (ASKED,))])
    for out, message in ((path, "is the file that is read"), (tmp_path / "y.txt", r"neither \.jsonl nor \.parquet")):
        with pytest.raises(DataError, match=message):
            enrich(SampleFile(path), labels, out)
    with pytest.raises(DataError, match="holds no labels"):
        enrich(SampleFile(path), tmp_path / "photos", tmp_path / "y.jsonl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": (None,)}, "no whole numbers"),
        ({"masks": ({"size": [40, 60], "counts": "~~"},)}, "holds characters"),
        ({"masks": ({"size": [4, 6], "counts": "0"},)}, r"\[4, 6\] but the image is"),
        ({"width": None, "masks": (rectangle(0),)}, "pixels"),
    ],
)
def test_damaged_labels_are_named(tmp_path: Path, labels: Path, change: dict[str, Any], message: str) -> None:
    bad = replace(Labels(60, 40, CODES, None, None), **change)
    write_shard(labels, 2, [LabelRow("c", "../photos/c.png", bad, "DA", None, "hash", "")], [], "")
    with pytest.raises(DataError, match=rf"labels-000002\.parquet is damaged, its row 'c': .*{message}"):
        joined(tmp_path, labels, Sample("../photos/a.png", (ASKED,)))
