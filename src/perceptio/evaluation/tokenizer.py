"""The depth tokenizer's report: is the codebook alive, how true are its maps, and do they keep points in order?"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from tqdm import tqdm

from perceptio.data.marks import MARKED_SIZE, choose_points
from perceptio.depth.metrics import depth_errors, nearest_point, perplexity, usage
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.metrics import Mean, Share
from perceptio.evaluation.report import Report
from perceptio.scenes.layout import FARTHEST
from perceptio.scenes.storage import SceneStore

_POINTS = (3, 4, 5)


@torch.no_grad()
def report_tokenizer(
    tokenizer: DepthTokenizer, store: SceneStore, *, limit: int | None = None, seed: int = 0, progress: bool = True
) -> Report:
    """Encode and decode the maps of a split.

    Args:
        tokenizer: in evaluation mode.
        store: rendered scenes.
        limit: use the first scenes only.
        seed: of the points.
        progress: show a progress bar.

    Raises:
        EvaluationError: if the limit is none.
    """
    if limit is not None and limit < 1:
        raise EvaluationError(f"limit must be at least 1, not {limit}")
    config = tokenizer.config
    counts = np.zeros(config.codes, np.int64)
    errors: dict[str, Mean] = defaultdict(Mean)
    order: dict[int, Share] = defaultdict(Share)
    count = len(store) if limit is None else min(limit, len(store))
    for index in tqdm(range(count), desc="tokenizer report", unit="map", disable=None if progress else True):
        _, depth, ids = store.pictures(index)
        truth = inverse_depth_from_metric(depth)
        maps = torch.from_numpy(resize_nearest(truth, config.image_size))[None, None].to(tokenizer.device)
        codes = tokenizer.encode(maps)
        counts += np.bincount(codes.cpu().numpy().ravel(), minlength=config.codes)
        decoded = torch.nn.functional.interpolate(tokenizer.decode(codes).float(), truth.shape, mode="bilinear")
        predicted = decoded[0, 0].clamp(-1, 1).cpu().numpy()
        measured = depth_errors(predicted, truth, depth, FARTHEST)
        for name in ("mae", "abs_rel", "delta"):
            errors[name].add(getattr(measured, name))
        rng = np.random.default_rng((seed, index))
        for number in _POINTS:
            points = choose_points(truth, ids, number, rng)
            if points:
                best = max(range(number), key=lambda k: points[k].nearness)
                places = [(mark.x / MARKED_SIZE, mark.y / MARKED_SIZE) for mark in points]
                order[number].add(nearest_point(predicted, places) == best)
    settings = {"split": store.meta.split, "maps": count, "codes": config.codes, "tokens": config.tokens_per_map}
    report = Report(
        f"depth tokenizer on {store.meta.split}, {config.tokens_per_map} tokens, {config.codes} codes", settings
    )
    report.add("codebook usage", usage(counts), int(counts.sum()))
    report.add("perplexity", perplexity(counts), int(counts.sum()), percent=False)
    report.add("MAE, normalised", errors["mae"].value, count, percent=False)
    report.add("AbsRel", errors["abs_rel"].value, count, percent=False)
    report.add("delta < 1.25", errors["delta"].value, count)
    for number in _POINTS:
        report.add(f"order, {number} points", order[number].value, order[number].count)
    return report
