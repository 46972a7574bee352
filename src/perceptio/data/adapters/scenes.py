"""Rendered scenes -> samples with pictures and depth as files, for a fine-tune that reads JSON lines.

FOLDER/SPLIT   written by `perceptio scenes render`

Each scene gets one training record, drawn as training on scenes draws it. Licence: Apache-2.0, the renderer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.data.adapters.source import Source
from perceptio.data.record import Record
from perceptio.data.rle import json_rle, mask_rle
from perceptio.data.schema import ABSENT, Point, Sample, SampleTurn
from perceptio.depth.normalization import resize_nearest
from perceptio.scenes.marks import MARKED_SIZE
from perceptio.scenes.record import build_record
from perceptio.scenes.storage import SceneStore, StoredScene


def scenes(source: Source) -> Iterator[Sample]:
    """A sample for each scene.

    Raises:
        SceneStoreError: if the folder holds no finished split.
    """
    for number, stored in enumerate(SceneStore(source.folder / source.split)):
        record = build_record(stored, np.random.default_rng(number))
        yield _sample(record, stored, source)


READERS = {"scenes": scenes}


def _sample(record: Record, stored: StoredScene, source: Source) -> Sample:
    """Picture and masks have the size of a picture with marks where there are marks: points are whole pixels of it."""
    side = MARKED_SIZE if record.marks else stored.rgb.shape[0]
    ids = resize_nearest(stored.ids, side)
    picture = Image.fromarray(stored.rgb)
    if picture.width != side:
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)  # as marks are drawn
    files = source.made / f"{stored.scene.seed:08d}"
    picture_file, depth_file = _written(files, picture, stored.depth)
    referents = sorted({referent for turn in record.turns for referent in turn.referents} - {ABSENT})
    places = {ABSENT: ABSENT} | {referent: place for place, referent in enumerate(referents)}
    return Sample(
        key=record.key,
        image=source.relative(picture_file),
        turns=tuple(
            SampleTurn(
                turn.question,
                turn.answer,
                turn.task,
                masks=tuple(places[referent] for referent in turn.referents),
                depth=turn.depth,
                target=turn.target,
            )
            for turn in record.turns
        ),
        masks=tuple(json_rle(mask_rle(ids == referent)) for referent in referents),
        depth=source.relative(depth_file),
        points=tuple(Point(mark.letter, mark.x, mark.y) for mark in record.marks),
        source="Perceptio's scenes",
        licence="Apache-2.0",
    )


def _written(files: Path, picture: Image.Image, depth: np.ndarray) -> tuple[Path, Path]:
    picture_file, depth_file = files.with_suffix(".png"), files.with_suffix(".npy")
    picture.save(picture_file)
    np.save(depth_file, depth)
    return picture_file, depth_file
