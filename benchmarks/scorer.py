"""Masks scored in a second on one core, by the path that `perceptio eval refer` takes: the target decoded from RLE, the
masks of an answer put together, intersection and union, all figures; beside it pycocotools' IoU of the same masks.

    python benchmarks/scorer.py [--masks 2000] [--height 480] [--width 640]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from perceptio.cli.errors import reporting
from perceptio.data.refer import Reference, ReferredImage, ReferSplit
from perceptio.evaluation.judged import Overlap
from perceptio.evaluation.refseg import ReferringBenchmark
from perceptio.results import Answer, Mask, Trace


def blobs(count: int, height: int, width: int, rng: np.random.Generator) -> list[np.ndarray]:
    """(H, W) bool masks with ragged outlines: an ellipse each, its rim displaced by a few waves."""
    rows, columns = np.mgrid[:height, :width]
    found = []
    for _ in range(count):
        y, x = rng.uniform(0.2, 0.8, 2) * (height, width)
        angle = np.arctan2(rows - y, columns - x)
        rim = 1 + sum(rng.uniform(0, 0.15) * np.sin(k * angle + rng.uniform(0, 6.28)) for k in (2, 3, 5, 9, 17))
        radii = rng.uniform(0.05, 0.3, 2) * (height, width)
        found.append(np.hypot((rows - y) / radii[0], (columns - x) / radii[1]) < rim)
    return found


@reporting()
def main() -> None:
    """Print masks a second, and the largest difference from pycocotools."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=2000)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    options = parser.parse_args()
    height, width = options.height, options.width
    shapes = blobs(64, height, width, np.random.default_rng(0))
    codes = [coco.encode(np.asfortranarray(shape.astype(np.uint8))) for shape in shapes]
    numbers = [number % len(shapes) for number in range(options.masks)]
    references = tuple(Reference(row, ("it",), codes[number]) for row, number in enumerate(numbers))
    image = ReferredImage("picture", height, width, references)
    benchmark = ReferringBenchmark(ReferSplit("refcoco", "val", (image,), {}), {"picture": Path("picture")})
    picture = Image.new("RGB", (width, height))
    # each mask against its successor: some overlap, some do not
    answers = [
        Answer("", [Mask(shapes[(number + 1) % len(shapes)], 1.0)], None, Trace("", [], {}, 0, False), picture)
        for number in numbers
    ]

    start = time.perf_counter()
    items = benchmark.items(0)
    samples = [benchmark.score(item, [answer]) for item, answer in zip(items, answers, strict=True)]
    figures = benchmark.figures(samples)
    ours = time.perf_counter() - start

    start = time.perf_counter()
    theirs = [
        coco.iou([coco.encode(np.asfortranarray(answer.masks[0].array.astype(np.uint8)))], [codes[number]], [0])[0, 0]
        for number, answer in zip(numbers, answers, strict=True)
    ]
    library = time.perf_counter() - start
    found = [value.iou for sample in samples if isinstance(value := sample.outcomes["RES"], Overlap)]
    difference = max(abs(one - other) for one, other in zip(found, theirs, strict=True))

    print("\n".join(f"{figure.name}: {figure.value:.6f}" for figure in figures[:2]))
    print(f"{options.masks / ours:,.0f} masks/s at {width} x {height}, all figures")
    print(f"{options.masks / library:,.0f} masks/s by pycocotools: encode the prediction, then its IoU alone")
    print(f"largest difference of an IoU: {difference:.1e}")


if __name__ == "__main__":
    main()
