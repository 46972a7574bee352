"""The spatial vocabulary and the grammar of an answer: build target sequences, parse generated ones.

An answer is one token sequence, in this order (segmentation, depth, text is the paper's; the rest is ours):

    [SEG]*  ( <DEPTH_START> <DEPTH_c1> ... <DEPTH_cN> <DEPTH_END> )?  text  <end of text>

A vocabulary of the order "answer_first" moves the text to the front: the control of what thinking first is worth. One
of the order "interleaved" lets each `[SEG]` stand where the text speaks of its object, as Sa2VA writes:

    ( <DEPTH_START> <DEPTH_c1> ... <DEPTH_cN> <DEPTH_END> )?  ( text | [SEG] )*  <end of text>

One `[SEG]` per referred object (LISA, 2308.00692; Sa2VA, 2501.04001), at most one depth span of exactly N codes in
raster order (AURORA, 2412.03548). Everything here works on token ids, never on text, so that a user who types
"[SEG]" only ever writes text. Pure Python: no model, no tensors.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal, TypeVar

# whether an answer's text follows [SEG] and the depth span, leads, or holds the [SEG]
Order = Literal["spans_first", "answer_first", "interleaved"]

# how the codes of a depth span are found: as greedy decoding finds them, in few passes; nearly so, in fewer; all at
# once; or one after the other
DepthDecoding = Literal["exact", "quick", "parallel", "sequential"]

SEG = "[SEG]"
DEPTH_START = "<DEPTH_START>"
DEPTH_END = "<DEPTH_END>"
PHRASE_START = "<p>"
PHRASE_END = "</p>"

_Part = TypeVar("_Part")


def depth_code(index: int) -> str:
    """The token of codebook entry `index`."""
    return f"<DEPTH_{index}>"


def spatial_tokens(codes: int) -> list[str]:
    """Every token the spatial vocabulary adds to a tokenizer, in their fixed order, for a codebook of `codes`."""
    return [SEG, DEPTH_START, DEPTH_END, *(depth_code(index) for index in range(codes))]


class Switch(StrEnum):
    """Whether one part of the spatial sequence (segmentation or depth) may or must appear in an answer."""

    OFF = "off"  # never
    AUTO = "auto"  # where the model wants it
    ON = "on"  # always

    @classmethod
    def _missing_(cls, value: object) -> Switch:
        raise ValueError(f"a switch is off, auto or on, not {value!r}")


@dataclass(frozen=True)
class SpatialVocabulary:
    """Token ids of the spatial tokens, the length of a depth span, and the order of an answer's parts."""

    seg: int  # id of [SEG]
    depth_start: int  # id of <DEPTH_START>
    depth_end: int  # id of <DEPTH_END>
    codes: tuple[int, ...]  # token id of codebook entry k at index k
    tokens_per_map: int  # N, codes in one depth span
    end_of_text: int  # id that ends an answer
    order: Order = "spans_first"

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", tuple(self.codes))
        everything = [self.seg, self.depth_start, self.depth_end, self.end_of_text, *self.codes]
        if not self.codes:
            raise ValueError("a spatial vocabulary needs at least one depth code")
        if min(everything) < 0:
            raise ValueError(f"token ids must not be negative, got {min(everything)}")
        if len(set(everything)) != len(everything):
            twice = sorted({token for token in everything if everything.count(token) > 1})
            raise ValueError(f"token ids of the spatial vocabulary must differ, these are used twice: {twice}")
        if self.tokens_per_map < 1:
            raise ValueError(f"tokens_per_map must be at least 1, got {self.tokens_per_map}")

    @cached_property
    def code_index(self) -> dict[int, int]:
        """Token id of a depth code -> codebook entry."""
        return {token: index for index, token in enumerate(self.codes)}

    @cached_property
    def spatial(self) -> frozenset[int]:
        """All ids that are control rather than text: [SEG], both markers, every code (not the end of text)."""
        return frozenset((self.seg, self.depth_start, self.depth_end, *self.codes))


class MalformationKind(StrEnum):
    """What can be wrong with a generated sequence."""

    WRONG_COUNT = "wrong code count"  # a closed depth span without exactly N codes
    TRUNCATED_SPAN = "truncated depth span"  # the sequence stops inside a depth span
    MISSING_END = "missing end marker"  # something other than a code or the end marker follows the codes
    CODE_OUTSIDE = "code outside a span"
    END_OUTSIDE = "end marker outside a span"
    SECOND_SPAN = "second depth span"
    SPAN_AFTER_TEXT = "depth span after text"
    SPAN_AFTER_SEGMENT = "depth span after segment"  # where [SEG] stands in the text
    SEGMENT_AFTER_DEPTH = "segment after depth span"
    SEGMENT_AFTER_TEXT = "segment after text"
    LATE_TEXT = "text after segment or depth span"  # where the answer comes first
    UNFINISHED = "missing end of text"
    UNKNOWN = "unknown token"  # not a token id


