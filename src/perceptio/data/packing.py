"""Samples -> packed sequences: the image once, then a branch for every question with its spans and answer.

A branch sees the image and itself only, and its positions go on from the image's: to the model each question looks as
if it had been asked alone, as it will be in use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from perceptio.data.interchangeable import interchangeable, left_to_right, shuffled, under_one_phrase
from perceptio.data.interleaved import InterleavedText, interleave
from perceptio.data.schema import SPANS, Sample, Turn, target_place
from perceptio.data.supervision import Spans, Supervision, TokenWeights, choose_spans
from perceptio.depth.normalization import resize_nearest
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.packed_batch import IGNORED
from perceptio.model.processing import PerceptioProcessor
from perceptio.tokens import SEG, SpatialVocabulary, arrange

_DIGIT = re.compile(r"\d")

Offsets = Sequence[tuple[int, int]]  # begin and end in a text of each token


@dataclass(frozen=True)
class Branch:
    """Where one turn stands in its row: for whoever wants to know which words are where."""

    turn: Turn
    question: int  # position of the question's first token
    words: int  # position of the first token of the answer's words
    asked: Offsets  # of the question's tokens in `turn.question`
    offsets: Offsets  # of the words' tokens in `turn.answer`
    segments: Sequence[int]  # positions of its [SEG] tokens
    span: int | None  # position of its <DEPTH_START>


@dataclass
class PackedRow:
    """One sample as a sequence; lists run over its T positions unless noted."""

    depth_map: np.ndarray  # (S, S) float32; zeros where the sample has none
    codes: np.ndarray  # (N,) int64; -1 where the model is to encode the map
    pixel_values: Tensor  # (tiles, 3, side, side)
    sam_pixel_values: Tensor  # (3, S', S')
    input_ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    branch_ids: list[int] = field(default_factory=list)
    position_ids: list[int] = field(default_factory=list)
    answer_ids: list[int] = field(default_factory=list)
    answer_has_span: list[bool] = field(default_factory=list)  # by answer, where the span is taught
    spans: list[int] = field(default_factory=list)  # positions of <DEPTH_START>
    segments: list[int] = field(default_factory=list)  # positions of [SEG]
    left_out: int = 0  # turns that did not fit
    masks: list[np.ndarray] = field(default_factory=list)  # by [SEG], (S', S') bool
    interchangeable: list[int] = field(default_factory=list)  # by [SEG], equal for objects that no word tells apart
    branches: list[Branch] = field(default_factory=list)  # by answer
    seed: int = 0  # of all that is drawn at random when the row is read


def pack_sample(
    sample: Sample,
    processor: PerceptioProcessor,
    config: PerceptioConfig,
    rng: np.random.Generator,
    *,
    explicit: float = 0.0,
    length: int = 0,
    supervision: Supervision | None = None,
) -> PackedRow:
    """One sample as a packed sequence; depth codes are left to the objective, which knows the depth tokenizer.

    Args:
        sample: read (`data.reading`), with at least one turn.
        processor: of the model.
        config: of the model.
        rng: draws the turns that say which spans they want.
        explicit: share of such turns.
        length: largest number of tokens; later turns that do not fit are left out, the first never is. 0: no limit.
            Rows of one length waste no work on padding.
        supervision: everything by default.

    Raises:
        ValueError: if the sample has no turns, a turn needs a mask or depth map that the sample lacks or does not fit
            the model's context, or the sample's depth codes are not the model's; `fit.unfit` finds the last two without
            reading pictures.
    """
    supervision, vocabulary = supervision or Supervision(), config.vocabulary
    if not sample.turns:
        raise ValueError(f"sample {sample.key} has no questions")
    assert isinstance(sample.image, np.ndarray), "the sample was not read"
    image = Image.fromarray(sample.image)
    tiles = processor.tiles(image)
    values, sam_values = processor.pixels([image])
    row = PackedRow(*_depth(sample, config.depth.image_size, vocabulary), values, sam_values[0])
    prefix = processor.prefix_ids(tiles)
    room = processor.context_length - len(prefix)
    _extend(row, prefix, branch=0, start=0)
    for turn in sample.turns:
        spans = choose_spans(turn, rng, explicit)
        numbers = interchangeable(turn) if spans.masks else []
        spans = replace(spans, masks=_ordered(sample, turn, spans.masks, numbers, config, rng))
        spans = supervision.restrict(spans)  # the same draws whatever is taught
        if spans.has_depth and sample.depth is None and sample.codes is None:
            raise ValueError(f"sample {sample.key} asks for depth but has no depth map")
        written = write_turn(turn, spans, processor, config, room, supervision.weights)
        if length and row.answer_has_span and len(row.input_ids) + len(written) > length:
            row.left_out += 1
            continue
        row.branches.append(_add_turn(row, written, spans, start=len(prefix)))
        row.masks.extend(_mask(sample, number, processor.sam_image_size) for number in spans.masks)
        row.interchangeable.extend(numbers if spans.masks else [])  # none where [SEG] is not taught
    row.seed = int(rng.integers(2**48))
    return row


def _ordered(
    sample: Sample,
    turn: Turn,
    masks: tuple[int, ...],
    numbers: list[int],
    config: PerceptioConfig,
    rng: np.random.Generator,
) -> tuple[int, ...]:
    """The order in which a turn's `[SEG]` tokens stand for its objects, see `data/interchangeable.py`."""
    if config.pointing:
        return shuffled(masks, numbers, rng)
    if len(masks) > 1 and under_one_phrase(turn):
        side = config.sam.prompt_encoder_config.image_size
        return left_to_right(masks, [_mask(sample, number, side) for number in masks])
    return masks


