"""Records -> packed sequences: the image once, then a branch for every question with its spans and answer.

A branch sees the image and itself only, and its positions go on from the image's: to the model each question looks as
if it had been asked alone, as it will be in use.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from perceptio.data.gazes import NOWHERE, depth_looked_at, marks_looked_at, objects_looked_at, words_repeated
from perceptio.data.groups import groups_of, shuffled
from perceptio.data.record import Record, Turn, telling
from perceptio.data.schema import ABSENT, SPANS
from perceptio.depth.normalization import resize_nearest
from perceptio.model.guidance import DEPTH, SAID, SEEN
from perceptio.model.processing import PerceptioProcessor
from perceptio.tokens import Mode, SpatialVocabulary, arrange

IGNORED = -100

_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class TokenWeights:
    """Weight of a token in the text loss.

    An answer has one telling word among a dozen that any answer has: averaged alike, marks and counts drown (measured
    on a prototype, see docs/method.md).
    """

    word: float = 0.5  # any other
    digit: float = 1.0
    telling: float = 3.0  # what scoring looks for: the letter, the count, "yes"
    segment: float = 1.0  # [SEG]
    end: float = 0.3  # of the answer


@dataclass(frozen=True)
class Supervision:
    """What of a record's answers is taught."""

    seg: bool = True  # [SEG] tokens; without them every question says that none are wanted
    depth: bool = True  # depth spans, likewise
    weights: TokenWeights = field(default_factory=TokenWeights)

    def restrict(self, spans: Spans) -> Spans:
        """Spans without those that are not taught."""
        return Spans(
            spans.seg if self.seg else Mode.OFF,
            spans.depth if self.depth else Mode.OFF,
            spans.referents if self.seg else (),
            spans.has_depth and self.depth,
        )


@dataclass(frozen=True)
class Spans:
    """What one turn writes before its answer, and how the question asks for it."""

    seg: Mode
    depth: Mode
    referents: tuple[int, ...]
    has_depth: bool


@dataclass
class PackedRow:
    """One record as a sequence; lists run over its T positions unless noted."""

    depth_map: np.ndarray  # (S, S) float32; zeros where the record has none
    codes: np.ndarray  # (N,) int64; -1 where the model is to encode the map
    own_codes: np.ndarray  # (N,) int64 read in their place; -1 where the taught codes are read
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
    groups: list[int] = field(default_factory=list)  # by [SEG], equal within an answer for objects in no order
    gazes: list[tuple[int, int, int]] = field(default_factory=list)  # guide, a position, where it looks


def choose_spans(turn: Turn, rng: np.random.Generator, explicit: float) -> Spans:
    """Which spans a turn writes: its own, or, in a share `explicit` of the turns, what the question's switches say.

    Of a span that a turn neither has nor supervises nothing is known: the question rules it out, so that its absence
    is not taught.
    """
    spans = _asked(turn, rng, explicit)
    if "seg" not in turn.supervise and not turn.referents:
        spans = replace(spans, seg=Mode.OFF, referents=())
    if "depth" not in turn.supervise and not turn.depth:
        spans = replace(spans, depth=Mode.OFF)
    return spans


def _asked(turn: Turn, rng: np.random.Generator, explicit: float) -> Spans:
    if rng.random() >= explicit:
        return Spans(Mode.ALLOWED, Mode.ALLOWED, turn.referents, turn.depth)
    segs = [Mode.OFF, Mode.ALLOWED, *([Mode.FORCED] if turn.referents else [])]
    depths = [Mode.OFF, Mode.ALLOWED, *([Mode.FORCED] if turn.depth else [])]
    seg, depth = segs[rng.integers(len(segs))], depths[rng.integers(len(depths))]
    referents = () if seg is Mode.OFF else turn.referents
    return Spans(seg, depth, referents, turn.depth and depth is not Mode.OFF)


