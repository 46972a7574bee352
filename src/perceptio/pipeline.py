"""The front door: a picture and a question in; an answer with its masks and depth map out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Self, get_args, overload

import torch
from torch import Tensor

from perceptio.decoding.answering import Answering
from perceptio.decoding.arguments import check_model, check_sequence, check_whole
from perceptio.decoding.events import Event
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.perceiving import Perceived, Prepared, load_pictures, perceive, prepare
from perceptio.decoding.questions import Questions, Stopwatch
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.images import ImageLike, load_working_image
from perceptio.model.loading import load
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.pretrained.fields import shown
from perceptio.processes import survive_forks
from perceptio.results import Answer
from perceptio.session import Picture
from perceptio.tokens import DepthDecoding, Switch

OnError = Literal["raise", "return"]


class Perceptio:
    """A loaded model, ready to be asked.

    Args:
        model: in evaluation mode, on its device.
        processor: of the model.
        name: by which the model was asked for, for reports.
        depth_teacher: gives depth codes where a call says `depth="teacher"`.
    """

    def __init__(
        self,
        model: PerceptioForConditionalGeneration,
        processor: PerceptioProcessor,
        name: str = "unnamed",
        depth_teacher: NetworkTeacher | None = None,
    ) -> None:
        survive_forks()  # web servers fork what they have loaded
        self.name = name
        self.model = model
        self.processor = processor
        self._answering = Answering(model, processor, depth_teacher)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "nano",
        *,
        device: str | None = None,
        dtype: torch.dtype | None = None,
        depth_teacher: str | Path | None = None,
    ) -> Self:
        """Load "nano" (shipped), a folder, or a hub id; see `loading.load`.

        Args:
            name: of the model.
            device: cpu, cuda, cuda:0 ...; the GPU if there is one by default.
            dtype: of the vision-language model; by default that of its weights.
            depth_teacher: a folder or hub id of a monocular depth network, see `depth.teachers.loading.load_teacher`.

        Raises:
            ModelError: if there is no such model or its files are missing, damaged or do not fit.
        """
        check_model(name, device, dtype, depth_teacher)
        model, processor = load(name, device, dtype)
        teacher = None
        if depth_teacher is not None:
            from perceptio.depth.teachers.loading import load_teacher

            teacher = load_teacher(depth_teacher, str(model.device))
        return cls(model, processor, str(name), teacher)

    def ask(
        self,
        image: ImageLike,
        prompt: str,
        *,
        seg: str | Switch = Switch.AUTO,
        depth: str | Switch = Switch.AUTO,
        constrained: bool = True,
        max_new_tokens: int | None = None,
        depth_decoding: DepthDecoding | None = None,
        soft_depth: bool = True,
    ) -> Answer:
        """Ask one question about one image.

        Args:
            image: a file, a Pillow image or an array; see `images.load_image`.
            prompt: the question; special tokens in it are plain text.
            seg: masks "off", "auto" (the model decides) or "on" (at least one).
            depth: depth map "off", "auto" or "on"; "teacher": as "on", but the codes are those of the map of the
                `depth_teacher` that the model was loaded with.
            constrained: keep spans well-formed; False lets the model run free.
            max_new_tokens: the most tokens to write; by default enough for all spans and a paragraph.
            depth_decoding: how depth codes are found: "exact" as one after the other, but in few calls of the language
                model; "quick" in six calls, nearly so; "parallel" in two, by a model that was trained for it;
                "sequential" one after the other. By default as the model's configuration says.
            soft_depth: make the depth map of the code vectors that are expected (AiT, 2301.02229), not of those that
                were written; it has no say where codes are given, or `constrained` is False.

        Raises:
            ImageError: if the image cannot be used.
            ValueError: if the prompt is empty or too long, or an argument is out of its range.
            TypeError: if an argument is of another type.
        """
        return self.ask_batch(
            [image], [prompt], seg=seg, depth=depth, constrained=constrained, max_new_tokens=max_new_tokens,
            depth_decoding=depth_decoding, soft_depth=soft_depth,
        )[0]  # fmt: skip

    @overload
    def ask_batch(
        self,
        images: Sequence[ImageLike],
        prompts: Sequence[str],
        *,
        seg: str | Switch | Sequence[str | Switch] = ...,
        depth: str | Switch | Sequence[str | Switch] = ...,
        constrained: bool = ...,
        max_new_tokens: int | None = ...,
        forced_depth: Tensor | None = ...,
        depth_decoding: DepthDecoding | None = ...,
        soft_depth: bool = ...,
        batch_size: int = ...,
        on_error: Literal["raise"] = ...,
    ) -> list[Answer]: ...

    @overload
    def ask_batch(
        self,
        images: Sequence[ImageLike],
        prompts: Sequence[str],
        *,
        seg: str | Switch | Sequence[str | Switch] = ...,
        depth: str | Switch | Sequence[str | Switch] = ...,
        constrained: bool = ...,
        max_new_tokens: int | None = ...,
        forced_depth: Tensor | None = ...,
        depth_decoding: DepthDecoding | None = ...,
        soft_depth: bool = ...,
        batch_size: int = ...,
        on_error: OnError,
    ) -> list[Answer | ValueError]: ...

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
        depth_decoding: DepthDecoding | None = None,
        soft_depth: bool = True,
        batch_size: int = 16,
        on_error: OnError = "raise",
    ) -> list[Answer] | list[Answer | ValueError]:
        """Ask several questions, each about its own image; an image given more than once is perceived once a batch.

        Args:
            images: one for each prompt; as in `ask`.
            prompts: the questions.
            seg: one switch for all questions, or one for each.
            depth: likewise; "teacher" only for all.
            constrained: as in `ask`.
            max_new_tokens: as in `ask`.
            forced_depth: (B, N) int64 codebook entries written in place of the model's own codes, to test what an
                answer takes from them.
            depth_decoding: as in `ask`.
            soft_depth: as in `ask`.
            batch_size: questions decoded together. The images of the next batch are loaded meanwhile.
            on_error: "raise", or "return": an image or a prompt that cannot be used costs its own answer alone, in
                whose place the error stands.

        Raises:
            ImageError, ValueError, TypeError: as in `ask`, and if images and prompts differ in number.
        """
        check_sequence("images", images)
        check_sequence("prompts", prompts)
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} images but {len(prompts)} prompts; give one prompt for each image")
        check_whole("batch_size", batch_size)
        if on_error not in get_args(OnError):
            raise ValueError(f"on_error must be raise or return, not {shown(on_error)}")
        options = DecodingOptions.of(
            len(prompts), seg, depth, constrained=constrained, max_new_tokens=max_new_tokens, forced_depth=forced_depth,
            depth_decoding=depth_decoding, soft_depth=soft_depth,
        )  # fmt: skip
        self._answering.check(options)
        answers: list[Answer | ValueError] = []
        perceived: Perceived | None = None
        began = time.perf_counter()
        for first, prepared in self._prepared(images, prompts, options, batch_size):
            if on_error == "raise" and prepared.failures:
                raise prepared.failures[min(prepared.failures)]
            watch = Stopwatch({"prepare": time.perf_counter() - began})
            found: dict[int, Answer | ValueError] = {**prepared.failures}
            if prepared.rows:
                perceived, index = self._perceived(prepared, perceived, watch)
                part = options.select([first + row for row in prepared.rows])
                asked = Questions(perceived, index, prepared.questions, part, watch)
                found |= zip(prepared.rows, self._answering.answers(asked), strict=True)
            answers += [found[row] for row in sorted(found)]
            began = time.perf_counter()
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
        depth_decoding: DepthDecoding | None = None,
        soft_depth: bool = True,
    ) -> Iterator[Event]:
        """Ask one question and hear of each mask, the depth map and the words as they come; arguments as in `ask`.

        To close the iterator ends the work, and lets its memory go.

        Yields:
            `SegmentFound`, `DepthProgress`, `DepthReady`, `TextDelta`, and at last `Done` with the whole answer.
        """
        options = DecodingOptions.of(
            1, seg, depth, constrained=constrained, max_new_tokens=max_new_tokens, depth_decoding=depth_decoding,
            soft_depth=soft_depth,
        )  # fmt: skip
        self._answering.check(options)
        began = time.perf_counter()
        prepared = prepare(self.model, self.processor, [image], [prompt], options)
        if prepared.failures:
            raise prepared.failures[0]
        watch = Stopwatch({"prepare": time.perf_counter() - began})
        perceived, index = self._perceived(prepared, None, watch)
        questions = Questions(perceived, index, prepared.questions, options, watch)
        return (event for _, event in self._answering.events(questions))

    def open(self, image: ImageLike) -> Picture:
        """Perceive an image once, to ask about it as often as you like.

        ```python
        with model.open("scene.png") as picture:
            picture.ask("How many cubes are there?")
            picture.segment(boxes=[40, 60, 180, 200])
        ```

        Args:
            image: as in `ask`.

        Raises:
            ImageError: if the image cannot be used.
        """
        pictures = load_pictures(self.processor, [load_working_image(image)])
        return Picture(self._answering, perceive(self.model, self.processor, pictures))

    def _prepared(
        self, images: Sequence[ImageLike], prompts: Sequence[str], options: DecodingOptions, size: int
    ) -> Iterator[tuple[int, Prepared]]:
        """The first question of each batch, and the batch, ready to be read; the next one is made ready meanwhile."""

        def make(first: int) -> Prepared:
            rows = range(first, min(first + size, len(prompts)))
            part = slice(rows.start, rows.stop)
            return prepare(self.model, self.processor, images[part], prompts[part], options.select(rows))

        if len(prompts) <= size:
            if prompts:
                yield 0, make(0)
            return
        with ThreadPoolExecutor(1) as loader:
            job = loader.submit(make, 0)
            for first in range(0, len(prompts), size):
                prepared = job.result()
                if first + size < len(prompts):
                    job = loader.submit(make, first + size)
                yield first, prepared

    def _perceived(
        self, prepared: Prepared, last: Perceived | None, watch: Stopwatch
    ) -> tuple[Perceived, tuple[int, ...]]:
        """The pictures of a batch, which may be among those of the last one; and which of them each question shows."""
        if last is not None and set(prepared.pictures.keys) <= set(last.pictures.keys):
            places = [last.pictures.keys.index(key) for key in prepared.pictures.keys]
            return last, tuple(places[picture] for picture in prepared.picture_index)
        with watch.timed("read"):
            return perceive(self.model, self.processor, prepared.pictures), prepared.picture_index
