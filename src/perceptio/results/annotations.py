"""Pictures with their masks on the way to programs for annotation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from perceptio.results.answer import Answer
from perceptio.results.mask import UNNAMED, Mask

Format = Literal["coco", "label-studio"]


@dataclass(frozen=True)
class Annotated:
    """A picture's file and the masks in it."""

    file: Path
    width: int  # px, upright
    height: int
    masks: Sequence[Mask]


def annotated(pairs: Iterable[tuple[str | os.PathLike[str], Answer]]) -> Iterator[Annotated]:
    """Picture files with the answers about them; several answers about one picture become one entry.

    Raises:
        ValueError: if an answer tells nothing of the size of its picture: it has neither masks nor depth nor image.
    """
    found: dict[Path, list[Answer]] = {}
    for file, answer in pairs:
        found.setdefault(Path(file), []).append(answer)
    for path, answers in found.items():
        width, height = _size(path, answers[0])
        yield Annotated(path, width, height, [mask for answer in answers for mask in answer.masks])


def class_of(mask: Mask) -> str:
    """The name of a mask's class: its phrase on one line."""
    return " ".join((mask.phrase or "").split()) or UNNAMED


def write_annotations(path: str | os.PathLike[str], pictures: Iterable[Annotated], kind: Format = "coco") -> int:
    """Write the masks of pictures for another program; returns how many pictures.

    Args:
        path: of a `.json` file; pictures are named relative to its folder.
        pictures: with their masks.
        kind: "coco" (see `coco.write_coco`) or "label-studio" (see `label_studio.write_tasks`).

    Raises:
        ValueError: if the kind is another, or Label Studio could not find a picture.
        OutputError: if the file cannot be written.
    """
    from perceptio.results.coco import write_coco
    from perceptio.results.label_studio import write_tasks

    if kind not in get_args(Format):
        raise ValueError(f"annotations are written as {' or '.join(get_args(Format))}, not {kind!r}")
    return write_coco(path, pictures) if kind == "coco" else write_tasks(path, pictures)


def relative(file: Path, home: Path) -> str:
    """A picture's path as a file in `home` names it, with forward slashes."""
    return Path(os.path.relpath(file, home)).as_posix()


def _size(path: Path, answer: Answer) -> tuple[int, int]:
    array = next((each.array for each in (*answer.masks, answer.depth) if each is not None), None)
    if array is not None:
        return array.shape[1], array.shape[0]
    if answer.image is None:
        raise ValueError(f"the answer about {path} does not say how large the picture is; pass image= when building it")
    return answer.image.size
