"""Answers to questions about pictures that were perceived: what is written becomes words, masks and a depth map."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from perceptio.decoding.arguments import check_forced_depth
from perceptio.decoding.depth_span import UNKNOWN
from perceptio.decoding.engine import Generation, decode, decode_steps
from perceptio.decoding.events import DepthProgress, DepthReady, Done, Event, SegmentFound, TextDelta
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.perceiving import Perceived
from perceptio.decoding.reading import read_questions
from perceptio.decoding.text_stream import TextStream
from perceptio.decoding.words import read_words
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import SOFT_TEMPERATURE, soft_merge
from perceptio.model.processing import PerceptioProcessor
from perceptio.results import Answer, DepthMap, Mask, Trace
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.pointer import Pointed
from perceptio.segmentation.upsampling import upsampled_parts
from perceptio.tokens import PHRASE_END, PHRASE_START, ParsedAnswer, Switch, parse

_MAPS_AT_ONCE = 16


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage, and to no stage around it."""
        start, inside = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - inside
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start - inside


@dataclass
class Questions:
    """Questions that are being answered together."""

    perceived: Perceived
    picture_index: Sequence[int]  # of each question
    ids: Sequence[list[int]]  # of each, after its picture
    options: DecodingOptions
    watch: Stopwatch = field(default_factory=Stopwatch)

    def size(self, row: int) -> tuple[int, int]:
        """(width, height) px of a question's picture."""
        return self.perceived.pictures.images[self.picture_index[row]].size


