"""Segment named things in a folder of pictures; write the masks as COCO's JSON and for Label Studio.

python examples/annotate_a_folder.py [FOLDER]
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from perceptio import Perceptio
from perceptio.images import IMAGE_SUFFIXES, load_image
from perceptio.results.annotations import annotated, write_annotations
from perceptio.visualize import draw_masks

ASSETS = Path(__file__).parents[1] / "src" / "perceptio" / "assets"
THINGS = ["the yellow cylinder", "the green pyramid", "the brown pyramid", "the red sphere"]
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS
out = Path("out/examples")

pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
asked = list(product(pictures, THINGS))
model = Perceptio.from_pretrained("nano")
answers = model.ask_batch([path for path, _ in asked], [f"Segment {thing}." for _, thing in asked])
entries = list(annotated((path, answer) for (path, _), answer in zip(asked, answers, strict=True)))
print(f"{write_annotations(out / 'coco.json', entries)} pictures in {out / 'coco.json'}")
tasks = folder / "label-studio.json" if folder != ASSETS else None  # Label Studio serves what lies below its file
if tasks is not None:
    print(f"{write_annotations(tasks, entries, 'label-studio')} tasks in {tasks}")

coco = COCO(str(out / "coco.json"))  # as any other program reads it
first = coco.dataset["images"][0]
found = coco.loadAnns(coco.getAnnIds(imgIds=[first["id"]]))
masks = [coco.annToMask(each).astype(bool) for each in found]
names = [coco.loadCats([each["category_id"]])[0]["name"] for each in found]
drawn = draw_masks(load_image(out / first["file_name"]), masks, names)
drawn.resize((480, round(480 * drawn.height / drawn.width))).save(out / "annotate_a_folder.jpg", quality=85)
print(f"{len(found)} masks, {int(np.sum(masks))} pixels")
