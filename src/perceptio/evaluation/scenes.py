"""The evaluation on procedural scenes: masks, marked points, questions and depth, all generated, none teacher-forced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from perceptio.data.record import Turn
from perceptio.depth.metrics import depth_errors, nearest_point
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.evaluation.metrics import MaskScore, Mean, Share
from perceptio.evaluation.report import Report
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.scenes.language.scoring import is_correct
from perceptio.scenes.marks import MARKED_SIZE, choose_points
from perceptio.scenes.record import scene_test_turns
from perceptio.scenes.storage import SceneStore, StoredScene
from perceptio.tokens import Mode, parse

_CHUNK = 8  # scenes whose questions are decoded together
_POINTS = (3, 4, 5)
_CLOSED = ("nearer", "counting", "attribute", "existence", "comparison", "choice")


class DepthTokens(StrEnum):
    """Which depth tokens an answer can read."""

    own = "own"  # the model's
    off = "off"  # none: the span is switched off
    oracle = "oracle"  # the tokenizer's codes of the true map
    random = "random"  # codes drawn at random


@dataclass(frozen=True)
class _Asked:
    """One test question."""

    scene: int  # place in the chunk
    image: np.ndarray
    turn: Turn


class _Scores:
    """Everything counted during one evaluation."""

    def __init__(self) -> None:
        self.masks: dict[str, MaskScore] = defaultdict(MaskScore)
        self.accuracy: dict[str, Share] = defaultdict(Share)
        self.no_target = Share()
        self.refused = Share()  # present objects answered with no mask
        self.lowest: dict[int, Share] = defaultdict(Share)
        self.order: dict[int, Share] = defaultdict(Share)
        self.errors: dict[str, Mean] = defaultdict(Mean)
        self.depth_given = Share()
        self.valid = Share()
        self.malformed = Share()


def evaluate_scenes(
    model: Perceptio,
    store: SceneStore,
    *,
    limit: int | None = None,
    depth_tokens: DepthTokens = DepthTokens.own,
    constrained: bool = True,
    batch_size: int = 32,
    seed: int = 0,
    progress: bool = True,
) -> Report:
    """Ask every test question of a split and score the answers.

    Args:
        model: to be judged.
        store: the rendered split.
        limit: use the first scenes only.
        depth_tokens: which depth tokens the answers can read.
        constrained: decode by the grammar; without it, the validity of spans is worth reading.
        batch_size: questions decoded together.
        seed: of the questions: the same seed asks the same.
        progress: show a progress bar.
    """
    count = len(store) if limit is None else min(limit, len(store))
    scores = _Scores()
    bar = tqdm(total=count, desc=f"evaluating {store.meta.split}", unit="scene", disable=not progress)
    for start in range(0, count, _CHUNK):
        scenes = store[start : min(start + _CHUNK, count)]
        asked = [
            _Asked(place, image, turn)
            for place, stored in enumerate(scenes)
            for image, turn in scene_test_turns(stored, np.random.default_rng((seed, start + place)))
        ]
        asked.sort(key=lambda item: item.turn.depth)  # questions with depth spans together: rows of about one length
        for item, answer in _answers(model, asked, scenes, depth_tokens, constrained, batch_size, seed):
            _score(scores, item, answer, scenes[item.scene], model, seed + start)
        bar.update(len(scenes))
    bar.close()
    settings = {
        "split": store.meta.split,
        "scenes": count,
        "content_hash": store.meta.content_hash,
        "depth_tokens": depth_tokens.value,
        "constrained": constrained,
        "seed": seed,
    }
    return _report(scores, settings)


def _answers(
    model: Perceptio,
    asked: list[_Asked],
    scenes: list[StoredScene],
    depth_tokens: DepthTokens,
    constrained: bool,
    batch_size: int,
    seed: int,
) -> Iterator[tuple[_Asked, Answer]]:
    off = depth_tokens is DepthTokens.off
    for start in range(0, len(asked), batch_size):
        part = asked[start : start + batch_size]
        answers = model.ask_batch(
            [item.image for item in part],
            [item.turn.question for item in part],
            depth=Mode.OFF if off else Mode.ALLOWED,
            constrained=constrained,
            forced_depth=_replacement(model, [scenes[item.scene] for item in part], depth_tokens, seed + start),
            batch_size=batch_size,
        )
        yield from zip(part, answers, strict=True)


def _replacement(model: Perceptio, scenes: list[StoredScene], depth_tokens: DepthTokens, seed: int) -> Tensor | None:
    """(B, N) codes to put in place of the model's own."""
    tokenizer = model.model.depth_tokenizer
    config = tokenizer.config
    if depth_tokens is DepthTokens.random:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(config.codes, (len(scenes), config.tokens_per_map), generator=generator)
    if depth_tokens is DepthTokens.oracle:
        maps = [resize_nearest(inverse_depth_from_metric(stored.depth), config.image_size) for stored in scenes]
        stacked = torch.from_numpy(np.stack(maps))[:, None].to(model.model.device)
        return tokenizer.encode(stacked).cpu()
    return None


