"""Labels' masks for programs for annotation: COCO's JSON, Label Studio's tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from perceptio.data.errors import DataError
from perceptio.files import check_writable
from perceptio.labeling.to_samples import label_rows, picture_file, refuse_archives
from perceptio.results import Mask
from perceptio.results.annotations import Annotated, Format
from perceptio.results.label_studio import check_below


def label_masks(folder: Path) -> Iterator[Annotated]:
    """The pictures of a folder of labels with their masks, which have no phrase.

    Raises:
        DataError: if the folder has no labels or none with masks, a file is damaged, or a picture lies in a tar file.
    """
    for row in label_rows(folder):
        labels = row.labels
        if labels.masks is None or labels.scores is None:
            raise DataError(f"{folder} holds no masks: label with --sam and --prompts")
        masks = [
            Mask(np.ascontiguousarray(coco.decode(rle), bool), score)
            for rle, score in zip(labels.masks, labels.scores, strict=True)
        ]
        yield Annotated(picture_file(row, folder), labels.width, labels.height, masks)


def check_annotations(path: Path, kind: Format, sources: Sequence[Path]) -> None:
    """Refuse, before the labels are made, what could not be written afterwards.

    Args:
        path: of the annotations.
        kind: of their form.
        sources: of the pictures.

    Raises:
        DataError: if a source is a tar file.
        ValueError: if Label Studio could not find the pictures.
        OutputError: if the file cannot be written.
    """
    refuse_archives(sources, path)
    if kind == "label-studio":
        for source in sources:
            check_below(source, path)
    check_writable(path)
