"""From what a user hands over to pictures that the model has read: loaded and checked, then perceived once.

Legend: I distinct pictures, B questions, N codes of a depth span, S' side of SAM 2's input.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from perceptio.decoding.arguments import check_text
from perceptio.decoding.depth_span import UNKNOWN
from perceptio.decoding.options import DecodingOptions, check_context
from perceptio.decoding.reading import ReadPictures, read_pictures
from perceptio.depth.teacher_codes import teacher_codes
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.images import ImageError, ImageLike, WorkingImage, load_working_image
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.segmentation.bridge import ImageFeatures

Turn = tuple[str, str]  # a question and its answer


@dataclass(frozen=True)
class LoadedPictures:
    """Pictures as the networks get them, on the CPU."""

    images: tuple[WorkingImage, ...]  # I
    keys: tuple[int | str, ...]  # by which a caller's pictures are told apart
    tiles: tuple[int, ...]  # of each
    pixel_values: Tensor  # (tiles of all, 3, side, side)
    sam_pixels: Tensor  # (I, 3, S', S')

    @classmethod
    def together(cls, alone: Sequence[LoadedPictures]) -> LoadedPictures:
        """Pictures that were loaded one by one, as one batch."""
        return cls(
            tuple(each.images[0] for each in alone),
            tuple(range(len(alone))),
            tuple(each.tiles[0] for each in alone),
            torch.cat([each.pixel_values for each in alone]),
            torch.cat([each.sam_pixels for each in alone]),
        )


@dataclass(frozen=True)
class Prepared:
    """Questions that are ready to be read, and why others are not."""

    pictures: LoadedPictures  # distinct; none where no question is ready
    rows: tuple[int, ...]  # which of the questions are ready: B of them
    picture_index: tuple[int, ...]  # of each of these
    questions: tuple[list[int], ...]  # their ids after the picture
    failures: dict[int, ValueError]  # by question


@dataclass
class Perceived:
    """Pictures that have been perceived once, for any number of questions."""

    pictures: LoadedPictures
    read: ReadPictures
    codes: Tensor  # (I, N) int64, the newest depth codes of each picture, UNKNOWN where there are none
    alone: Sequence[Perceived] = ()  # each of the pictures by itself, where these are kept: see `together`
    _features: ImageFeatures | None = None
    _teacher_codes: Tensor | None = None

    @classmethod
    def together(cls, alone: Sequence[Perceived]) -> Perceived:
        """Pictures that are kept one by one, as one batch; what is found out of them is found out of each."""
        if len(alone) == 1:
            return alone[0]
        return cls(
            LoadedPictures.together([each.pictures for each in alone]),
            ReadPictures.together([each.read for each in alone]),
            torch.cat([each.codes for each in alone]),
            tuple(alone),
        )

    def apart(self, alone: Sequence[LoadedPictures]) -> list[Perceived]:
        """Each of the pictures, which `alone` are, by itself: to be kept. No memory is shared."""
        return [
            Perceived(loaded, self.read.one(picture), self.codes[picture : picture + 1].clone())
            for picture, loaded in enumerate(alone)
        ]

    @property
    def nbytes(self) -> int:
        """Memory that one picture and what was found out of it take, the picture itself apart."""
        tensors = [self.pictures.pixel_values, self.pictures.sam_pixels, *self.read.tensors]
        if self._features is not None:
            tensors += [self._features.embedding, *self._features.high_resolution]
        return sum(tensor.nbytes for tensor in tensors)

    def remember(self, picture: int, codes: Sequence[int]) -> None:
        """Keep the newest depth codes (N,) of a picture, the first guess for those of its next answer."""
        self.codes[picture] = torch.tensor(codes)
        if self.alone:
            self.alone[picture].remember(0, codes)

    @torch.no_grad()
    def features(self, model: PerceptioForConditionalGeneration) -> ImageFeatures:
        """SAM 2's, which are computed when the first mask is wanted."""
        if self._features is None and self.alone:
            missing = [each for each in self.alone if each._features is None]
            if missing:
                pixels = torch.cat([each.pictures.sam_pixels for each in missing])
                for each, found in zip(missing, model.image_features(pixels.to(model.device)).apart(), strict=True):
                    each._features = found
            self._features = ImageFeatures.together([each.features(model) for each in self.alone])
        if self._features is None:
            self._features = model.image_features(self.pictures.sam_pixels.to(model.device))
        return self._features

    def teacher_codes(self, teacher: NetworkTeacher, tokenizer: DepthTokenizer) -> Tensor:
        """The codes (I, N) int64 of a teacher's maps, which are made when they are first wanted."""
        if self._teacher_codes is None:
            images = [picture.image for picture in self.pictures.images]
            self._teacher_codes = teacher_codes(teacher, tokenizer, images)
        return self._teacher_codes