class Answering:
    """Answers questions with a model.

    Args:
        model: in evaluation mode, on its device.
        processor: of the model.
        teacher: of depth, whose codes may take the place of the model's own.
    """

    def __init__(
        self,
        model: PerceptioForConditionalGeneration,
        processor: PerceptioProcessor,
        teacher: NetworkTeacher | None = None,
    ) -> None:
        self.model, self.processor, self.teacher = model, processor, teacher
        tokenizer = processor.tokenizer
        phrase_marks = {tokenizer.convert_tokens_to_ids(token) for token in (PHRASE_START, PHRASE_END)}
        self._silent = set(tokenizer.all_special_ids) - phrase_marks

    def check(self, options: DecodingOptions) -> None:
        """Complain of options that do not fit the model, before any work.

        Raises:
            TypeError, ValueError: with what is wrong.
        """
        vocabulary = self.model.config.vocabulary
        options.budget(vocabulary)
        options.depth_decoding_of(self.model)
        if options.forced_depth is not None:
            check_forced_depth(options.forced_depth, len(options.depth), vocabulary)
            if options.teacher_depth:
                raise ValueError('depth="teacher" and forced_depth both give the codes: take one of them')
        if options.teacher_depth and self.teacher is None:
            raise ValueError('depth="teacher" needs a teacher: load the model with depth_teacher=')

    def answers(self, questions: Questions) -> list[Answer]:
        """Answer questions."""
        with questions.watch.timed("read"):
            start = read_questions(self.model, questions.perceived.read, questions.picture_index, questions.ids)
        with questions.watch.timed("generate"):
            found = decode(self.model, start, self._options(questions), partial(self._draw, questions))
        return self._finished(questions, found)

    def events(self, questions: Questions) -> Iterator[Event]:
        """Answer one question, and tell what is found as it comes."""
        vocabulary, watch = self.model.config.vocabulary, questions.watch
        with watch.timed("read"):
            start = read_questions(self.model, questions.perceived.read, questions.picture_index, questions.ids)
        steps = decode_steps(self.model, start, self._options(questions), partial(self._draw, questions))
        words = TextStream(vocabulary, self.processor, self._silent)
        ids: list[int] = []
        masks: list[MaskPrediction] = []
        depth_logits: Tensor | None = None
        shown, shown_depth, said = 0, False, ""
        while True:
            with watch.timed("generate"):
                step = next(steps, None)
            if step is None:
                break
            spoken = ""
            for token in step.tokens.get(0, ()):
                spoken += words.push(token)
                ids.append(token)
            depth_logits = step.depth_logits.get(0, depth_logits)
            if 0 in step.masks:
                masks.append(step.masks[0])
                mask = self._mask(questions, 0, masks[-1])
                if mask is not None:
                    yield SegmentFound(shown, mask)
                    shown += 1
            if any(token in vocabulary.code_index for token in step.tokens.get(0, ())):
                yield DepthProgress(len(words.reader.newest_codes), vocabulary.tokens_per_map)
            codes = words.reader.spans[0].codes if words.reader.spans and not shown_depth else ()
            if len(codes) == vocabulary.tokens_per_map:
                shown_depth = True
                yield DepthReady(self._depth_maps(questions, {0: codes}, {0: depth_logits})[0])
            if spoken:
                said += spoken
                yield TextDelta(spoken)
        answer = self._finished(questions, [Generation(tuple(ids), tuple(masks), depth_logits)])[0]
        assert answer.text.startswith(said)
        if len(answer.text) > len(said):
            yield TextDelta(answer.text[len(said) :])
        yield Done(answer)

    def _options(self, questions: Questions) -> DecodingOptions:
        """The options, with a teacher's codes if it gives them, or each picture's newest codes as a guess."""
        index = list(questions.picture_index)
        if questions.options.teacher_depth:
            assert self.teacher is not None
            codes = questions.perceived.teacher_codes(self.teacher, self.model.depth_tokenizer)
            return replace(questions.options, forced_depth=codes[index])
        guess = questions.perceived.codes[index]
        return questions.options if bool((guess == UNKNOWN).all()) else replace(questions.options, depth_guess=guess)

    def _finished(self, questions: Questions, found: Sequence[Generation]) -> list[Answer]:
        """Turn finished rows into answers."""
        vocabulary, options = self.model.config.vocabulary, questions.options
        parsed = [parse(vocabulary, row.ids) for row in found]
        codes = {row: answer.codes for row, answer in enumerate(parsed) if answer.codes is not None}
        if options.forced_depth is None and not options.teacher_depth:
            for row, row_codes in codes.items():
                questions.perceived.codes[questions.picture_index[row]] = torch.tensor(row_codes)
        depth = self._depth_maps(questions, codes, {row: found[row].depth_logits for row in codes})
        masks = [self._masks(questions, row, one, parsed[row]) for row, one in enumerate(found)]
        seconds = dict(questions.watch.seconds)
        answers = []
        for row, (one, answer, (text, shown)) in enumerate(zip(found, parsed, masks, strict=True)):
            wanted = bool(one.masks) or options.seg[row] is Switch.ON
            trace = Trace(
                raw=self.processor.text(one.ids),
                malformed=[str(item) for item in answer.malformed],
                seconds=seconds,
                tokens=len(one.ids),
                no_target=wanted and not shown,
            )
            image = questions.perceived.pictures.images[questions.picture_index[row]].image
            answers.append(Answer(text, shown, depth.get(row), trace, image))
        return answers

    def _masks(self, questions: Questions, row: int, found: Generation, parsed: ParsedAnswer) -> tuple[str, list[Mask]]:
        """The words of a row, and its masks with their phrases."""
        text, phrases = read_words(parsed, self.model.config.vocabulary.order, self._decode)
        masks = [
            mask
            for prediction, phrase in zip(found.masks, phrases, strict=True)
            if (mask := self._mask(questions, row, prediction, phrase)) is not None
        ]
        return text, masks

    @torch.no_grad()
    def _draw(self, questions: Questions, rows: Tensor, states: Tensor, pointed: Pointed | None) -> MaskPrediction:
        """The mask of a `[SEG]` in each of some rows (M,), from its state (M, D) and what it points at."""
        with questions.watch.timed("masks"):
            index = torch.tensor(questions.picture_index, device=rows.device)[rows]
            return self.model.segment(states, index, questions.perceived.features(self.model), pointed)

    def _mask(
        self, questions: Questions, row: int, prediction: MaskPrediction, phrase: str | None = None
    ) -> Mask | None:
        """A mask of a row's picture; None where it is empty, or SAM2 sees no object and the gate is on."""
        gate = self.model.config.mask_gate
        if gate and prediction.object_logit <= 0:
            return None
        with questions.watch.timed("masks"):
            mask = full_mask(prediction, questions.size(row), gate=gate, phrase=phrase)
        return mask if mask.array.any() else None

    @torch.no_grad()
    def _depth_maps(
        self, questions: Questions, codes: dict[int, tuple[int, ...]], logits: dict[int, Tensor | None]
    ) -> dict[int, DepthMap]:
        """The depth maps of rows at the size of their pictures, from their codes and, decoded softly, their logits."""
        tokenizer = self.model.depth_tokenizer
        grid = tokenizer.config.grid
        maps: dict[int, DepthMap] = {}
        with questions.watch.timed("depth"):
            rows = list(codes)
            for first in range(0, len(rows), _MAPS_AT_ONCE):
                part = rows[first : first + _MAPS_AT_ONCE]
                vectors = torch.stack([self._vectors(codes[row], logits[row], questions.options) for row in part])
                for row, values in zip(part, tokenizer.decode_vectors(vectors)[:, 0].cpu(), strict=True):
                    width, height = questions.size(row)
                    array = np.empty((height, width), np.float32)
                    for place, whole in upsampled_parts(values, height, width):
                        array[place] = whole.clamp(-1, 1).numpy()
                    maps[row] = DepthMap(array, np.array(codes[row], dtype=np.int64).reshape(grid, grid))
        return maps

    def _vectors(self, codes: tuple[int, ...], logits: Tensor | None, options: DecodingOptions) -> Tensor:
        """What the depth tokenizer decodes: (N, D') the codes' own vectors, or those expected of their logits."""
        codebook = self.model.depth_tokenizer.codebook
        if options.soft_depth and logits is not None:
            return soft_merge(logits, codebook, SOFT_TEMPERATURE)
        return codebook[torch.tensor(codes, device=codebook.device)]

    def _decode(self, text_ids: Sequence[int]) -> str:
        """The words of an answer, phrase marks included, other control tokens dropped."""
        return self.processor.text([token for token in text_ids if token not in self._silent])


def full_mask(prediction: MaskPrediction, size: tuple[int, int], *, gate: bool, phrase: str | None = None) -> Mask:
    """One prediction as a mask of a picture of a size (width, height).

    Args:
        prediction: M = 1.
        size: of the picture, px.
        gate: whether SAM 2's object score counts: an untrained one says nothing.
        phrase: the words that the mask belongs to.
    """
    width, height = size
    array = np.empty((height, width), bool)
    for place, logits in upsampled_parts(prediction.logits[0].cpu(), height, width):
        array[place] = (logits > 0).numpy()
    there = float(prediction.object_logit.sigmoid()) if gate else 1.0
    return Mask(array, there * float(prediction.iou.clamp(0, 1)), phrase)
