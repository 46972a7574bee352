"""Replaced depth codes: each kind is what it is called, and an answer reads no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.evaluation.depth_tokens import FROM_TRUE_MAPS, DepthTokens, Replacement
from perceptio.evaluation.folder import load_samples
from perceptio.evaluation.hardblink import PointQuestion, PointsBenchmark
from perceptio.evaluation.questions import Item
from perceptio.evaluation.runner import run_benchmark
from perceptio.labeling.labeler import Labels
from perceptio.labeling.networks import tokenizer_hash
from perceptio.labeling.shards import LabelRow, write_shard
from perceptio.pipeline import Perceptio
from perceptio.tokens import Switch, parse

PICTURES = 6


class Points(PointsBenchmark):
    """Questions that have to be answered with a depth map, which the tiny model would not write by itself."""

    def __init__(self, folder: Path) -> None:
        questions = [PointQuestion(str(k), 3, folder / f"{k}.png", "A", f"line {k}") for k in range(PICTURES)]
        super().__init__("points", "Which is nearest?", questions, (3,), {})

    def items(self, unit: int) -> list[Item]:
        (item,) = super().items(unit)
        return [replace(item, asks=tuple(replace(ask, depth=Switch.ON) for ask in item.asks))]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for number in range(PICTURES):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    return tmp_path / "pictures"


def test_matched_codes_are_as_frequent_as_those_of_the_true_maps(tiny: Perceptio) -> None:
    config = tiny.model.depth_tokenizer.config
    maps = [np.arange(config.tokens_per_map) % 3, np.zeros(config.tokens_per_map, np.int64)]
    replacement = Replacement(DepthTokens.matched_random, config, lambda number: maps[number % 2], 400)
    drawn = np.concatenate([replacement.codes(picture) for picture in range(400)])
    counts = np.bincount(np.concatenate(maps), minlength=config.codes)
    np.testing.assert_allclose(
        np.bincount(drawn, minlength=config.codes) / len(drawn), counts / counts.sum(), atol=0.03
    )
    again = Replacement(DepthTokens.matched_random, config, lambda number: maps[number % 2], 400)
    np.testing.assert_array_equal(again.codes(7), replacement.codes(7))
    assert not np.array_equal(replacement.codes(7), replacement.codes(8))


def label(pictures: Path, tiny: Perceptio, **changes: object) -> list[np.ndarray]:
    """Made-up labels beside the pictures, in another order; returns the codes in the order of the pictures."""
    config = tiny.model.depth_tokenizer.config
    codes = [np.random.default_rng(k).integers(0, config.codes, config.tokens_per_map) for k in range(PICTURES)]
    rows = [
        LabelRow(
            key=str(number),
            image=f"../pictures/{number}.png",
            labels=Labels(40, 40, tuple(codes[number].tolist()), None, None),
            teacher="a teacher",
            segmenter=None,
            tokenizer=tokenizer_hash(tiny.model.depth_tokenizer),
            licence="none",
        )
        for number in range(PICTURES)
    ]
    folder = pictures.parent / "labels"
    folder.mkdir(exist_ok=True)
    write_shard(folder, 0, [replace(row, **changes) for row in rows[::-1]], [], "")  # type: ignore[arg-type]
    return codes


def spans(tiny: Perceptio, folder: Path) -> list[list[int]]:
    """The codes in each sample of a finished run."""
    vocabulary, tokenizer = tiny.model.config.vocabulary, tiny.processor.tokenizer
    raw = [tokenizer.encode(str(sample.record["raw"]), add_special_tokens=False) for sample in load_samples(folder)]
    return [[code for span in parse(vocabulary, ids).spans for code in span.codes] for ids in raw]


@pytest.mark.parametrize("kind", list(DepthTokens))
def test_answers_read_the_codes_that_they_are_given(
    pictures: Path, tiny: Perceptio, tmp_path: Path, kind: DepthTokens
) -> None:
    codes = label(pictures, tiny)
    benchmark = Points(pictures)
    benchmark.replace_depth(tiny, kind, tmp_path / "labels" if kind in FROM_TRUE_MAPS else None)
    given = [item.asks[0].codes for unit in range(PICTURES) for item in benchmark.items(unit)]
    due = {
        DepthTokens.oracle: codes,
        DepthTokens.other: codes[1:] + codes[:1],
        DepthTokens.constant: [np.full_like(each, np.bincount(each).argmax()) for each in codes],
    }
    if kind in due:
        np.testing.assert_array_equal(given, due[kind])
    run_benchmark(tiny, benchmark, tmp_path / "out", progress=False)
    if given[0] is not None:
        assert spans(tiny, tmp_path / "out") == [each.tolist() for each in given if each is not None]
    assert (given[0] is not None) == (kind is DepthTokens.random or kind in FROM_TRUE_MAPS)


def test_the_first_code_is_the_models_own_and_the_others_are_like_it(
    pictures: Path, tiny: Perceptio, tmp_path: Path
) -> None:
    found = {}
    for kind in (DepthTokens.own, DepthTokens.first_repeat):
        benchmark = Points(pictures)
        benchmark.replace_depth(tiny, kind)
        run_benchmark(tiny, benchmark, tmp_path / kind, progress=False)
        found[kind] = spans(tiny, tmp_path / kind)
    assert any(len(set(codes)) > 1 for codes in found[DepthTokens.own])
    assert found[DepthTokens.first_repeat] == [codes[:1] * len(codes) for codes in found[DepthTokens.own]]


def test_without_depth_tokens_the_span_is_switched_off(pictures: Path, tiny: Perceptio) -> None:
    benchmark = Points(pictures)
    benchmark.replace_depth(tiny, DepthTokens.off)
    (item,) = PointsBenchmark.items(benchmark, 0)
    assert item.asks[0].depth is Switch.OFF


def test_settings_tell_the_tokens_unless_they_are_the_models_own(pictures: Path, tiny: Perceptio) -> None:
    def settings(kind: DepthTokens, seed: int) -> dict[str, object]:
        label(pictures, tiny, **({"labels": Labels(40, 40, (seed,) * 16, None, None)} if seed else {}))
        benchmark = Points(pictures)
        benchmark.replace_depth(tiny, kind, pictures.parent / "labels" if kind in FROM_TRUE_MAPS else None)
        return benchmark.settings

    assert settings(DepthTokens.own, 0) == Points(pictures).settings
    assert settings(DepthTokens.first_repeat, 0)["depth_tokens"] == "first-repeat"
    one, two = settings(DepthTokens.oracle, 0), settings(DepthTokens.oracle, 1)
    assert one["labels_sha256"] != two["labels_sha256"]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (DepthTokens.oracle, None, "holds no labels"),
        (DepthTokens.random, {}, "'random' come from no labels"),
        (DepthTokens.oracle, {"tokenizer": "0"}, r"of another depth tokenizer \(0\)"),
        (DepthTokens.constant, {"labels": Labels(40, 40, (0, 1), None, None)}, "labels of .* are damaged"),
        (
            DepthTokens.other,
            {"image": "../pictures/none.png"},
            r"6 of 6 pictures have no labels .*, the first is .*0\.png",
        ),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(
    pictures: Path, tiny: Perceptio, kind: DepthTokens, changes: dict[str, object] | None, message: str
) -> None:
    if changes is not None:
        label(pictures, tiny, **changes)
    with pytest.raises(ValueError, match=message):
        Points(pictures).replace_depth(tiny, kind, pictures.parent / "labels")


def test_tokens_of_the_true_map_need_labels(pictures: Path, tiny: Perceptio) -> None:
    with pytest.raises(ValueError, match=r"'oracle' come from depth maps .* --labels"):
        Points(pictures).replace_depth(tiny, DepthTokens.oracle)