def pack_record(
    record: Record,
    processor: PerceptioProcessor,
    vocabulary: SpatialVocabulary,
    rng: np.random.Generator,
    *,
    depth_size: int,
    explicit: float = 0.0,
    length: int = 0,
    supervision: Supervision | None = None,
) -> PackedRow:
    """One record as a packed sequence; depth codes are left to the model, which knows its tokenizer.

    Args:
        record: with at least one turn.
        processor: of the model.
        vocabulary: of the model.
        rng: draws the turns that say which spans they want.
        depth_size: side of the depth tokenizer's maps, px.
        explicit: share of such turns.
        length: largest number of tokens; later turns that do not fit are left out, the first never is. 0: no limit.
            Rows of one length waste no work on padding.
        supervision: everything by default.

    Raises:
        ValueError: if the record has no turns, a turn needs a mask or depth map that the record lacks, or the record's
            depth codes are not the model's.
    """
    supervision = supervision or Supervision()
    if not record.turns:
        raise ValueError(f"record {record.key} has no questions")
    image = Image.fromarray(record.image)
    tiles = processor.tiles(image)
    values, sam_values = processor.pixels([image])
    row = PackedRow(*_depth(record, depth_size, vocabulary), _own_codes(record, vocabulary), values, sam_values[0])
    prefix = processor.prefix_ids(tiles)
    _extend(row, prefix, branch=0, start=0)
    side = processor.sam_image_size
    grid = math.isqrt(processor.image_seq_length)
    visual = len(prefix) - prefix[::-1].index(processor.image_token_id) - grid**2  # where the whole picture begins
    for turn in record.turns:
        spans = choose_spans(turn, rng, explicit)
        groups = groups_of(turn) if spans.referents else []
        spans = replace(spans, referents=shuffled(spans.referents, groups, rng))
        spans = supervision.restrict(spans)  # the same draws whatever is taught
        if spans.has_depth and record.inverse_depth is None and record.codes is None:
            raise ValueError(f"record {record.key} asks for depth but has no depth map")
        written = _write_turn(turn, spans, processor, vocabulary, supervision.weights)
        if length and row.answer_has_span and len(row.input_ids) + len(written) > length:
            row.left_out += 1
            continue
        question = len(row.input_ids)
        first = _add_turn(row, written, spans, start=len(prefix))
        for word, cell in marks_looked_at(record, turn, written.offsets, grid):
            # the row's first token says nothing: what looks there has nothing to look at
            row.gazes.append((SEEN, first + word, 0 if cell == NOWHERE else visual + cell))
        if vocabulary.order == "spans_first":
            told = [place + 1 for place in row.segments[len(row.masks) :]]
            for word, which in objects_looked_at(turn, written.offsets, len(told)):
                row.gazes.append((SEEN, first + word, told[which]))
            if spans.has_depth:
                for word, code in depth_looked_at(turn, written.offsets, vocabulary.tokens_per_map):
                    row.gazes.append((DEPTH, first + word, row.spans[-1] + 1 + code))
        for word, said, in_answer in words_repeated(turn, written.offsets, written.asked):
            row.gazes.append((SAID, first + word, (first if in_answer else question) + said))
        row.masks.extend(_mask(record, referent, side) for referent in spans.referents)
        row.groups.extend(groups if spans.referents else [])  # none where [SEG] is not taught
    return row


