"""Referring segmentation on RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO; docs/evaluation.md holds the rules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as coco

from perceptio.data.refer import COLLECTIONS, ReferredImage, ReferSplit, read_refer
from perceptio.data.rle import mask_rle, union_rle
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged, Outcome, Overlap, figures
from perceptio.evaluation.questions import Ask, Item, answer_record
from perceptio.evaluation.report import Figure
from perceptio.images import ImageError, upright_size
from perceptio.results import Answer
from perceptio.tokens import Switch

PROMPT = "Please segment {expression} in this image."
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def prompt_for(expression: str) -> str:
    """The question about one expression: lower case, without surrounding spaces and full stops at its end."""
    return PROMPT.format(expression=expression.strip().lower().rstrip(". "))


def mask_outcomes(
    predicted: dict[str, Any], target: dict[str, Any], *, exists: bool, generalized: bool
) -> dict[str, Outcome]:
    """What one expression adds to the figures.

    Args:
        predicted: COCO RLE of all masks of the answer together.
        target: COCO RLE of all that the expression means.
        exists: it means something, however few pixels that has.
        generalized: an expression may fit several objects, or none, as in gRefCOCO.

    Raises:
        ValueError: if the masks are of different sizes.
    """
    empty = not coco.area(predicted)
    overlap = Overlap.of_codes(predicted, target)
    if not exists:
        return {"RES": overlap, "N-acc": empty}
    # an object whose outline covers no pixel cannot be met by an empty mask: 0 / 1, not 0 / 0
    overlap = Overlap(overlap.intersection, max(overlap.union, 1))
    return {
        "RES": overlap,
        **{_precision(limit): overlap.iou >= limit for limit in THRESHOLDS},
        **({"T-acc": not empty} if generalized else {"expressions without a mask": empty}),
    }


@dataclass(frozen=True, eq=False)
class _Truth:
    image: ReferredImage
    expression: str
    target: dict[str, Any]  # COCO RLE
    exists: bool  # something is meant, however few pixels it has


class ReferringBenchmark:
    """Every expression of a split; a unit is one picture with all that is said of it, so that it is encoded once.

    Args:
        split: the annotations.
        files: of the pictures, by their names; pictures without one are left out and counted in the settings.
    """

    protocol = "1"

    def __init__(self, split: ReferSplit, files: Mapping[str, Path]) -> None:
        self.split, self.files = split, files
        self.collection = COLLECTIONS[split.dataset]
        self.images = [image for image in split.images if image.file_name in files]
        self.name = f"{self.collection.title} {split.split}"
        # where the right answer may be that nothing fits, the model must be free to give it
        self.seg = Switch.AUTO if self.collection.generalized else Switch.ON

    @property
    def settings(self) -> dict[str, Any]:
        """Dataset, split, how much of it, and the question."""
        expressions = sum(image.expressions for image in self.images)
        return {
            "dataset": self.split.dataset,
            "split": self.split.split,
            "images": len(self.images),
            "expressions": expressions,
            "missing_images": len(self.split.images) - len(self.images),
            "missing_expressions": sum(image.expressions for image in self.split.images) - expressions,
            "annotations": self.split.hashes,
            "prompt": PROMPT,
            "seg": self.seg.value,
            "depth": Switch.AUTO.value,
        }

    def __len__(self) -> int:
        return len(self.images)

    def items(self, unit: int) -> list[Item]:
        """One item for each expression about one picture."""
        image = self.images[unit]
        items = []
        for reference in image.references:
            target = reference.rle or union_rle([], image.height, image.width)
            for number, expression in enumerate(reference.expressions):
                ask = Ask(self.files[image.file_name], prompt_for(expression), self.seg, Switch.AUTO)
                truth = _Truth(image, expression, target, reference.rle is not None)
                where = f"reference {reference.row} of {self.collection.references}"
                items.append(Item(f"{reference.row}/{number}", (ask,), truth, where))
        return items

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """All masks of the answer together, against all that the expression means."""
        (ask,), (answer,) = item.asks, answers
        truth: _Truth = item.truth
        masks = [mask_rle(mask.array) for mask in answer.masks]
        predicted = union_rle(masks, truth.image.height, truth.image.width)
        outcomes = mask_outcomes(predicted, truth.target, exists=truth.exists, generalized=self.collection.generalized)
        outcomes["malformed answers"] = bool(answer.trace.malformed)
        record = {
            "expression": truth.expression,
            "target_pixels": int(coco.area(truth.target)),
            **answer_record(ask, answer),
        }
        return Judged(item.key, truth.image.file_name, outcomes, record)

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        """cIoU, gIoU, precision, and what becomes of expressions that fit nothing, or of objects without a mask."""
        special = ("N-acc", "T-acc") if self.collection.generalized else ("expressions without a mask",)
        order = ["RES", *(_precision(limit) for limit in THRESHOLDS), *special, "malformed answers"]
        return figures(samples, order)


def open_refer(
    root: str | Path, images: str | Path, dataset: str, split: str, *, allow_missing: bool = False
) -> ReferringBenchmark:
    """Read a split, find its pictures and check their sizes.

    Args:
        root: folder of the annotations; see `data.refer`.
        images: folder of COCO's train2014 pictures, or one that holds it as `train2014`.
        dataset: refcoco, refcoco+, refcocog or grefcoco.
        split: one of the dataset's.
        allow_missing: leave pictures out that are not there; the settings then say how many.

    Raises:
        DataError: as `read_refer`.
        EvaluationError: if pictures are missing, or one is not of the size of its annotations.
    """
    annotations = read_refer(root, dataset, split)
    folders = (Path(images), Path(images) / "train2014")
    files: dict[str, Path] = {}
    for image in annotations.images:
        there = [folder / image.file_name for folder in folders if os.path.isfile(folder / image.file_name)]
        if there:
            _check_size(there[0], image)
            files[image.file_name] = there[0]
    missing = [image.file_name for image in annotations.images if image.file_name not in files]
    if missing and not (allow_missing and files):
        count = f"{len(missing)} of the {len(annotations.images)} images of {dataset} {split}"
        advice = "put COCO's train2014 images there" + (
            ", or give allow_missing=True (--allow-missing) to run on the rest" if files else ""
        )
        raise EvaluationError(f"{count} are missing in {images}, the first is {missing[0]}: {advice}")
    return ReferringBenchmark(annotations, files)


def _check_size(path: Path, image: ReferredImage) -> None:
    """Of the header only: a picture that fails is found before the first question, not hours later."""
    try:
        width, height = upright_size(path)
    except ImageError as error:
        raise EvaluationError(f"{error}: fetch it again") from error
    if (height, width) != (image.height, image.width):
        raise EvaluationError(
            f"{path} is {width} x {height} pixels but its annotations are for {image.width} x {image.height}: "
            "use COCO's original train2014 images"
        )


def _precision(limit: float) -> str:
    return f"P@{limit}"