@dataclass(frozen=True)
class Malformation:
    """One deviation from the grammar."""

    kind: MalformationKind
    position: int  # index of the offending token in the parsed ids (of its span's start marker where a span is wrong)
    message: str  # one line for people

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class DepthSpan:
    """One depth span as generated, well-formed or not."""

    position: int  # index of its start marker in the parsed ids
    codes: tuple[int, ...]  # codebook entries
    closed: bool  # the end marker follows the codes

    def is_valid(self, tokens_per_map: int) -> bool:
        """Both markers and exactly `tokens_per_map` codes."""
        return self.closed and len(self.codes) == tokens_per_map


@dataclass(frozen=True)
class ParsedAnswer:
    """The parts of one generated sequence."""

    segments: tuple[int, ...]  # index in the parsed ids of every [SEG], misplaced ones included
    words_before: tuple[int, ...]  # how many of `text_ids` stand before each [SEG]
    codes: tuple[int, ...] | None  # codebook entries of the first span if it has exactly N, else None
    text_ids: tuple[int, ...]  # ordinary tokens before the end of text
    malformed: tuple[Malformation, ...]  # in order of position; empty means the sequence obeys the grammar
    spans: tuple[DepthSpan, ...] = ()  # every span that was opened


def build_target(
    vocabulary: SpatialVocabulary,
    segments: int,
    codes: Sequence[int] | None,
    text_ids: Iterable[int],
    places: Sequence[int] = (),
) -> list[int]:
    """Token ids of a well-formed answer, end of text included.

    Args:
        segments: how many `[SEG]` to write, one per referred object.
        codes: the N codebook entries of the depth map in raster order, or None for no depth span.
        text_ids: ids of the answer text; must not contain spatial ids or the end of text.
        places: where `[SEG]` stands inside the text: how many of its ids are before each, in order; those left over
            stand at its end. Only for the order "interleaved".

    Raises:
        ValueError: if the parts do not make a sequence of the grammar.
    """
    if segments < 0:
        raise ValueError(f"the number of segments must not be negative, got {segments}")
    text = [operator.index(token) for token in text_ids]
    forbidden = sorted({token for token in text if token in vocabulary.spatial or token == vocabulary.end_of_text})
    if forbidden:
        raise ValueError(f"answer text contains control tokens, ids {forbidden}: tokenize it as plain text")
    span = []
    if codes is not None:
        if len(codes) != vocabulary.tokens_per_map:
            raise ValueError(f"a depth span needs exactly {vocabulary.tokens_per_map} codes, got {len(codes)}")
        entries = [operator.index(code) for code in codes]
        beyond = [entry for entry in entries if not 0 <= entry < len(vocabulary.codes)]
        if beyond:
            raise ValueError(f"depth codes must lie in 0..{len(vocabulary.codes) - 1}, got {beyond[0]}")
        span = [vocabulary.depth_start, *(vocabulary.codes[entry] for entry in entries), vocabulary.depth_end]
    assert vocabulary.order == "interleaved" or not places
    if vocabulary.order == "interleaved":
        assert len(places) <= segments
        assert list(places) == sorted(places)
        for place in [*[len(text)] * (segments - len(places)), *reversed(places)]:
            text.insert(place, vocabulary.seg)
        segments = 0
    return [*arrange(vocabulary.order, [vocabulary.seg] * segments + span, text), vocabulary.end_of_text]


def arrange(order: Order, spatial: list[_Part], text: list[_Part]) -> list[_Part]:
    """The two parts of an answer, or what belongs to their tokens, in order; interleaved `[SEG]` are in the text."""
    return text + spatial if order == "answer_first" else spatial + text


def parse(vocabulary: SpatialVocabulary, ids: Sequence[int]) -> ParsedAnswer:
    """Read a generated sequence (without its prompt). Never raises on a malformed one: it says what is wrong.

    Reading is lenient so that a free-running model still yields what it meant: anything but a code closes a span, a
    misplaced `[SEG]` is reported and kept, stray codes are reported and dropped. Whatever follows the end of text
    (padding) is ignored. A run of the same mistake is reported once, at its first token.
    """
    reader = AnswerReader(vocabulary)
    for position, item in enumerate(ids):
        token = int(item)  # array and tensor elements hash unlike ints
        if token == vocabulary.end_of_text:
            return reader.finish(position, ended=True)
        reader.read(position, token)
    return reader.finish(len(ids), ended=False)