def _depth(record: Record, size: int, vocabulary: SpatialVocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Depth map (S, S) and codes (N,) of a record, as in `PackedRow`."""
    count, entries = vocabulary.tokens_per_map, len(vocabulary.codes)
    codes = np.full(count, -1) if record.codes is None else np.array(record.codes, np.int64)
    if len(codes) != count:
        raise ValueError(f"record {record.key} has {len(codes)} depth codes, but a map of this model has {count}")
    if record.codes is not None and (codes.min() < 0 or codes.max() >= entries):
        raise ValueError(f"record {record.key} has depth codes beyond the model's, which are 0 to {entries - 1}")
    if record.inverse_depth is None:
        return np.zeros((size, size), np.float32), codes
    return resize_nearest(record.inverse_depth, size), codes


def _own_codes(record: Record, vocabulary: SpatialVocabulary) -> np.ndarray:
    """(N,) int64, as in `PackedRow`."""
    count = vocabulary.tokens_per_map
    codes = np.full(count, -1) if record.own_codes is None else np.array(record.own_codes, np.int64)
    assert len(codes) == count
    return codes


def _mask(record: Record, referent: int, side: int) -> np.ndarray:
    """(side, side) bool; that of an absent object is empty."""
    if referent == ABSENT:
        return np.zeros((side, side), bool)
    if record.masks is None:
        raise ValueError(f"record {record.key} refers to objects but has no masks")
    return record.masks.resized(referent, side)


@dataclass(frozen=True)
class _Written:
    """One turn in tokens."""

    question: list[int]
    answer: list[int]  # with its spans and the end token
    weights: list[float]  # of the answer's tokens
    taught: list[bool]  # whether each is a target, or only read
    spatial: int  # where the answer's [SEG] tokens and depth span begin
    words: int  # where its words begin
    offsets: list[tuple[int, int]]  # of each word's token in the text
    asked: list[tuple[int, int]]  # of each of the question's tokens in its text

    def __len__(self) -> int:
        return len(self.question) + len(self.answer) - 1  # the last token is predicted, not read


def _write_turn(
    turn: Turn, spans: Spans, processor: PerceptioProcessor, vocabulary: SpatialVocabulary, weights: TokenWeights
) -> _Written:
    question, asked = processor.question_tokens(turn.question, spans.seg, spans.depth)
    words, word_weights, offsets = text_weights(turn, processor, weights)
    if spans.referents and not spans.has_depth and vocabulary.order == "spans_first":
        # what is told of a [SEG] comes with the input after it: a line's end lets the first word know of the last one
        line = processor.answer_ids("\n")
        words, word_weights = [*line, *words], [*[weights.word] * len(line), *word_weights]
        offsets = [*[(0, 0)] * len(line), *offsets]
    span: list[int] = []
    if spans.has_depth:
        # any code stands in for the ones that the model writes
        codes = [vocabulary.codes[0]] * vocabulary.tokens_per_map
        span = [vocabulary.depth_start, *codes, vocabulary.depth_end]
    spatial = [vocabulary.seg] * len(spans.referents) + span
    seg, depth, text = (part in turn.supervise for part in SPANS)
    taught = arrange(vocabulary.order, [seg] * len(spans.referents) + [depth] * len(span), [text] * len(words))
    return _Written(
        question,
        [*arrange(vocabulary.order, spatial, words), vocabulary.end_of_text],
        [*arrange(vocabulary.order, [weights.segment] * len(spatial), word_weights), weights.end],
        [*taught, text],
        *((0, len(spatial)) if vocabulary.order == "spans_first" else (len(words), 0)),
        offsets,
        asked,
    )


def _add_turn(row: PackedRow, written: _Written, spans: Spans, start: int) -> int:
    """Write one branch; returns the position of the answer's first word."""
    number = len(row.answer_has_span)
    first = len(row.input_ids) + len(written.question)  # position of the answer's first token
    _extend(row, written.question + written.answer[:-1], branch=number + 1, start=start)
    tokens = zip(written.answer, written.weights, written.taught, strict=True)
    for place, (token, weight, taught) in enumerate(tokens, first - 1):  # each is predicted at the place before it
        if taught:
            row.targets[place] = token
            row.weights[place] = weight
            row.answer_ids[place] = number
    spatial = first + written.spatial
    row.segments.extend(range(spatial, spatial + len(spans.referents)))
    if spans.has_depth:
        row.spans.append(spatial + len(spans.referents))
    row.answer_has_span.append(spans.has_depth and row.targets[row.spans[-1]] != IGNORED)
    return first + written.words


def text_weights(
    turn: Turn, processor: PerceptioProcessor, weights: TokenWeights
) -> tuple[list[int], list[float], list[tuple[int, int]]]:
    """Token ids of a turn's answer, the weight of each (the telling word counts most, then digits) and its place."""
    encoded = processor.tokenizer(turn.answer, add_special_tokens=False, return_offsets_mapping=True)
    first, last = telling(turn.answer, turn.target) or (0, 0)
    found_weights = []
    for begin, end in encoded["offset_mapping"]:
        if begin < last and end > first:
            found_weights.append(weights.telling)
        else:
            found_weights.append(weights.digit if _DIGIT.search(turn.answer, begin, end) else weights.word)
    return list(encoded["input_ids"]), found_weights, list(encoded["offset_mapping"])


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
        "gazes": torch.tensor(
            [(guide, number, *places) for number, row in enumerate(rows) for guide, *places in row.gazes],
            dtype=torch.int64,
        ).reshape(-1, 4),
        "masks": torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, side, side, dtype=torch.bool),
        "groups": torch.tensor([group for row in rows for group in row.groups], dtype=torch.int64),
        "depth_maps": torch.stack([torch.from_numpy(row.depth_map) for row in rows])[:, None],
        "codes": torch.from_numpy(np.stack([row.codes for row in rows])),
        "own_codes": torch.from_numpy(np.stack([row.own_codes for row in rows])),
        "pixel_values": torch.cat([row.pixel_values for row in rows]),
        "sam_pixel_values": torch.stack([row.sam_pixel_values for row in rows]),
    }


def _places(lists: Sequence[Sequence[int]]) -> Tensor:
    """(number, 2) int64: the row and the position of each."""
    pairs = [(row, position) for row, positions in enumerate(lists) for position in positions]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
