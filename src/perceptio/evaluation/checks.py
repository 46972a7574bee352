"""A look at all questions before the first is asked: hours later, a fault in one would stop the run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.decoding.arguments import check_text
from perceptio.decoding.options import DecodingOptions, check_context
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged
from perceptio.evaluation.questions import Ask, Item
from perceptio.images import ImageLike, load_working_image, upright_size
from perceptio.pipeline import Perceptio
from perceptio.tokens import Switch

PICTURES = "pictures_sha256"  # field of a sample: of the picture files that it is about


class QuestionCheck:
    """Refuses questions that the model cannot be asked; of a picture's file the header is read.

    Args:
        model: to be asked.
    """

    def __init__(self, model: Perceptio) -> None:
        self._model = model
        self._fit: set[tuple[str, Switch, Switch, int]] = set()  # many questions are the same

    def __call__(self, item: Item) -> None:
        """Check one item.

        Raises:
            EvaluationError: if a picture or a prompt of it cannot be used; with its place in the user's files.
        """
        for ask in item.asks:
            try:
                self._check(ask)
            except ValueError as error:
                raise EvaluationError(f"{item.where or item.key}: {error}") from error

    def _check(self, ask: Ask) -> None:
        processor = self._model.processor
        width, height = picture_size(ask.image)
        tiles = int(processor.image_processor.get_number_of_image_patches(height, width))
        question = (ask.prompt, ask.seg, ask.depth, tiles)
        if question not in self._fit:
            check_text("the prompt", ask.prompt)
            length = len(processor.prefix_ids(tiles)) + len(processor.question_ids(*question))
            check_context(self._model.model, length, DecodingOptions((ask.seg,), (ask.depth,)))
            self._fit.add(question)


def picture_size(image: ImageLike) -> tuple[int, int]:
    """Width and height of a picture as it will be seen.

    Raises:
        ImageError: if it is a file that cannot be used.
    """
    if isinstance(image, (str, os.PathLike)):
        return upright_size(image)
    if isinstance(image, np.ndarray):
        return image.shape[1], image.shape[0]
    return image.size if isinstance(image, Image.Image) else load_working_image(image).size


def pictures_hash(item: Item) -> str | None:
    """First 16 digits of the SHA-256 over the picture files of an item; None if its pictures are no files."""
    digest = hashlib.sha256()
    paths = _paths(item)
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16] if paths else None


def are_of(samples: Sequence[Judged], items: Sequence[Item]) -> bool:
    """Whether samples of an earlier run are those of some items.

    Raises:
        EvaluationError: if a picture has been changed since it was asked about.
    """
    if [sample.key for sample in samples] != [item.key for item in items]:
        return False
    for sample, item in zip(samples, items, strict=True):
        if sample.record.get(PICTURES) not in (None, pictures_hash(item)):
            names = " or ".join(map(str, _paths(item))) or item.key
            raise EvaluationError(
                f"{names} has been changed since the unfinished run asked about it: put it back, or give another folder"
            )
    return True


def _paths(item: Item) -> list[Path]:
    return list(dict.fromkeys(Path(ask.image) for ask in item.asks if isinstance(ask.image, (str, os.PathLike))))
