"""RefCOCO tasks scored by masks: the documents, the question, and the figures of `perceptio eval refer`.

lmms-eval's own `refcoco_seg_*` tasks show an outline and score a caption. Here the expression is given and the mask is
scored, by the functions and the rules of `refseg` (docs/evaluation.md). lmms-eval reaches this file through the YAML
files in `tasks`; it does not import lmms-eval itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from PIL import Image

from perceptio.data.rle import json_rle, segmentation_rles, union_rle
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Overlap
from perceptio.evaluation.lmms.answers import from_json
from perceptio.evaluation.metrics import MaskScore
from perceptio.evaluation.refseg import ReferringBenchmark, mask_outcomes
from perceptio.images import load_image

Document = dict[str, Any]


def documents(benchmark: ReferringBenchmark) -> list[Document]:
    """One row for each expression, expressions about one picture together.

    Fields: key, image (path), prompt, expression, target (COCO RLE of all that is meant), exists (something is meant),
    generalized (it may be several objects, or none).
    """
    return [
        {
            "key": item.key,
            "image": str(item.asks[0].image),
            "prompt": item.asks[0].prompt,
            "expression": item.truth.expression,
            "target": json_rle(item.truth.target),
            "exists": item.truth.exists,
            "generalized": benchmark.collection.generalized,
        }
        for unit in range(len(benchmark))
        for item in benchmark.items(unit)
    ]


def doc_to_visual(doc: Document) -> list[Image.Image]:
    """The upright picture; the same object for expressions in a row, so that a batch encodes it once."""
    return [_picture(doc["image"])]


@lru_cache(maxsize=2)
def _picture(path: str) -> Image.Image:
    return load_image(path)


def process_results(doc: Document, results: Sequence[str]) -> dict[str, bool | list[int]]:
    """What one answer adds to each figure; an overlap is [intersection, union] in pixels.

    Args:
        doc: a row of `documents`.
        results: one answer in JSON, see `answers.to_json`.

    Raises:
        EvaluationError: if the answer is no such JSON, or a mask is damaged or of another size than the picture.
    """
    answer = from_json(results[0])
    height, width = doc["target"]["size"]
    try:
        masks = [part for rle in answer.masks for part in segmentation_rles(rle, height, width)]
    except ValueError as error:
        raise EvaluationError(f"{doc['key']}: {error}") from error
    predicted = union_rle(masks, height, width)
    outcomes = mask_outcomes(predicted, doc["target"], exists=doc["exists"], generalized=doc["generalized"])
    scored: dict[str, bool | list[int]] = {"malformed answers": bool(answer.malformed)}
    for name, outcome in outcomes.items():
        if isinstance(outcome, Overlap):
            scored[f"{name} cIoU"] = scored[f"{name} gIoU"] = [outcome.intersection, outcome.union]
        else:
            scored[name] = bool(outcome)
    return scored


def ciou(overlaps: Sequence[Sequence[int]]) -> float:
    """cIoU of [intersection, union] pairs."""
    return _total(overlaps).ciou


def giou(overlaps: Sequence[Sequence[int]]) -> float:
    """gIoU of [intersection, union] pairs."""
    return _total(overlaps).giou


def _total(overlaps: Sequence[Sequence[int]]) -> MaskScore:
    score = MaskScore()
    for intersection, union in overlaps:
        score.add(intersection, union)
    return score
