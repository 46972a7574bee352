"""The depth tokenizer's report: is the codebook alive, how true are its maps, and do they keep points in order?"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from perceptio.data.marks import HARDBLINK, MARKED_SIZE, choose_points
from perceptio.depth.metrics import depth_errors, nearest_point, perplexity, usage
from perceptio.depth.normalization import resize_nearest
from perceptio.depth.teacher_codes import encode_maps
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.metrics import Mean, Share
from perceptio.evaluation.report import Report
from perceptio.evaluation.true_maps import TrueMap, TrueMaps, scene_maps
from perceptio.files import replacing
from perceptio.scenes.storage import SceneStore
from perceptio.visualize.depth import colorize
from perceptio.visualize.sheet import contact_sheet

_POINTS = (3, 4, 5)
_TILE = 320  # px


def report_tokenizer(
    tokenizer: DepthTokenizer,
    store: SceneStore,
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = True,
    picture: Path | None = None,
) -> Report:
    """Encode and decode the maps of a split of scenes; arguments as of `report_maps`."""
    return report_maps(
        tokenizer,
        scene_maps(store),
        store.meta.split,
        {"split": store.meta.split},
        limit=limit,
        seed=seed,
        progress=progress,
        picture=picture,
    )


@torch.no_grad()
def report_maps(
    tokenizer: DepthTokenizer,
    maps: TrueMaps,
    name: str,
    settings: dict[str, Any],
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = True,
    picture: Path | None = None,
) -> Report:
    """Encode and decode maps. Errors in metres are those of the maps whose metres are known.

    Points of scenes lie mostly on objects; on other maps they lie where HardBLINK has them (`data.marks.HARDBLINK`).

    Args:
        tokenizer: in evaluation mode.
        maps: of one kind.
        name: of the data, for the title.
        settings: what is needed to repeat it.
        limit: use the first maps only.
        seed: of the points.
        progress: show a progress bar.
        picture: a PNG of the maps of median and largest error is written there.

    Raises:
        EvaluationError: if the limit is none.
        OutputError: if the picture cannot be written.
    """
    if limit is not None and limit < 1:
        raise EvaluationError(f"limit must be at least 1, not {limit}")
    maps = maps[:limit]
    config = tokenizer.config
    counts = np.zeros(config.codes, np.int64)
    metric: dict[str, Mean] = defaultdict(Mean)
    order: dict[int, Share] = defaultdict(Share)
    errors = []
    for index, made in enumerate(tqdm(maps, "tokenizer report", unit="map", disable=None if progress else True)):
        truth = made()
        predicted, codes = reconstruct(tokenizer, truth.nearness)
        counts += np.bincount(codes, minlength=config.codes)
        errors.append(_mae(predicted, truth))
        if truth.metres is not None:
            measured = depth_errors(predicted, truth.nearness, truth.metres, truth.farthest)
            metric["abs_rel"].add(measured.abs_rel)
            metric["delta"].add(measured.delta)
        rng = np.random.default_rng((seed, index))
        for number in _POINTS:
            right = _finds_nearest(predicted, truth, number, rng)
            if right is not None:
                order[number].add(right)
    if picture is not None:
        ranking = np.argsort(errors, kind="stable")
        _draw(tokenizer, maps, {"median": int(ranking[(len(ranking) - 1) // 2]), "worst": int(ranking[-1])}, picture)
    settings = {**settings, "maps": len(maps), "codes": config.codes, "tokens": config.tokens_per_map}
    report = Report(f"depth tokenizer on {name}, {config.tokens_per_map} tokens, {config.codes} codes", settings)
    report.add("codebook usage", usage(counts), int(counts.sum()))
    report.add("perplexity", perplexity(counts), int(counts.sum()), percent=False)
    report.add("MAE, normalised", float(np.mean(errors)), len(maps), percent=False)
    report.add("AbsRel", metric["abs_rel"].value, metric["abs_rel"].count, percent=False)
    report.add("delta < 1.25", metric["delta"].value, metric["delta"].count)
    for number in _POINTS:
        report.add(f"order, {number} points", order[number].value, order[number].count)
    return report


@torch.no_grad()
def reconstruct(tokenizer: DepthTokenizer, nearness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A map (H, W) float32 after it went through the codes, (H, W) float32, and its codes, (N,) int64."""
    codes = encode_maps(tokenizer, [nearness])
    decoded = torch.nn.functional.interpolate(tokenizer.decode(codes).float(), nearness.shape, mode="bilinear")
    return decoded[0, 0].clamp(-1, 1).cpu().numpy(), codes.cpu().numpy().ravel()


def _finds_nearest(predicted: np.ndarray, truth: TrueMap, number: int, rng: np.random.Generator) -> bool | None:
    """Whether the nearest of some points is the nearest after the codes too; None where no such points are found."""
    if truth.ids is not None:
        points = choose_points(truth.nearness, truth.ids, number, rng)
    else:
        points = choose_points(resize_nearest(truth.nearness, MARKED_SIZE), None, number, rng, HARDBLINK)
    if not points:
        return None
    best = max(range(number), key=lambda k: points[k].nearness)
    return nearest_point(predicted, [(mark.x / MARKED_SIZE, mark.y / MARKED_SIZE) for mark in points]) == best


def _mae(predicted: np.ndarray, truth: TrueMap) -> float:
    return float(np.abs(predicted - truth.nearness).mean())


def _draw(tokenizer: DepthTokenizer, maps: TrueMaps, chosen: dict[str, int], path: Path) -> None:
    """A row for each chosen map: its picture where there is one, the map, and the map after the codes."""
    tiles, columns = [], 2
    for title, index in chosen.items():
        truth = maps[index]()
        predicted, _ = reconstruct(tokenizer, truth.nearness)
        if truth.image is not None:
            tiles.append((truth.image, truth.name))
            columns = 3
        tiles.append((Image.fromarray(colorize(truth.nearness)), f"{title}: {truth.name}"))
        tiles.append((Image.fromarray(colorize(predicted)), f"decoded, MAE {_mae(predicted, truth):.3f}"))
    with replacing(path) as beside:
        contact_sheet(tiles, columns=columns, width=_TILE).save(beside, format="PNG")
