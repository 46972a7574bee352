"""Rendered scenes -> samples with pictures and depth as files, for a fine-tune that reads JSON lines.

FOLDER/SPLIT   written by `perceptio scenes render`

Each scene gets one training sample, drawn as training on scenes draws it. Licence: the world's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.data.adapters.registry import Adapter
from perceptio.data.adapters.source import Source
from perceptio.data.marks import MARKED_SIZE
from perceptio.data.rle import json_rle, mask_rle
from perceptio.data.schema import ABSENT, SPANS, Sample
from perceptio.depth.normalization import resize_nearest
from perceptio.scenes.samples import build_sample
from perceptio.scenes.storage import SceneStore, StoredScene


def scenes(source: Source) -> Iterator[Sample]:
    """A sample for each scene.

    Raises:
        SceneStoreError: if the folder holds no finished split.
    """
    for number, stored in enumerate(SceneStore(source.folder / source.split)):
        drawn = build_sample(stored, np.random.default_rng(number))
        yield _sample(drawn, stored, source)


ADAPTERS = {"scenes": Adapter(scenes, ("train", "val"))}


def _sample(drawn: Sample, stored: StoredScene, source: Source) -> Sample:
    """Picture and masks have the size of a picture with marks where there are marks: points are whole pixels of it."""
    side = MARKED_SIZE if drawn.marks else stored.rgb.shape[0]
    ids = resize_nearest(stored.ids, side)
    picture = Image.fromarray(stored.rgb)
    if picture.width != side:
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)  # as marks are drawn
    files = source.made / f"{stored.seed:08d}"
    picture_file, depth_file = _written(files, picture, stored.depth)
    shown = sorted({number for turn in drawn.turns for number in turn.masks} - {ABSENT})
    places = {ABSENT: ABSENT} | {number: place for place, number in enumerate(shown)}
    return Sample(
        key=drawn.key,
        image=source.relative(picture_file),
        turns=tuple(
            replace(turn, masks=tuple(places[number] for number in turn.masks), supervise=SPANS) for turn in drawn.turns
        ),
        masks=tuple(json_rle(mask_rle(ids == number)) for number in shown),
        depth=source.relative(depth_file),
        marks=drawn.marks,
        source="Perceptio's scenes",
        licence=stored.world.licence,
    )


def _written(files: Path, picture: Image.Image, depth: np.ndarray) -> tuple[Path, Path]:
    picture_file, depth_file = files.with_suffix(".png"), files.with_suffix(".npy")
    picture.save(picture_file)
    np.save(depth_file, depth)
    return picture_file, depth_file