def prepare(
    model: PerceptioForConditionalGeneration,
    processor: PerceptioProcessor,
    images: Sequence[ImageLike],
    prompts: Sequence[str],
    options: DecodingOptions,
) -> Prepared:
    """Load pictures and make ids of questions; a picture that is given more than once is loaded once.

    Raises:
        TypeError: if a prompt is no text. What else is wrong with a question or its picture is among the failures.
    """
    for prompt in prompts:
        check_text("prompt", prompt)
    failures: dict[int, ValueError] = {}
    found: dict[int | str, WorkingImage | ImageError] = {}
    ready: dict[int, tuple[int | str, list[int]]] = {}
    for row, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        key = str(image) if isinstance(image, str | os.PathLike) else id(image)
        try:
            if key not in found:
                found[key] = _loaded(image)
            picture = found[key]
            if isinstance(picture, ImageError):
                raise picture
            ready[row] = key, question_ids(model, processor, prompt, options, row, processor.tiles(picture.image))
        except ValueError as error:
            failures[row] = error
    keys = list(dict.fromkeys(key for key, _ in ready.values()))
    pictures = [picture for key in keys if isinstance(picture := found[key], WorkingImage)]
    return Prepared(
        load_pictures(processor, pictures, keys),
        tuple(ready),
        tuple(keys.index(key) for key, _ in ready.values()),
        tuple(ids for _, ids in ready.values()),
        failures,
    )


def question_ids(
    model: PerceptioForConditionalGeneration,
    processor: PerceptioProcessor,
    prompt: str,
    options: DecodingOptions,
    row: int,
    tiles: int,
    history: Sequence[Turn] = (),
) -> list[int]:
    """The ids of a question after its picture of some tiles, with the turns before it.

    Raises:
        ValueError: if it is empty, or leaves no room for its answer.
    """
    ids = [
        *processor.history_ids(history, tiles),
        *processor.question_ids(prompt, options.seg[row], options.depth[row], tiles),
    ]
    check_context(model, len(processor.prefix_ids(tiles)) + len(ids), options, row)
    return ids


def load_pictures(
    processor: PerceptioProcessor, images: Sequence[WorkingImage], keys: Sequence[int | str] = ()
) -> LoadedPictures:
    """Make the pixels of pictures for both image encoders."""
    tiles = tuple(processor.tiles(picture.image) for picture in images)
    pixels = processor.pixels([picture.image for picture in images]) if images else (torch.empty(0), torch.empty(0))
    return LoadedPictures(tuple(images), tuple(keys), tiles, *pixels)


def perceive(
    model: PerceptioForConditionalGeneration, processor: PerceptioProcessor, pictures: LoadedPictures
) -> Perceived:
    """Read pictures with the vision tower and the language model."""
    prefixes = [processor.prefix_ids(tiles) for tiles in pictures.tiles]
    read = read_pictures(model, prefixes, pictures.pixel_values.to(model.device, model.vlm.dtype))
    codes = torch.full((len(prefixes), model.config.depth.tokens_per_map), UNKNOWN)
    return Perceived(pictures, read, codes)


def _loaded(image: ImageLike) -> WorkingImage | ImageError:
    try:
        return load_working_image(image)
    except ImageError as error:
        return error