def _score(scores: _Scores, asked: _Asked, answer: Answer, stored: StoredScene, model: Perceptio, seed: int) -> None:
    turn = asked.turn
    scores.malformed.add(bool(answer.trace.malformed))
    if turn.task in ("referring", "plural"):
        target = np.isin(stored.ids, turn.referents)
        predicted = np.zeros_like(target)
        for mask in answer.masks:
            predicted |= mask.array
        scores.masks[turn.task].add(predicted, target)
        scores.refused.add(not answer.masks)
    elif turn.task == "absent":
        scores.no_target.add(not answer.masks)
    elif turn.task == "depth":
        _score_depth(scores, answer, stored, seed)
    else:
        scores.accuracy[turn.task].add(is_correct(turn, answer.text))
    if turn.depth:
        ids = model.processor.tokenizer.encode(answer.trace.raw, add_special_tokens=False)
        spans = parse(model.model.config.vocabulary, ids).spans
        tokens_per_map = model.model.config.depth.tokens_per_map
        scores.valid.add(len(spans) == 1 and spans[0].is_valid(tokens_per_map))


def _score_depth(scores: _Scores, answer: Answer, stored: StoredScene, seed: int) -> None:
    truth = inverse_depth_from_metric(stored.depth)
    scores.depth_given.add(answer.depth is not None)
    predicted = answer.depth.array if answer.depth is not None else np.zeros_like(truth)
    if answer.depth is not None:
        errors = depth_errors(predicted, truth, stored.depth)
        for name in ("mae", "abs_rel", "delta"):
            scores.errors[name].add(getattr(errors, name))
    rng = np.random.default_rng((seed, stored.scene.seed))
    for number in _POINTS:
        points = choose_points(truth, stored.ids, number, rng)
        if not points:
            continue
        best = max(range(number), key=lambda k: points[k].nearness)
        places = [(mark.x / MARKED_SIZE, mark.y / MARKED_SIZE) for mark in points]
        # a map that was never written cannot order points
        scores.order[number].add(answer.depth is not None and nearest_point(predicted, places) == best)
        scores.lowest[number].add(max(range(number), key=lambda k: points[k].y) == best)


def _report(scores: _Scores, settings: dict[str, object]) -> Report:
    report = Report(f"scenes {settings['split']}, depth tokens {settings['depth_tokens']}", settings)
    for task, score in scores.masks.items():
        report.add(f"{task} cIoU", score.ciou, score.count, percent=False)
        report.add(f"{task} gIoU", score.giou, score.count, percent=False)
    report.add("no-target accuracy", scores.no_target.value, scores.no_target.count)
    report.add("present object without a mask", scores.refused.value, scores.refused.count)
    for number in _POINTS:
        share = scores.accuracy[f"marks{number}"]
        report.add(f"marked points, {number}", share.value, share.count)
    for task in _CLOSED:
        report.add(task, scores.accuracy[task].value, scores.accuracy[task].count)
    report.add("depth map written", scores.depth_given.value, scores.depth_given.count)
    report.add("depth MAE, normalised", scores.errors["mae"].value, scores.errors["mae"].count, percent=False)
    report.add("depth AbsRel", scores.errors["abs_rel"].value, scores.errors["abs_rel"].count, percent=False)
    report.add("depth delta < 1.25", scores.errors["delta"].value, scores.errors["delta"].count)
    for number in _POINTS:
        report.add(f"depth order, {number} points", scores.order[number].value, scores.order[number].count)
    for number in _POINTS:
        report.add(f"rule: lowest point is nearest, {number}", scores.lowest[number].value, scores.lowest[number].count)
    report.add("valid depth spans where due", scores.valid.value, scores.valid.count)
    report.add("malformed answers", scores.malformed.value, scores.malformed.count)
    return report
