"""The decoding loop: batched, greedy, cached; it hands out each token and the hidden state at every `[SEG]`.

`generate()` of transformers reports the state that *predicted* a token. A mask needs the state *at* `[SEG]`, known
only once that token has been fed back, so the loop is our own: one call of the language model a token, and few calls
for a whole depth span (`depth_span`). A row that has opened a span waits until every row that may still open one has
done so, and their spans are written together. A row that has ended leaves the batch.

Masks are drawn as the loop goes. A model's pointer (`segmentation/pointing`), if it has one, is asked in two places:
before a token is chosen, and where a `[SEG]` has been written.

Shape legend: B rows, R of them in a call, D hidden size, V vocabulary, N codes in a span, K entries of the codebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from perceptio.decoding.arguments import check_forced_depth
from perceptio.decoding.depth_span import UNKNOWN, Span, SpanWriter
from perceptio.decoding.grammar import AllowedTokens, AnswerGrammar, TokenClass
from perceptio.decoding.options import DecodingOptions, check_context
from perceptio.decoding.reading import Prefill, feed
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.pointer import Draw
from perceptio.tokens import SpatialVocabulary

Dropped = Callable[[int], bool]

_MASKS_AT_ONCE = 16


@dataclass(frozen=True)
class Step:
    """What the rows of a batch have written since the step before."""

    tokens: Mapping[int, tuple[int, ...]]  # row -> its new ids: one, or some of a depth span
    states: dict[int, Tensor] = field(default_factory=dict)  # row -> (D,) state at the [SEG] that it has just written
    masks: dict[int, MaskPrediction] = field(default_factory=dict)  # row -> its one mask, where masks are drawn
    depth_logits: dict[int, Tensor] = field(default_factory=dict)  # row -> (N, K) of a span whose codes are all there


@dataclass(frozen=True)
class Generation:
    """One finished row."""

    ids: tuple[int, ...]  # generated ids, the end of text included where it was reached
    masks: tuple[MaskPrediction, ...] = ()  # one each, where masks are drawn
    depth_logits: Tensor | None = None  # (N, K) float32 of the codes of a constrained span that the model chose


@dataclass
class _Row:
    """An answer that is being written."""

    number: int
    grammar: AnswerGrammar | None
    given: Tensor | None  # (N,) codes to be written in place of the model's own
    cells: Tensor | None  # (N,) positions of the tokens that predict codes, on the CPU
    start: int  # position of its first token
    budget: int  # the most tokens that it may write
    written: int = 0
    place: int = -1  # tokens since <DEPTH_START>, itself 0, in a span that a free row writes
    closed: bool = False
    replaced: int = 0  # given codes that a free row has written

    def position(self, token: int, vocabulary: SpatialVocabulary) -> int:
        """Take note of the next token; its position: in sequence, or its cell inside a span."""
        position = self.start + self.written
        self.written += 1
        self.place += self.place >= 0 or token == vocabulary.depth_start
        self.closed |= token == vocabulary.depth_end
        if self.cells is None or self.closed or not 0 <= self.place < len(self.cells):
            return position
        return int(self.cells[self.place])

    def replace(self, token: int, vocabulary: SpatialVocabulary) -> int:
        """The token, or the next given code where it is a code and some are left."""
        if self.given is None or token not in vocabulary.code_index or self.replaced == len(self.given):
            return token
        self.replaced += 1
        return vocabulary.codes[int(self.given[self.replaced - 1])]


def decode_steps(
    model: PerceptioForConditionalGeneration,
    start: Prefill,
    options: DecodingOptions,
    draw: Draw | None = None,
    dropped: Dropped | None = None,
) -> Iterator[Step]:
    """Continue `start` until every row has ended or its budget is spent.

    A row ends with the end of text. `start` is used up: its cache grows in place.

    Args:
        model: of `start`.
        start: the prompts.
        options: how to decode.
        draw: draws the masks, from the state at each `[SEG]` and what the pointer, if there is one, finds there.
        dropped: says of a row, before each step, whether nobody waits for it any longer; it then ends at once.

    Raises:
        ValueError: if options do not fit the batch or the model (number of switches, token budget, context length).
    """
    return _Decoding(model, start, options, draw, dropped).steps()


def decode(
    model: PerceptioForConditionalGeneration, start: Prefill, options: DecodingOptions, draw: Draw | None = None
) -> list[Generation]:
    """Run `decode_steps` to its end and collect every row.

    Without a pointer no token depends on a mask: then all are drawn at the end, some at a time.
    """
    rows = len(start.hidden)
    ids: list[list[int]] = [[] for _ in range(rows)]
    masks: list[list[MaskPrediction]] = [[] for _ in range(rows)]
    depth: dict[int, Tensor] = {}
    states: list[tuple[int, Tensor]] = []
    later = None if model.pointer is not None else draw
    for step in decode_steps(model, start, options, None if later else draw):
        for row, tokens in step.tokens.items():
            ids[row].extend(tokens)
        for row, mask in step.masks.items():
            masks[row].append(mask)
        states.extend(step.states.items())
        depth |= step.depth_logits
    if later is not None:
        for first in range(0, len(states), _MASKS_AT_ONCE):
            part = states[first : first + _MASKS_AT_ONCE]
            where = torch.tensor([row for row, _ in part], device=model.device)
            with torch.no_grad():
                drawn = later(where, torch.stack([state for _, state in part]), None)
            for (row, _), mask in zip(part, drawn.apart(), strict=True):
                masks[row].append(mask)
    return [Generation(tuple(ids[row]), tuple(masks[row]), depth.get(row)) for row in range(rows)]


class _Decoding:
    """A batch of answers that are being written; arguments as of `decode_steps`."""

    def __init__(
        self,
        model: PerceptioForConditionalGeneration,
        start: Prefill,
        options: DecodingOptions,
        draw: Draw | None,
        dropped: Dropped | None,
    ) -> None:
        vocabulary: SpatialVocabulary = model.config.vocabulary
        rows = len(start.hidden)
        if len(options.seg) != rows or len(options.depth) != rows:
            given = f"{len(options.seg)} seg and {len(options.depth)} depth"
            raise ValueError(f"{rows} prompts need {rows} switches, got {given}")
        for number, length in enumerate(start.lengths):
            check_context(model, length, options, number)
        if options.forced_depth is not None:
            check_forced_depth(options.forced_depth, rows, vocabulary)
        self.model, self.start, self.options, self.draw, self.dropped = model, start, options, draw, dropped
        self.vocabulary, self.cache, self.hidden = vocabulary, start.cache, start.hidden
        self.how = options.depth_decoding_of(model)
        self.device = start.hidden.device
        cells = None if start.pictures.cells is None else start.pictures.cells.cpu()
        self.rows = [
            _Row(
                number,
                self._grammar(number),
                None if options.forced_depth is None else options.forced_depth[number].cpu(),
                None if cells is None else cells[picture],
                start.lengths[number],
                options.budget(vocabulary, number),
            )
            for number, picture in enumerate(start.picture_index)
        ]
        visual = start.pictures.visual[list(start.picture_index)] if model.pointer is not None else None
        self.pointing = None if visual is None else model.start_pointing(visual, start.visual_states)
        self.allowed = AllowedTokens(vocabulary, model.vlm.lm_head.weight.shape[0], self.device)
        self.carried: dict[int, Tensor] = {}  # row -> what its next input carries after a [SEG]
        self.after_seg: set[int] = set()  # rows whose newest token is a [SEG]
        self.waiting: list[_Row] = []  # rows that have opened a span which is not written yet

    @torch.no_grad()
    def steps(self) -> Iterator[Step]:
        running = self.rows
        while True:
            running, self.waiting = self._kept(running), self._kept(self.waiting)
            if not running and not self.waiting:
                return
            if self.waiting and not any(row.grammar is not None and row.grammar.may_open_span for row in running):
                opened = sorted(self.waiting, key=lambda row: row.number)
                yield from self._write_spans(opened)
                running = sorted([*running, *opened], key=lambda row: row.number)
                running = [row for row in running if row.written < row.budget]
                self.waiting = []
            else:
                tokens = self._choose(running)
                step, running = self._advance(running, tokens)
                yield step

    def _kept(self, rows: list[_Row]) -> list[_Row]:
        return rows if self.dropped is None else [row for row in rows if not self.dropped(row.number)]

    def _grammar(self, row: int) -> AnswerGrammar | None:
        options, vocabulary = self.options, self.vocabulary
        if not options.constrained:
            return None
        most = options.text_budget(vocabulary, row)
        return AnswerGrammar(vocabulary, options.seg[row], options.depth[row], options.max_segments, most)

    def _choose(self, rows: Sequence[_Row]) -> list[int]:
        """The next token of each row."""
        vocabulary = self.vocabulary
        forced = {TokenClass.START: vocabulary.depth_start, TokenClass.STOP: vocabulary.end_of_text,
                  TokenClass.SEG: vocabulary.seg}  # fmt: skip
        allowed = [None if row.grammar is None else row.grammar.allowed for row in rows]
        tokens = [-1 if kinds is None else forced.get(kinds, -1) for kinds in allowed]
        free = [place for place, token in enumerate(tokens) if token < 0]
        if free:
            numbers = torch.tensor([rows[place].number for place in free], device=self.device)
            scores_RV = self.model.vlm.lm_head(self.hidden[numbers]).float()
            self._add_continue_logits(scores_RV, [rows[place] for place in free])
            kinds = [kind for place in free if (kind := allowed[place]) is not None]
            if kinds:
                assert len(kinds) == len(free), "the grammar holds for all rows or for none"
                scores_RV = self.allowed.mask(scores_RV, kinds)
            for place, token in zip(free, scores_RV.argmax(-1).tolist(), strict=True):
                tokens[place] = token
        if self.options.constrained:
            return tokens
        return [row.replace(token, vocabulary) for row, token in zip(rows, tokens, strict=True)]

    def _add_continue_logits(self, scores_RV: Tensor, rows: Sequence[_Row]) -> None:
        places = [place for place, row in enumerate(rows) if row.number in self.after_seg]
        if self.pointing is None or not places:
            return
        here = torch.tensor([rows[place].number for place in places], device=self.device)
        scores_RV[places, self.vocabulary.seg] += self.pointing.continue_logits(here, self.hidden[here])

    def _advance(self, rows: Sequence[_Row], tokens: Sequence[int]) -> tuple[Step, list[_Row]]:
        """Write a token in each row and feed it; gives the step and the rows that go on."""
        vocabulary = self.vocabulary
        fed: dict[int, tuple[_Row, int, int]] = {}  # by number: the row, its token and the token's position
        going_on = []
        for row, token in zip(rows, tokens, strict=True):
            if row.grammar is not None:
                row.grammar.push(token)
                if token == vocabulary.depth_start:
                    self.waiting.append(row)
                    continue
            position = row.position(token, vocabulary)
            spent = row.written == row.budget
            if token == vocabulary.end_of_text or (spent and token != vocabulary.seg):
                continue
            fed[row.number] = (row, token, position)  # the last [SEG] is fed too: its state is needed
            if not spent:
                going_on.append(row)
        if fed:
            self._feed(fed)
        segments = [number for number, (_, token, _) in fed.items() if token == vocabulary.seg]
        self.after_seg = set(segments)
        written = {row.number: (token,) for row, token in zip(rows, tokens, strict=True)}
        states = {number: self.hidden[number].clone() for number in segments}
        return Step(written, states, self._segment(segments)), going_on

    def _feed(self, fed: dict[int, tuple[_Row, int, int]]) -> None:
        order = self.cache.in_front(list(fed))
        ids = torch.tensor([fed[number][1] for number in order], device=self.device)
        positions_R1 = torch.tensor([[fed[number][2]] for number in order], device=self.device)
        embeddings_RD = self.model.get_input_embeddings()(ids)
        for place, number in enumerate(order):
            if number in self.carried:
                embeddings_RD[place] += self.carried.pop(number)
        states_R1D = feed(self.model, self.cache, order, embeddings_RD[:, None], positions_R1)
        for number in order:
            self.cache.lengths[number] += 1
        self.hidden[order] = states_R1D[:, 0]

    def _segment(self, numbers: Sequence[int]) -> dict[int, MaskPrediction]:
        """Point and draw, in rows that have just written a `[SEG]`."""
        if not numbers:
            return {}
        here = torch.tensor(numbers, device=self.device)
        if self.pointing is None:
            drawn = None if self.draw is None else self.draw(here, self.hidden[here], None)
        else:
            drawn, carried = self.pointing.segment(here, self.hidden[here], self.draw)
            self.carried |= dict(zip(numbers, carried, strict=True))
        return {} if drawn is None else dict(zip(numbers, drawn.apart(), strict=True))

    def _write_spans(self, rows: Sequence[_Row]) -> Iterator[Step]:
        """Write the spans that rows have opened; each code is given out once, when it is final."""
        vocabulary = self.vocabulary
        spans = [self._span(row) for row in rows]
        told = [0] * len(spans)
        for _ in SpanWriter(self.model, self.cache, self.how).write(spans):
            tokens: dict[int, tuple[int, ...]] = {}
            logits: dict[int, Tensor] = {}
            for place, span in enumerate(spans):
                whole = [*(vocabulary.codes[code] for code in span.codes[: span.known].tolist()), vocabulary.depth_end]
                final = span.known + span.done
                if final > told[place]:
                    tokens[span.row] = tuple(whole[told[place] : final])
                    told[place] = final
                    if span.done and span.logits is not None:
                        logits[span.row] = span.logits
            yield Step(tokens, depth_logits=logits)
            if not self._kept(list(rows)):
                return  # nobody waits for these spans
        for row, span in zip(rows, spans, strict=True):
            assert row.grammar is not None
            for code in span.codes.tolist():
                row.grammar.push(vocabulary.codes[code])
            row.grammar.push(vocabulary.depth_end)
            row.written += len(span.codes) + 2
            row.closed = True
            self.hidden[row.number] = span.hidden

    def _span(self, row: _Row) -> Span:
        count, guess = self.vocabulary.tokens_per_map, self.options.depth_guess
        codes = torch.full((count,), UNKNOWN) if guess is None else guess[row.number].cpu().clone()
        return Span(
            row.number,
            self.start.picture_index[row.number],
            codes if row.given is None else row.given,
            row.start + row.written,
            row.cells,
            self.carried.pop(row.number, None),
            given=row.given is not None,
        )
