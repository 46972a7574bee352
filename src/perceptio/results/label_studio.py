"""Masks as pre-annotations for Label Studio: people correct them instead of drawing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from perceptio.files import replacing
from perceptio.results.annotations import Annotated, class_of, relative

FROM, TO = "label", "image"  # names in Label Studio's own template for polygons


def write_tasks(path: str | os.PathLike[str], pictures: Iterable[Annotated]) -> int:
    """Write one task for each picture, its masks as a prediction; returns how many tasks.

    A mask becomes a polygon (`polygonlabels`) for each of its parts, with its score; a task's score is the mean of its
    masks'. Label Studio must serve local files (`LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true`), with this file's
    folder as `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`; the project is set up with `labeling_config`.

    Args:
        path: of the JSON file, in a folder that holds the pictures or folders of them.
        pictures: each of which becomes a task, with masks or without.

    Raises:
        ValueError: if a picture does not lie below the file's folder.
        OutputError: if the file cannot be written.
    """
    count = 0
    with replacing(path) as beside, beside.open("w", encoding="ascii") as file:
        for picture in pictures:
            task = _task(picture, Path(path))
            file.write(("[\n" if not count else ",\n") + json.dumps(task, allow_nan=False))
            count += 1
        file.write("\n]\n" if count else "[]\n")
    return count


def labeling_config(names: Iterable[str]) -> str:
    """The labelling interface of a project (XML) for masks of some classes."""
    labels = "".join(f'\n    <Label value="{escape(name)}"/>' for name in dict.fromkeys(names))
    return (
        f'<View>\n  <Image name="{TO}" value="$image" zoom="true"/>\n'
        f'  <PolygonLabels name="{FROM}" toName="{TO}">{labels}\n  </PolygonLabels>\n</View>\n'
    )


def check_below(file: Path, path: Path) -> str:
    """A picture's path relative to the folder of the tasks.

    Raises:
        ValueError: if it lies elsewhere.
    """
    name = relative(file, path.parent)
    if name == ".." or name.startswith("../"):
        raise ValueError(
            f"Label Studio serves pictures below the folder of {path} alone, and {file} lies elsewhere: "
            "put the file into a folder that holds the pictures"
        )
    return name


def _task(picture: Annotated, path: Path) -> dict[str, Any]:
    name = check_below(picture.file, path)
    results = [
        {
            "id": f"mask{number}-{part}",
            "from_name": FROM,
            "to_name": TO,
            "type": "polygonlabels",
            "original_width": picture.width,
            "original_height": picture.height,
            "image_rotation": 0,
            "value": {
                "points": _percent(polygon, picture.width, picture.height),
                "closed": True,
                "polygonlabels": [class_of(mask)],
            },
            "score": float(mask.score),
        }
        for number, mask in enumerate(picture.masks, 1)
        for part, polygon in enumerate(mask.polygons, 1)
    ]
    scores = [float(mask.score) for mask in picture.masks if mask.bbox is not None]
    prediction: dict[str, Any] = {"model_version": "perceptio", "result": results}
    if scores:
        prediction["score"] = sum(scores) / len(scores)
    return {"data": {"image": f"/data/local-files/?d={quote(name)}"}, "predictions": [prediction]}


def _percent(polygon: list[float], width: int, height: int) -> list[list[float]]:
    """Points in per cent of the picture's sides."""
    return [
        [round(100 * x / width, 4), round(100 * y / height, 4)]
        for x, y in zip(polygon[::2], polygon[1::2], strict=True)
    ]