def _depth(sample: Sample, size: int, vocabulary: SpatialVocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Depth map (S, S) and codes (N,) of a sample, as in `PackedRow`."""
    fault = None if sample.codes is None else codes_fault(sample.codes, vocabulary)
    if fault:
        raise ValueError(f"sample {sample.key} {fault}")
    codes = np.full(vocabulary.tokens_per_map, -1) if sample.codes is None else np.array(sample.codes, np.int64)
    if sample.depth is None:
        return np.zeros((size, size), np.float32), codes
    assert isinstance(sample.depth, np.ndarray), "the sample was not read"
    return resize_nearest(sample.depth, size), codes


def codes_fault(codes: Sequence[int], vocabulary: SpatialVocabulary) -> str | None:
    """Why depth codes are not a model's."""
    count, last = vocabulary.tokens_per_map, len(vocabulary.codes) - 1
    if len(codes) != count:
        return f"has {len(codes)} depth codes, but a map of this model has {count}"
    beyond = next((code for code in codes if not 0 <= code <= last), None)
    return None if beyond is None else f"has the depth code {beyond}, but the model's are 0 to {last}"


def _mask(sample: Sample, number: int, side: int) -> np.ndarray:
    """(side, side) bool; that of an absent object is empty."""
    if number >= 0 and not sample.masks:
        raise ValueError(f"sample {sample.key} refers to objects but has no masks")
    return sample.mask(number, side)


class TurnTooLongError(ValueError):
    """A turn does not fit the model's context.

    Args:
        field: of the turn that is too long.
        reason: one sentence.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True)
class WrittenTurn:
    """One turn in tokens."""

    turn: Turn
    question: list[int]
    answer: list[int]  # with its spans and the end token
    weights: list[float]  # of the answer's tokens
    taught: list[bool]  # whether each is a target, or only read
    segments: list[int]  # where the answer's [SEG] tokens are
    span: int  # where its depth span begins, if it has one
    words: int  # where its words begin
    offsets: list[tuple[int, int]]  # of each word's token in the text
    asked: list[tuple[int, int]]  # of each of the question's tokens in its text

    def __len__(self) -> int:
        return len(self.question) + len(self.answer) - 1  # the last token is predicted, not read


def write_turn(
    turn: Turn, spans: Spans, processor: PerceptioProcessor, config: PerceptioConfig, room: int, weights: TokenWeights
) -> WrittenTurn:
    """One turn in tokens, of which `room` fit the model's context after the picture.

    Raises:
        TurnTooLongError: if they do not.
    """
    vocabulary = config.vocabulary
    try:
        question, asked = processor.question_tokens(turn.question, spans.seg, spans.depth)
    except ValueError as error:
        raise TurnTooLongError("question", str(error)) from error
    inside = len(spans.masks) if vocabulary.order == "interleaved" else 0  # [SEG] in the text
    words, word_weights, offsets = text_weights(turn, processor, weights, inside)
    if config.pointing and spans.masks and not spans.has_depth and vocabulary.order == "spans_first":
        # the region feature of a [SEG] comes with the input after it: a line's end lets the first word read the last
        line = processor.answer_ids("\n")
        words, word_weights = [*line, *words], [*[weights.word] * len(line), *word_weights]
        offsets = [*[(0, 0)] * len(line), *offsets]
    span: list[int] = []
    if spans.has_depth:
        # any code stands in for the ones that the objective writes
        codes = [vocabulary.codes[0]] * vocabulary.tokens_per_map
        span = [vocabulary.depth_start, *codes, vocabulary.depth_end]
    before = len(spans.masks) - inside  # [SEG] that stand before the depth span
    spatial = [vocabulary.seg] * before + span
    seg, depth, text = (part in turn.supervise for part in SPANS)
    in_text = [inside > 0 and token == vocabulary.seg for token in words]
    taught = arrange(
        vocabulary.order, [seg] * before + [depth] * len(span), [seg if is_seg else text for is_seg in in_text]
    )
    first_spatial, first_word = (len(words), 0) if vocabulary.order == "answer_first" else (0, len(spatial))
    written = WrittenTurn(
        turn,
        question,
        [*arrange(vocabulary.order, spatial, words), vocabulary.end_of_text],
        [*arrange(vocabulary.order, [weights.segment] * len(spatial), word_weights), weights.end],
        [*taught, text],
        [
            *range(first_spatial, first_spatial + before),
            *(first_word + k for k, is_seg in enumerate(in_text) if is_seg),
        ],
        first_spatial + before,
        first_word,
        offsets,
        asked,
    )
    assert len(written.segments) == len(spans.masks)
    if len(written) > room:
        field = "question" if len(question) > room else "answer"
        count = f"{len(written)} tokens, {len(question)} of the question and {len(words)} of the answer's words"
        raise TurnTooLongError(field, f"the turn has {count}, but {max(room, 0)} fit beside the picture; shorten it")
    return written


def _add_turn(row: PackedRow, written: WrittenTurn, spans: Spans, start: int) -> Branch:
    """Write one branch."""
    number, question = len(row.answer_has_span), len(row.input_ids)
    first = question + len(written.question)  # position of the answer's first token
    _extend(row, written.question + written.answer[:-1], branch=number + 1, start=start)
    tokens = zip(written.answer, written.weights, written.taught, strict=True)
    for place, (token, weight, taught) in enumerate(tokens, first - 1):  # each is predicted at the place before it
        if taught:
            row.targets[place] = token
            row.weights[place] = weight
            row.answer_ids[place] = number
    segments, span = [first + place for place in written.segments], first + written.span
    row.segments.extend(segments)
    if spans.has_depth:
        row.spans.append(span)
    row.answer_has_span.append(spans.has_depth and row.targets[span] != IGNORED)
    return Branch(
        written.turn,
        question,
        first + written.words,
        written.asked,
        written.offsets,
        segments,
        span if spans.has_depth else None,
    )


def text_weights(
    turn: Turn, processor: PerceptioProcessor, weights: TokenWeights, segments: int = 0
) -> tuple[list[int], list[float], list[tuple[int, int]]]:
    """Token ids of a turn's answer with so many `[SEG]` in it, the weight of each and its place in the answer."""
    interleaved = interleave(turn.answer, segments) if segments else InterleavedText(turn.answer, ())
    encoded = processor.tokenizer(interleaved.text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = [(interleaved.place(begin), interleaved.place(end)) for begin, end in encoded["offset_mapping"]]
    first, last = target_place(turn.answer, turn.target) or (0, 0)
    found_weights = []
    for token, (begin, end) in zip(encoded["input_ids"], offsets, strict=True):
        if segments and token == processor.tokenizer.convert_tokens_to_ids(SEG):
            found_weights.append(weights.segment)
        elif begin < last and end > first:
            found_weights.append(weights.target)
        else:
            found_weights.append(weights.digit if _DIGIT.search(turn.answer, begin, end) else weights.word)
    return list(encoded["input_ids"]), found_weights, offsets


def _extend(row: PackedRow, ids: Sequence[int], *, branch: int, start: int) -> None:
    row.input_ids.extend(ids)
    row.targets.extend([IGNORED] * len(ids))
    row.weights.extend([0.0] * len(ids))
    row.branch_ids.extend([branch] * len(ids))
    row.position_ids.extend(range(start, start + len(ids)))
    row.answer_ids.extend([-1] * len(ids))


def collate(rows: Sequence[PackedRow], padding: int) -> dict[str, Tensor]:
    """Pad and stack rows to the fields of `PackedBatch`."""
    length = max(len(row.input_ids) for row in rows)

    def padded(name: str, value: float, dtype: torch.dtype) -> Tensor:
        lists = [getattr(row, name) for row in rows]
        return torch.tensor([[*items, *[value] * (length - len(items))] for items in lists], dtype=dtype)

    answers = np.cumsum([0, *(len(row.answer_has_span) for row in rows)])
    answer_ids = padded("answer_ids", -1, torch.int64)
    shift = torch.tensor(answers[:-1])[:, None]
    side = rows[0].sam_pixel_values.shape[-1]
    masks = [mask for row in rows for mask in row.masks]
    return {
        "input_ids": padded("input_ids", padding, torch.int64),
        "targets": padded("targets", IGNORED, torch.int64),
        "weights": padded("weights", 0.0, torch.float32),
        "branch_ids": padded("branch_ids", -1, torch.int64),
        "position_ids": padded("position_ids", 0, torch.int64),
        "answer_ids": torch.where(answer_ids >= 0, answer_ids + shift, -1),
        "answer_has_span": torch.tensor([has for row in rows for has in row.answer_has_span]),
        "spans": _places([row.spans for row in rows]),
        "segments": _places([row.segments for row in rows]),
        "masks": torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, side, side, dtype=torch.bool),
        "interchangeable": torch.tensor([number for row in rows for number in row.interchangeable], dtype=torch.int64),
        "depth_maps": torch.stack([torch.from_numpy(row.depth_map) for row in rows])[:, None],
        "codes": torch.from_numpy(np.stack([row.codes for row in rows])),
        "pixel_values": torch.cat([row.pixel_values for row in rows]),
        "sam_pixel_values": torch.stack([row.sam_pixel_values for row in rows]),
        "seeds": torch.tensor([row.seed for row in rows]),
    }


def _places(lists: Sequence[Sequence[int]]) -> Tensor:
    """(number, 2) int64: the row and the position of each."""
    pairs = [(row, position) for row, positions in enumerate(lists) for position in positions]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
