"""Answers to questions about pictures that were perceived: what is written becomes words, masks and a depth map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from perceptio.decoding.arguments import check_forced_depth
from perceptio.decoding.depth_span import UNKNOWN
from perceptio.decoding.engine import Dropped, decode, decode_steps
from perceptio.decoding.events import DepthProgress, DepthReady, Done, Event, SegmentFound, TextDelta
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.questions import Questions
from perceptio.decoding.reading import Prefill, read_questions
from perceptio.decoding.stop_text import StopText
from perceptio.decoding.text_stream import TextStream
from perceptio.decoding.words import read_words
from perceptio.decoding.written_row import WrittenRow
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import SOFT_TEMPERATURE, soft_merge
from perceptio.model.processing import PerceptioProcessor
from perceptio.results import Answer, DepthMap, Mask, Trace
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.pointer import Pointed
from perceptio.segmentation.upsampling import upsampled_parts
from perceptio.tokens import PHRASE_END, PHRASE_START, MalformationKind, ParsedAnswer, Switch, parse

_MAPS_AT_ONCE = 16


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
        for row in range(len(options.seg)):
            options.budget(vocabulary, row)
        options.depth_decoding_of(self.model)
        if options.forced_depth is not None:
            check_forced_depth(options.forced_depth, len(options.depth), vocabulary)
            if options.teacher_depth:
                raise ValueError('depth="teacher" and forced_depth both give the codes: take one of them')
        if options.teacher_depth and self.teacher is None:
            raise ValueError('depth="teacher" needs a teacher: load the model with depth_teacher=')

    def answers(self, questions: Questions) -> list[Answer]:
        """Answer questions."""
        start = self._read(questions)
        with questions.watch.timed("generate"):
            found = decode(self.model, start, self._options(questions), partial(self._draw, questions))
        parsed = [parse(self.model.config.vocabulary, row.ids) for row in found]
        codes = {row: answer.codes for row, answer in enumerate(parsed) if answer.codes is not None}
        depth = self._depth_maps(questions, codes, {row: found[row].depth_logits for row in codes})
        masks = [[self._mask(questions, row, each) for each in one.masks] for row, one in enumerate(found)]
        return [
            self._answer(questions, row, one.ids, answer, masks[row], depth.get(row))
            for row, (one, answer) in enumerate(zip(found, parsed, strict=True))
        ]

    def events(
        self, questions: Questions, stops: Sequence[Sequence[str]] = (), dropped: Dropped | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Answer questions, and tell of each row what is found as it comes; the last event of a row is `Done`.

        Args:
            questions: answered together.
            stops: of each row, the texts before which its words end; none by default.
            dropped: says of a row whether nobody waits for it any longer; it then ends without `Done`.
        """
        vocabulary, options = self.model.config.vocabulary, self._options(questions)

        def over(row: int) -> bool:
            return rows[row].told or (dropped is not None and dropped(row))

        steps = decode_steps(self.model, self._read(questions), options, partial(self._draw, questions), over)
        rows = [
            WrittenRow(
                TextStream(vocabulary, self.processor, self._silent),
                options.budget(vocabulary, row),
                StopText(stops[row] if stops else ()),
            )
            for row in range(len(questions.ids))
        ]
        while True:
            with questions.watch.timed("generate"):
                step = next(steps, None)
            if step is None:
                break
            live = [number for number in step.tokens if not over(number)]
            spoken = {number: rows[number].push(tokens) for number, tokens in step.tokens.items()}
            for number, prediction in step.masks.items():
                rows[number].masks.append(mask := self._mask(questions, number, prediction))
                if mask is not None:
                    yield number, SegmentFound(rows[number].found - 1, mask)
            for number, tokens in step.tokens.items():
                if any(token in vocabulary.code_index for token in tokens):
                    yield (
                        number,
                        DepthProgress(tuple(rows[number].words.reader.newest_codes), vocabulary.tokens_per_map),
                    )
            whole = {number: codes for number in live if (codes := rows[number].new_span(vocabulary.tokens_per_map))}
            maps = self._depth_maps(questions, whole, {number: step.depth_logits.get(number) for number in whole})
            for number, depth in maps.items():
                rows[number].depth = depth
                yield number, DepthReady(depth)
            for number in live:
                if spoken[number]:
                    yield number, TextDelta(spoken[number])
                if rows[number].over:
                    yield from self._last_events(questions, number, rows[number])
        for number, row in enumerate(rows):
            if not over(number):
                yield from self._last_events(questions, number, row)

    def _last_events(self, questions: Questions, number: int, row: WrittenRow) -> Iterator[tuple[int, Event]]:
        vocabulary = self.model.config.vocabulary
        ended = [vocabulary.end_of_text] if row.stop.found else []
        parsed, depth = parse(vocabulary, [*row.ids, *ended]), row.depth
        if depth is None and parsed.codes is not None:  # a free span that the budget has cut off behind its last code
            depth = self._depth_maps(questions, {number: parsed.codes}, {number: None})[number]
        answer = self._answer(questions, number, row.ids, parsed, row.masks, depth)
        answer = replace(answer, text=row.said if row.stop.found else row.stop.cut(answer.text))
        assert answer.text.startswith(row.said)
        row.told = True
        if len(answer.text) > len(row.said):
            yield number, TextDelta(answer.text[len(row.said) :])
        yield number, Done(answer)

    def _read(self, questions: Questions) -> Prefill:
        with questions.watch.timed("read"):
            return read_questions(self.model, questions.perceived.read, questions.picture_index, questions.ids)

    def _options(self, questions: Questions) -> DecodingOptions:
        """The options, with a teacher's codes if it gives them, or each picture's newest codes as a guess."""
        index = list(questions.picture_index)
        if questions.options.teacher_depth:
            assert self.teacher is not None
            codes = questions.perceived.teacher_codes(self.teacher, self.model.depth_tokenizer)
            return replace(questions.options, forced_depth=codes[index])
        guess = questions.perceived.codes[index]
        return questions.options if bool((guess == UNKNOWN).all()) else replace(questions.options, depth_guess=guess)

    def _answer(
        self,
        questions: Questions,
        row: int,
        ids: Sequence[int],
        parsed: ParsedAnswer,
        masks: Sequence[Mask | None],
        depth: DepthMap | None,
    ) -> Answer:
        """The answer of a row that is over.

        Args:
            questions: of the row.
            row: its number.
            ids: that it wrote.
            parsed: these.
            masks: one for each `[SEG]`, None where nothing was found.
            depth: its map.
        """
        vocabulary, options = self.model.config.vocabulary, questions.options
        if parsed.codes is not None and options.forced_depth is None and not options.teacher_depth:
            questions.perceived.remember(questions.picture_index[row], parsed.codes)
        text, phrases = read_words(parsed, vocabulary.order, self._decode)
        shown = [replace(mask, phrase=phrase) for mask, phrase in zip(masks, phrases, strict=True) if mask is not None]
        wanted = bool(masks) or options.seg[row] is Switch.ON
        trace = Trace(
            raw=self.processor.text(ids),
            malformed=[str(item) for item in parsed.malformed],
            seconds=dict(questions.watch.seconds),
            tokens=len(ids),
            spatial_tokens=sum(token in vocabulary.spatial for token in ids),
            no_target=wanted and not shown,
            ended=not any(item.kind is MalformationKind.UNFINISHED for item in parsed.malformed),
        )
        image = questions.perceived.pictures.images[questions.picture_index[row]].image
        return Answer(text, shown, depth, trace, image)

    @torch.no_grad()
    def _draw(self, questions: Questions, rows: Tensor, states: Tensor, pointed: Pointed | None) -> MaskPrediction:
        """The mask of a `[SEG]` in each of some rows (M,), from its state (M, D) and what it points at."""
        with questions.watch.timed("masks"):
            index = torch.tensor(questions.picture_index, device=rows.device)[rows]
            return self.model.segment(states, index, questions.perceived.features(self.model), pointed)

    def _mask(self, questions: Questions, row: int, prediction: MaskPrediction) -> Mask | None:
        """A mask of a row's picture; None where it is empty, or SAM2 sees no object and the gate is on."""
        gate = self.model.config.mask_gate
        if gate and prediction.object_logit <= 0:
            return None
        with questions.watch.timed("masks"):
            mask = full_mask(prediction, questions.size(row), gate=gate)
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


def full_mask(prediction: MaskPrediction, size: tuple[int, int], *, gate: bool) -> Mask:
    """One prediction as a mask of a picture of a size (width, height).

    Args:
        prediction: M = 1.
        size: of the picture, px.
        gate: whether SAM 2's object score counts: an untrained one says nothing.
    """
    width, height = size
    array = np.empty((height, width), bool)
    for place, logits in upsampled_parts(prediction.logits[0].cpu(), height, width):
        array[place] = (logits > 0).numpy()
    there = float(prediction.object_logit.sigmoid()) if gate else 1.0
    return Mask(array, there * float(prediction.iou.clamp(0, 1)))
