"""The evaluation on scenes: the truth scores full marks, empty answers none, and a real model runs through."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from perceptio.data.schema import ABSENT
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.evaluation.depth_tokens import DepthTokens
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.runner import run_benchmark
from perceptio.evaluation.scenes import ScenesBenchmark
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, DepthMap, Mask, Trace
from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore
from perceptio.tokens import build_target, extract_phrases


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SceneStore:
    return render_split(tmp_path_factory.mktemp("scenes") / "test", "test", 3, size=128, workers=1, progress=False)


def scored(store: SceneStore, tiny: Perceptio, *, perfect: bool) -> dict[str, tuple[float, int]]:
    """The figures of answers made of the truth, or of empty ones."""
    benchmark = ScenesBenchmark(tiny, store)
    vocabulary = tiny.model.config.vocabulary
    samples = []
    for unit in range(len(benchmark)):
        for item in benchmark.items(unit):
            turn, stored = item.truth
            masks = [Mask(stored.ids == number, 1.0) for number in turn.masks if number != ABSENT]
            codes = [0] * vocabulary.tokens_per_map if turn.depth else None
            ids = build_target(vocabulary, len(masks), codes, [])
            depth = DepthMap(inverse_depth_from_metric(stored.depth), np.zeros((4, 4), np.int64)) if codes else None
            answer = Answer(
                text=extract_phrases(turn.answer)[0] if perfect else "",
                masks=masks if perfect else [],
                depth=depth if perfect else None,
                trace=Trace(raw=tiny.processor.tokenizer.decode(ids) if perfect else ""),
            )
            samples.append(benchmark.score(item, [answer]))
    return {figure.name: (figure.value, figure.count) for figure in benchmark.figures(samples)}


def test_the_truth_scores_full_marks(store: SceneStore, tiny: Perceptio) -> None:
    figures = scored(store, tiny, perfect=True)
    bad = {"present object without a mask", "malformed answers", "depth MAE, normalised", "depth AbsRel"}
    for name, (value, count) in figures.items():
        if name.startswith("rule"):
            continue
        assert count > 0, name
        assert value == pytest.approx(0.0 if name in bad else 1.0, abs=0.06), name


def test_silence_scores_nothing_and_is_never_skipped(store: SceneStore, tiny: Perceptio) -> None:
    full, none = scored(store, tiny, perfect=True), scored(store, tiny, perfect=False)
    for name in ("referring cIoU", "referring gIoU", "plural cIoU", "marked points, 3", "counting", "nearer", "choice"):
        assert none[name] == (0.0, full[name][1]), name
    assert none["depth map written"][0] == 0.0
    assert none["depth order, 3 points"] == (0.0, full["depth order, 3 points"][1])
    assert none["valid depth spans where due"][0] == 0.0
    assert none["no-target accuracy"][0] == 1.0


@pytest.mark.parametrize("depth_tokens", list(DepthTokens))
def test_a_model_runs_through_with_every_kind_of_depth_token(
    store: SceneStore, tiny: Perceptio, tmp_path: Path, depth_tokens: DepthTokens
) -> None:
    benchmark = ScenesBenchmark(tiny, store, limit=1, depth_tokens=depth_tokens)
    report = run_benchmark(tiny, benchmark, tmp_path, progress=False).report
    figures = json.loads(report.to_json())["figures"]
    assert figures["referring cIoU"]["count"] == 2
    assert figures["malformed answers"]["count"] > 8
    if depth_tokens is DepthTokens.off:
        assert figures["depth map written"]["value"] == 0.0


@pytest.mark.parametrize("kind", ["oracle", "random", "constant", "other"])
def test_replaced_codes_are_what_they_are_called(store: SceneStore, tiny: Perceptio, kind: str) -> None:
    tokenizer = tiny.model.depth_tokenizer
    side = tokenizer.config.image_size

    def true_codes(index: int) -> list[int]:
        values = resize_nearest(inverse_depth_from_metric(store[index].depth), side)
        return tokenizer.encode(torch.from_numpy(values)[None, None])[0].tolist()

    items = ScenesBenchmark(tiny, store, depth_tokens=DepthTokens(kind)).items(1)
    codes = items[0].asks[0].codes
    assert codes is not None
    assert all(np.array_equal(codes, item.asks[0].codes) for item in items)
    if kind == "oracle":
        assert codes.tolist() == true_codes(1)
    elif kind == "other":
        assert codes.tolist() == true_codes(2)
    elif kind == "constant":
        assert set(codes.tolist()) == {max(true_codes(1), key=true_codes(1).count)}
    else:
        assert len(set(codes.tolist())) > 2


def test_the_same_seed_asks_the_same_and_another_asks_other_questions(store: SceneStore, tiny: Perceptio) -> None:
    def prompts(seed: int) -> list[str]:
        return [item.asks[0].prompt for item in ScenesBenchmark(tiny, store, seed=seed).items(0)]

    assert prompts(0) == prompts(0)
    assert prompts(0) != prompts(1)


def test_a_folder_without_scenes_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished scenes"):
        SceneStore(tmp_path)


def test_a_limit_that_is_none_is_refused_and_a_large_one_is_all(store: SceneStore, tiny: Perceptio) -> None:
    for limit in (0, -1):
        with pytest.raises(EvaluationError, match=f"limit must be at least 1, not {limit}"):
            ScenesBenchmark(tiny, store, limit=limit)
    assert len(ScenesBenchmark(tiny, store, limit=10**12)) == 3