class AnswerReader:
    """`parse`, token by token."""

    def __init__(self, vocabulary: SpatialVocabulary) -> None:
        self.vocabulary = vocabulary
        self.text_leads = vocabulary.order == "answer_first"
        self.interleaved = vocabulary.order == "interleaved"
        self.segments: list[int] = []
        self.words_before: list[int] = []
        self.text: list[int] = []
        self.spans: list[DepthSpan] = []
        self.malformed: list[Malformation] = []
        self.open_at: int | None = None  # start marker of the span being read
        self.open_codes: list[int] = []
        self.run: tuple[MalformationKind, int] | None = None  # kind and position of the latest mistake in a run

    def read(self, position: int, token: int) -> None:
        """Take the next token, other than the end of text."""
        code = self.vocabulary.code_index.get(token)
        if self.open_at is not None:
            if code is not None:
                self.open_codes.append(code)
                return
            closed = token == self.vocabulary.depth_end
            self._close(closed)
            if closed:
                return
        if code is not None:
            self._report_run(MalformationKind.CODE_OUTSIDE, position)
        elif token == self.vocabulary.seg:
            if self.text and not self.text_leads and not self.interleaved:
                self._report_run(MalformationKind.SEGMENT_AFTER_TEXT, position)
            elif self.spans and not self.interleaved:
                self._report_run(MalformationKind.SEGMENT_AFTER_DEPTH, position)
            self.segments.append(position)
            self.words_before.append(len(self.text))
        elif token == self.vocabulary.depth_start:
            if self.spans:
                self._report(MalformationKind.SECOND_SPAN, position)
            elif self.interleaved and self.segments:
                self._report(MalformationKind.SPAN_AFTER_SEGMENT, position)
            elif self.text and not self.text_leads:
                self._report(MalformationKind.SPAN_AFTER_TEXT, position)
            self.open_at, self.open_codes = position, []
        elif token == self.vocabulary.depth_end:
            self._report_run(MalformationKind.END_OUTSIDE, position)
        elif token < 0:
            self._report_run(MalformationKind.UNKNOWN, position)
        else:
            if self.text_leads and (self.segments or self.spans):
                self._report_run(MalformationKind.LATE_TEXT, position)
            self.text.append(token)

    @property
    def newest_codes(self) -> Sequence[int]:
        """Codebook entries of the span that is open, or of the last one."""
        return self.open_codes if self.open_at is not None or not self.spans else self.spans[-1].codes

    def finish(self, length: int, *, ended: bool) -> ParsedAnswer:
        """Close what is open and hand back the parts; `ended` tells whether the end of text was reached."""
        if self.open_at is not None:
            if ended:
                self._close(closed=False)
            else:
                self._report_span(MalformationKind.TRUNCATED_SPAN, "was cut off after {count} of {due} codes")
                self._store(closed=False)
        if not ended:
            self._report(MalformationKind.UNFINISHED, length)
        first = self.spans[0].codes if self.spans else ()
        return ParsedAnswer(
            segments=tuple(self.segments),
            words_before=tuple(self.words_before),
            codes=first if len(first) == self.vocabulary.tokens_per_map else None,
            text_ids=tuple(self.text),
            malformed=tuple(sorted(self.malformed, key=lambda item: item.position)),
            spans=tuple(self.spans),
        )

    def _close(self, closed: bool) -> None:
        if not closed:
            self._report_span(MalformationKind.MISSING_END, "has no end marker after {count} of {due} codes")
        elif len(self.open_codes) != self.vocabulary.tokens_per_map:
            self._report_span(MalformationKind.WRONG_COUNT, "has {count} of {due} codes")
        self._store(closed)

    def _store(self, closed: bool) -> None:
        assert self.open_at is not None
        self.spans.append(DepthSpan(self.open_at, tuple(self.open_codes), closed))
        self.open_at = None

    def _report_span(self, kind: MalformationKind, wording: str) -> None:
        assert self.open_at is not None
        wording = wording.format(count=len(self.open_codes), due=self.vocabulary.tokens_per_map)
        self.malformed.append(Malformation(kind, self.open_at, f"depth span {wording} at position {self.open_at}"))

    def _report(self, kind: MalformationKind, position: int) -> None:
        self.malformed.append(Malformation(kind, position, f"{kind} at position {position}"))

    def _report_run(self, kind: MalformationKind, position: int) -> None:
        if self.run != (kind, position - 1):
            self._report(kind, position)
        self.run = (kind, position)


def extract_phrases(text: str) -> tuple[str, tuple[str, ...]]:
    """Split grounded text into what a user reads and the phrases marked in it, in order of mention.

    `"<p>the red cube</p> is left."` -> `("the red cube is left.", ("the red cube",))`. An unpaired mark is dropped
    from the text and marks no phrase.
    """
    phrases = tuple(phrase for marked in _marked(text) if (phrase := _unmark(marked).strip()))
    return _unmark(text), phrases


def label_segments(phrases: Sequence[str], segments: int) -> tuple[str | None, ...]:
    """The phrase of each of `segments` masks: one to one where the numbers agree, a single phrase names them all."""
    if len(phrases) == segments:
        return tuple(phrases)
    if len(phrases) == 1:
        return (phrases[0],) * segments
    return (None,) * segments


def _marked(text: str) -> Iterator[str]:
    """What stands between each start and the end after it; an expression would look for a missing end ever again."""
    start = text.find(PHRASE_START)
    while start >= 0 and (end := text.find(PHRASE_END, start)) >= 0:
        yield text[start + len(PHRASE_START) : end]
        start = text.find(PHRASE_START, end)


def _unmark(text: str) -> str:
    return text.replace(PHRASE_START, "").replace(PHRASE_END, "")
