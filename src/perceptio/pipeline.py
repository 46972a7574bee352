"""The front door: a picture and a question in; an answer with its masks and depth map out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from perceptio.decoding.arguments import (
    check_forced_depth,
    check_model,
    check_sequence,
    check_text,
    check_whole,
    switches,
)
from perceptio.decoding.engine import DecodingOptions, Prefill, Step, check_context, decode, decode_steps, prefill
from perceptio.decoding.events import DepthProgress, DepthReady, Done, Event, SegmentFound, TextDelta
from perceptio.decoding.words import read_words
from perceptio.images import ImageLike, WorkingImage, load_working_image
from perceptio.model.loading import load
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.processes import survive_forks
from perceptio.results import Answer, DepthMap, Mask, Trace
from perceptio.segmentation.bridge import ImageFeatures, MaskPrediction
from perceptio.segmentation.pointing.pointer import Pointed
from perceptio.segmentation.upsampling import upsampled_parts
from perceptio.tokens import PHRASE_END, PHRASE_START, Switch, parse

_REPLACEMENT = "�"  # what half a character decodes to


@dataclass
class _Batch:
    """Questions in the middle of being answered."""

    images: list[WorkingImage]  # distinct
    image_index: list[int]  # of each question
    features: ImageFeatures | None  # SAM2's, once a mask is wanted
    sam_pixels: Tensor  # (I, 3, S', S')
    options: DecodingOptions
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage, and to no stage around it."""
        start, inside = time.perf_counter(), sum(self.seconds.values())
        yield
        inside = sum(self.seconds.values()) - inside
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start - inside


