"""The benchmark on photographs: what is asked, right and silent answers, and a run of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceptio.data.marks import HARDBLINK_PROMPT, MARKED_SIZE
from perceptio.evaluation.depth_pairs import DEPTH_PROMPT
from perceptio.evaluation.folder import load_samples
from perceptio.evaluation.photos.annotations import PhotoOrder
from perceptio.evaluation.photos.benchmark import PhotosBenchmark, open_photos
from perceptio.evaluation.questions import Item
from perceptio.evaluation.report import Figure
from perceptio.evaluation.runner import run_benchmark
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, DepthMap, Mask, Trace
from perceptio.tokens import Switch

WIDTH, HEIGHT = 60, 40
PAIRS, LOWER = "nearer of two points, by the map", "rule: the lower of two is nearer"
NEAREST, LOWEST = "nearest of 3 to 5 points, by the map", "rule: the lowest of 3 to 5 is nearest"
CENTRAL, MOST_CENTRAL = "rule: the more central of two is nearer", "rule: the most central of 3 to 5 is nearest"
WORDS, DISPARITY = "nearest of 3 to 5 marked points, in words", "order of measured disparity, by the map"
IOU, CENTRE = "named things, IoU of the mask's box", "named things, centre of the mask in the box"
NO_MASK, WRITTEN, UNREADABLE = "named things without a mask", "depth map written", "unreadable answers"


@pytest.fixture
def benchmark_of(photo_order: PhotoOrder, packages: Path) -> PhotosBenchmark:
    return open_photos(packages, photo_order=photo_order)


def answer(text: str = "", mask: np.ndarray | None = None, depth: np.ndarray | None = None) -> Answer:
    masks = [] if mask is None else [Mask(mask, 1.0)]
    found = None if depth is None else DepthMap(depth.astype(np.float32), np.zeros((4, 4), np.int64))
    return Answer(text, masks, found, Trace(raw=""))


def box_mask(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[round(top * HEIGHT) : round(bottom * HEIGHT), round(left * WIDTH) : round(right * WIDTH)] = True
    return mask


def scored(benchmark: PhotosBenchmark, *, right: bool) -> dict[str, Figure]:
    """The figures of right words, exact boxes and maps in which the lower is nearer, or of nothing at all."""

    def answered(item: Item) -> Answer:
        if not right:
            return answer()
        if item.key.endswith("depth"):
            return answer(depth=np.arange(float(HEIGHT))[:, None].repeat(WIDTH, axis=1))
        if "marks" in item.key:
            return answer(f"Point {item.truth.answer}.")
        return answer(mask=box_mask(*item.truth.box))

    items = [item for unit in range(len(benchmark)) for item in benchmark.items(unit)]
    figures = benchmark.figures([benchmark.score(item, [answered(item)]) for item in items])
    return {figure.name: figure for figure in figures}


def test_what_is_asked(benchmark_of: PhotosBenchmark, packages: Path) -> None:
    depth, marks, thing = benchmark_of.items(0)
    assert (depth.asks[0].prompt, depth.asks[0].seg, depth.asks[0].depth) == (DEPTH_PROMPT, Switch.OFF, Switch.ON)
    assert depth.asks[0].image == packages / "garden/usr/cat.png"
    assert (marks.asks[0].prompt, marks.asks[0].seg, marks.asks[0].depth) == (
        HARDBLINK_PROMPT,
        Switch.AUTO,
        Switch.AUTO,
    )
    assert (thing.asks[0].prompt, thing.asks[0].seg) == ("Please segment the cat in this image.", Switch.ON)
    assert [item.key for item in benchmark_of.items(1)] == ["tree/depth"]
    assert [item.key for item in benchmark_of.items(2)] == [
        "bear/depth",
        "bear/marks 0",
        "bear/thing 0",
        "bear/thing 1",
    ]
    assert isinstance(benchmark_of.items(2)[0].asks[0].image, bytes)


def test_points_are_drawn_where_they_are(benchmark_of: PhotosBenchmark) -> None:
    marks = benchmark_of.items(2)[1]
    drawn = np.asarray(marks.asks[0].image)
    assert drawn.shape == (MARKED_SIZE, MARKED_SIZE, 3)
    places = {mark.letter: (mark.x, mark.y) for mark in marks.truth.marks}
    assert sorted(places) == list("ABCD")
    assert places[marks.truth.answer] == (round(0.5 * MARKED_SIZE), round(0.3 * MARKED_SIZE))
    for x, y in places.values():
        assert tuple(drawn[y, x - 4]) == (255, 0, 0)  # the circle, 4 px away from the point


def test_letters_tell_nothing_and_are_those_of_every_run(benchmark_of: PhotosBenchmark) -> None:
    letters = [benchmark_of.items(unit)[1].truth.answer for unit in (0, 2)]
    assert letters == [benchmark_of.items(unit)[1].truth.answer for unit in (0, 2)]
    assert letters != ["A", "A"]


def test_right_answers_score_full_marks(benchmark_of: PhotosBenchmark) -> None:
    figures = scored(benchmark_of, right=True)
    points = [PAIRS, LOWER, CENTRAL, NEAREST, WORDS, LOWEST, MOST_CENTRAL, DISPARITY]
    assert list(figures) == [*points, IOU, CENTRE, NO_MASK, WRITTEN, UNREADABLE]
    values = {name: (figure.value, figure.count) for name, figure in figures.items()}
    assert values[WORDS] == (1, 2)
    assert values[IOU] == (1, 3)
    assert values[CENTRE] == (1, 3)
    assert values[WRITTEN] == (1, 3)
    assert (values[UNREADABLE], values[NO_MASK]) == ((0, 2), (0, 3))
    assert values[DISPARITY] == (1, 1)
    assert values[PAIRS] == (0.5, 3)  # the lower is nearer: half of "cat", none of "tree" (one height), all of "bear"
    assert values[LOWER] == (pytest.approx(2 / 3), 3)  # one height counts a half
    assert values[NEAREST] == values[LOWEST] == (0.5, 2)


def test_silence_is_wrong_and_never_skipped(benchmark_of: PhotosBenchmark) -> None:
    values = {name: (figure.value, figure.count) for name, figure in scored(benchmark_of, right=False).items()}
    for name, count in ((PAIRS, 3), (NEAREST, 2), (WORDS, 2), (DISPARITY, 1), (IOU, 3), (CENTRE, 3), (WRITTEN, 3)):
        assert values[name] == (0, count)
    assert (values[UNREADABLE], values[NO_MASK]) == ((1, 2), (1, 3))


def test_a_mask_is_judged_by_its_box_and_its_centre(benchmark_of: PhotosBenchmark) -> None:
    _, _, first, _ = benchmark_of.items(2)  # the bear, in the upper left quarter
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[0, 0] = mask[HEIGHT - 1, : WIDTH // 2] = True
    outcomes = benchmark_of.score(first, [answer(mask=mask)]).outcomes
    assert outcomes[IOU] == pytest.approx(0.5)  # the left half
    assert outcomes[CENTRE] is False  # most of the mask is at the bottom
    assert benchmark_of.score(first, [answer(mask=box_mask(0, 0, 1, 0.4))]).outcomes[CENTRE] is True
    empty = benchmark_of.score(first, [answer(mask=np.zeros((HEIGHT, WIDTH), bool))]).outcomes
    assert empty == {IOU: 0.0, CENTRE: False, NO_MASK: True}


def test_settings_say_what_was_used(photo_order: PhotoOrder, packages: Path) -> None:
    (packages / "garden/usr/cat.png").unlink()
    (packages / "garden/usr/tree.jpg").write_bytes(b"")
    settings = open_photos(packages, allow_missing=True, photo_order=photo_order).settings
    assert (settings["photographs"], settings["missing"], settings["changed"]) == (1, {"garden": 1}, {"garden": 1})
    assert settings["photo_order_sha256"] == photo_order.digest[:16]


def test_a_model_is_asked_about_photographs(benchmark_of: PhotosBenchmark, tiny: Perceptio, tmp_path: Path) -> None:
    results = run_benchmark(tiny, benchmark_of, tmp_path / "out", progress=False)
    figures = {figure.name: figure for figure in results.report.figures}
    assert (figures[PAIRS].count, figures[WORDS].count, figures[IOU].count) == (3, 2, 3)
    assert figures[WRITTEN].value == 1
    assert [sample.image for sample in load_samples(results.folder)] == ["cat"] * 3 + ["tree"] + ["bear"] * 4