class Perceptio:
    """A loaded model, ready to be asked.

    Args:
        model: in evaluation mode, on its device.
        processor: of the model.
        name: by which the model was asked for, for reports.
    """

    def __init__(
        self, model: PerceptioForConditionalGeneration, processor: PerceptioProcessor, name: str = "unnamed"
    ) -> None:
        survive_forks()  # web servers fork what they have loaded
        self.name = name
        self.model = model
        self.processor = processor
        tokenizer = processor.tokenizer
        phrase_marks = {tokenizer.convert_tokens_to_ids(token) for token in (PHRASE_START, PHRASE_END)}
        self._silent = set(tokenizer.all_special_ids) - phrase_marks

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "nano", *, device: str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Load "nano" (shipped), a folder, or a hub id; see `loading.load`.

        Raises:
            ModelError: if there is no such model or its files are missing, damaged or do not fit.
        """
        check_model(name, device, dtype)
        return cls(*load(name, device, dtype), name=str(name))

    def ask(
        self,
        image: ImageLike,
        prompt: str,
        *,
        seg: str | Switch = Switch.AUTO,
        depth: str | Switch = Switch.AUTO,
        constrained: bool = True,
        max_new_tokens: int | None = None,
    ) -> Answer:
        """Ask one question about one image.

        Args:
            image: a file, a Pillow image or an array; see `images.load_image`.
            prompt: the question; special tokens in it are plain text.
            seg: masks "off", "auto" (the model decides) or "on" (at least one).
            depth: depth map "off", "auto" or "on".
            constrained: keep spans well-formed; False lets the model run free.
            max_new_tokens: the most tokens to write; by default enough for all spans and a paragraph.

        Raises:
            ImageError: if the image cannot be used.
            ValueError: if the prompt is empty or too long, or an argument is out of its range.
            TypeError: if an argument is of another type.
        """
        return self.ask_batch(
            [image], [prompt], seg=seg, depth=depth, constrained=constrained, max_new_tokens=max_new_tokens
        )[0]

    def ask_batch(
        self,
        images: Sequence[ImageLike],
        prompts: Sequence[str],
        *,
        seg: str | Switch | Sequence[str | Switch] = Switch.AUTO,
        depth: str | Switch | Sequence[str | Switch] = Switch.AUTO,
        constrained: bool = True,
        max_new_tokens: int | None = None,
        forced_depth: Tensor | None = None,
        batch_size: int = 16,
    ) -> list[Answer]:
        """Ask several questions, each about its own image; an image given more than once is encoded once a batch.

        Args:
            images: one for each prompt; as in `ask`.
            prompts: the questions.
            seg: one switch for all questions, or one for each.
            depth: likewise.
            constrained: as in `ask`.
            max_new_tokens: as in `ask`.
            forced_depth: (B, N) int64 codebook entries written in place of the model's own codes, to test what an
                answer takes from them.
            batch_size: questions decoded together.

        Raises:
            ImageError, ValueError, TypeError: as in `ask`, and if images and prompts differ in number.
        """
        check_sequence("images", images)
        check_sequence("prompts", prompts)
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} images but {len(prompts)} prompts; give one prompt for each image")
        check_whole("batch_size", batch_size)
        segs, depths = switches("seg", seg, len(prompts)), switches("depth", depth, len(prompts))
        if forced_depth is not None:
            check_forced_depth(forced_depth, len(prompts), self.model.config.vocabulary)
        answers: list[Answer] = []
        for start in range(0, len(prompts), batch_size):
            part = slice(start, start + batch_size)
            options = DecodingOptions(
                segs[part],
                depths[part],
                constrained,
                max_new_tokens=max_new_tokens,
                forced_depth=None if forced_depth is None else forced_depth[part],
            )
            answers += self._answer_batch(images[part], prompts[part], options)
        return answers

    def stream(
        self,
        image: ImageLike,
        prompt: str,
        *,
        seg: str | Switch = Switch.AUTO,
        depth: str | Switch = Switch.AUTO,
        constrained: bool = True,
        max_new_tokens: int | None = None,
    ) -> Iterator[Event]:
        """Ask one question and hear of each mask, the depth map and the words as they come; arguments as in `ask`.

        Yields:
            `SegmentFound`, `DepthProgress`, `DepthReady`, `TextDelta`, and at last `Done` with the whole answer.
        """
        options = DecodingOptions(
            switches("seg", seg, 1), switches("depth", depth, 1), constrained, max_new_tokens=max_new_tokens
        )
        batch, steps = self._start([image], [prompt], options)
        return self._events(batch, steps)

    def _events(self, batch: _Batch, steps: Iterator[Step]) -> Iterator[Event]:
        vocabulary = self.model.config.vocabulary
        ids: list[int] = []
        masks: list[MaskPrediction] = []
        said, depth_told, found = "", False, 0
        while True:
            with batch.timed("generate"):
                step = next(steps, None)
            if step is None:
                break
            token = step.tokens[0]
            assert token is not None
            ids.append(token)
            if 0 in step.masks:
                masks.append(step.masks[0])
                mask = self._mask(batch, 0, masks[-1])
                if mask is not None:
                    yield SegmentFound(found, mask)
                    found += 1
            parsed = parse(vocabulary, ids)
            if token in vocabulary.code_index:
                yield DepthProgress(len(parsed.spans[-1].codes) if parsed.spans else 0, vocabulary.tokens_per_map)
            if parsed.codes is not None and token == vocabulary.depth_end and not depth_told:
                depth_told = True
                yield DepthReady(self._depth_map(parsed.codes, batch.images[0].size, batch))
            text = read_words(parsed, vocabulary.order, self._decode)[0]
            if not text.endswith(_REPLACEMENT) and len(text) > len(said):
                yield TextDelta(text[len(said) :])
                said = text
        answer = self._answers(batch, [tuple(ids)], [masks])[0]
        if len(answer.text) > len(said):
            yield TextDelta(answer.text[len(said) :])
        yield Done(answer)

    def _answer_batch(
        self, images: Sequence[ImageLike], prompts: Sequence[str], options: DecodingOptions
    ) -> list[Answer]:
        batch, start = self._read(images, prompts, options)
        with batch.timed("generate"):
            generations = decode(self.model, start, options, partial(self._draw, batch))
        return self._answers(batch, [found.ids for found in generations], [found.masks for found in generations])

    def _start(
        self, images: Sequence[ImageLike], prompts: Sequence[str], options: DecodingOptions
    ) -> tuple[_Batch, Iterator[Step]]:
        batch, start = self._read(images, prompts, options)
        return batch, decode_steps(self.model, start, options, partial(self._draw, batch))

    def _read(
        self, images: Sequence[ImageLike], prompts: Sequence[str], options: DecodingOptions
    ) -> tuple[_Batch, Prefill]:
        """Load the images and run the prompts through the model."""
        began = time.perf_counter()
        for prompt in prompts:
            check_text("prompt", prompt)
        keys: list[int | str] = [str(image) if isinstance(image, str | Path) else id(image) for image in images]
        distinct = list(dict.fromkeys(keys))
        pictures = [load_working_image(images[keys.index(key)]) for key in distinct]
        index = [distinct.index(key) for key in keys]
        tiles = [self.processor.tiles(picture.image) for picture in pictures]
        tokens = self.processor.tokens(prompts, options.seg, options.depth, [tiles[number] for number in index])
        check_context(self.model, tokens["input_ids"].shape[1], options)  # before the work of reading them
        pixels, sam_pixels = self.processor.pixels([picture.image for picture in pictures])
        prepared = time.perf_counter()
        device, dtype = self.model.device, self.model.vlm.dtype
        start = prefill(
            self.model,
            tokens["input_ids"].to(device),
            tokens["attention_mask"].to(device),
            pixels.to(device, dtype),
            index,
        )
        seconds = {"prepare": prepared - began, "read": time.perf_counter() - prepared}
        return _Batch(pictures, index, None, sam_pixels, options, seconds), start

    def _answers(
        self, batch: _Batch, written: Sequence[tuple[int, ...]], drawn: Sequence[Sequence[MaskPrediction]]
    ) -> list[Answer]:
        """Turn finished rows, their ids and their masks, into answers."""
        vocabulary = self.model.config.vocabulary
        answers = []
        for row, (ids, masks) in enumerate(zip(written, drawn, strict=True)):
            parsed = parse(vocabulary, ids)
            text, phrases = read_words(parsed, vocabulary.order, self._decode)
            image = batch.images[batch.image_index[row]]
            found = [
                mask
                for prediction, label in zip(masks, phrases, strict=True)
                if (mask := self._mask(batch, row, prediction, label)) is not None
            ]
            depth = None if parsed.codes is None else self._depth_map(parsed.codes, image.size, batch)
            wanted = bool(masks) or batch.options.seg[row] is Switch.ON
            trace = Trace(
                raw=self.processor.text(ids),
                malformed=[str(item) for item in parsed.malformed],
                seconds=dict(batch.seconds),
                tokens=len(ids),
                no_target=wanted and not found,
            )
            answers.append(Answer(text, found, depth, trace, image.image))
        return answers

    @torch.no_grad()
    def _draw(self, batch: _Batch, rows: Tensor, states: Tensor, pointed: Pointed | None) -> MaskPrediction:
        """The mask of a `[SEG]` in each of some rows (M,), from its state (M, D) and what it points at."""
        with batch.timed("masks"):
            if batch.features is None:
                batch.features = self.model.image_features(batch.sam_pixels.to(self.model.device))
            index = torch.tensor(batch.image_index, device=rows.device)[rows]
            return self.model.segment(states, index, batch.features, pointed)

    def _mask(self, batch: _Batch, row: int, prediction: MaskPrediction, label: str | None = None) -> Mask | None:
        """A mask at the size of its row's image; None where it is empty, or SAM2 sees no object and the gate is on."""
        gate = self.model.config.mask_gate
        if gate and prediction.object_logit <= 0:
            return None
        with batch.timed("masks"):
            width, height = batch.images[batch.image_index[row]].size
            array = np.empty((height, width), bool)
            for place, logits in upsampled_parts(prediction.logits[0].cpu(), height, width):
                array[place] = (logits > 0).numpy()
            there = prediction.object_logit.sigmoid() if gate else 1.0  # an untrained score says nothing
            score = float(there * prediction.iou.clamp(0, 1))
        return Mask(array, score, label) if array.any() else None

    @torch.no_grad()
    def _depth_map(self, codes: Sequence[int], size: tuple[int, int], batch: _Batch) -> DepthMap:
        """The depth map of N codes at an image's size (width, height)."""
        with batch.timed("depth"):
            tokenizer = self.model.depth_tokenizer
            grid = tokenizer.config.grid
            ids = torch.tensor([codes], device=self.model.device)
            array = np.empty((size[1], size[0]), np.float32)
            for place, values in upsampled_parts(tokenizer.decode(ids)[0, 0].cpu(), size[1], size[0]):
                array[place] = values.clamp(-1, 1).numpy()
        return DepthMap(array, np.array(codes, dtype=np.int64).reshape(grid, grid))

    def _decode(self, text_ids: Sequence[int]) -> str:
        """The words of an answer, phrase marks included, other control tokens dropped."""
        return self.processor.text([token for token in text_ids if token not in self._silent])
