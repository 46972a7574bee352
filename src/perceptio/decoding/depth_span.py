"""Depth spans in few calls of the language model.

Greedy decoding writes a span one code after the other. Here the codes are guessed, and one call predicts all of them
again from the guess (Jacobi iteration; Song et al., 2002.03629; for language models Santilli et al., 2305.10427). Up
to the first wrong guess a call has read what greedy decoding would have read: its keys are kept, the code in place of
the wrong guess is known, and the next call begins with it. So the result is that of greedy decoding, whatever the
guess. Only a tie within the rounding of floating-point numbers may fall otherwise: a call of many tokens adds up in
another order than calls of one.

- *exact*: until every code is right.
- *sequential*: the same with one token a call: plain greedy decoding, the reference.
- *quick*: after `QUICK_CALLS` calls what is there is taken.
- *parallel*: one call in which N learnt query tokens see the picture, the question and each other (as AiT's parallel
  model does, 2301.02229) gives all codes, and a second one reads them. The span is then no longer p(c_i | c_<i).

Legend: R rows, N codes in a span, K entries of the codebook, D width of the language model, q new tokens a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from perceptio.decoding.cache import RowCache
from perceptio.decoding.reading import feed
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.parallel_depth import query_positions
from perceptio.tokens import DepthDecoding

QUICK_CALLS = 6
UNKNOWN = -1  # a code that was not even guessed


@dataclass(frozen=True)
class Windows:
    """How many tokens of a span one call may read.

    A call costs the reading of all weights, and arithmetic for each token. Up to some tokens it takes no longer than
    for one; beyond, guesses far behind the first wrong one cost more than they save.
    """

    longest: int  # of a row
    shortest: int
    together: int  # of all rows

    def of(self, rows: int) -> int:
        """Tokens of each of some rows."""
        return min(self.longest, max(self.together // rows, self.shortest))


WIDE = Windows(longest=10_000, shortest=16, together=2048)  # for a GPU
WINDOWS = {"cpu": Windows(longest=48, shortest=16, together=96)}  # benchmarks/decoding.py --windows


@dataclass
class Span:
    """A depth span of one row."""

    row: int
    picture: int  # spans of one picture are much alike
    codes: Tensor  # (N,) int64 on the CPU: guesses that become codes; UNKNOWN where there is none
    position: int  # of <DEPTH_START> in the sequence
    cells: Tensor | None  # (N,) int64 on the CPU: positions of the tokens that predict codes, unless in sequence
    carried: Tensor | None = None  # (D,) added to the embedding of <DEPTH_START>
    given: bool = False  # the codes are not for the model to choose
    kept: int = 0  # tokens of <DEPTH_START>, N codes and <DEPTH_END> whose keys are final
    logits: Tensor | None = None  # (N, K) float32 of the codes; None where they were given
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))  # (D,) state at <DEPTH_END>

    @property
    def known(self) -> int:
        """Codes that are final: the tokens read so far, <DEPTH_START> among them, have given as many."""
        return min(self.kept, len(self.codes))

    @property
    def done(self) -> bool:
        """Whether all of it has been read."""
        return self.kept == len(self.codes) + 2


class SpanWriter:
    """Finds the codes of depth spans and reads them into a cache.

    Args:
        model: whose spans they are.
        cache: of the rows, which are about to read <DEPTH_START>.
        how: codes are found.
    """

    def __init__(self, model: PerceptioForConditionalGeneration, cache: RowCache, how: DepthDecoding) -> None:
        self.model, self.cache, self.how = model, cache, how
        vocabulary = model.config.vocabulary
        self.length = vocabulary.tokens_per_map + 2  # with both markers
        self.device = model.device
        codes = torch.tensor(vocabulary.codes, device=self.device)
        markers = torch.tensor([vocabulary.depth_start, vocabulary.depth_end], device=self.device)
        embed = model.get_input_embeddings()
        code_KD = embed(codes)
        # what a span's tokens look like: markers, codes, and their mean for UNKNOWN, which indexes the last
        self.inputs = torch.cat([code_KD, embed(markers), code_KD.mean(0, keepdim=True)])
        self.start, self.end = len(codes), len(codes) + 1
        self.head_KD = model.vlm.lm_head.weight[codes]

    def write(self, spans: Sequence[Span]) -> Iterator[None]:
        """Write spans; gives back control after each call of the language model.

        One span of each picture goes first where several have no guess: it is a good one for the others.
        """
        given = [span for span in spans if span.given]
        if given:
            yield from self._read(given)
        own = [span for span in spans if not span.given]
        if self.how == "parallel":
            if own:
                self._ask_all(own)
                yield
                yield from self._read(own)
            return
        first: dict[int, Span] = {}
        for span in own:
            first.setdefault(span.picture, span)
        leaders = [span for span in first.values() if bool((span.codes == UNKNOWN).all())]
        if self.how == "sequential" or len(first) == len(own):
            leaders = own
        yield from self._iterate(leaders)
        followers = [span for span in own if span.kept == 0]
        for span in followers:
            if bool((span.codes == UNKNOWN).all()):
                span.codes = first[span.picture].codes.clone()
        yield from self._iterate(followers)

    def _iterate(self, spans: Sequence[Span]) -> Iterator[None]:
        calls = 0
        waiting = {span.row: span for span in spans}
        while waiting:
            calls += 1
            if self.how == "quick" and calls == QUICK_CALLS:
                yield from self._read(list(waiting.values()), give_logits=True)
                return
            rows = self.cache.in_front(list(waiting))
            here = [waiting[row] for row in rows]
            window = min(self._window(len(here)), self.length - min(span.kept for span in here))
            states_RqD = self._feed(here, window)
            logits_RqK = F.linear(states_RqD, self.head_KD).float()
            predicted_Rq = logits_RqK.argmax(-1).cpu()
            for span, states_qD, logits_qK, predicted_q in zip(here, states_RqD, logits_RqK, predicted_Rq, strict=True):
                self._accept(span, states_qD, logits_qK, predicted_q)
                if span.done:
                    del waiting[span.row]
            yield

    def _accept(self, span: Span, states_qD: Tensor, logits_qK: Tensor, predicted_q: Tensor) -> None:
        """Keep what a call has read right, and take what it predicts as the next guess.

        Token k of a span (0 is <DEPTH_START>) predicts code k, which is token k + 1.
        """
        codes, first = len(span.codes), span.kept
        last = max(min(first + len(predicted_q), codes), first)  # of the codes that are predicted
        count = last - first
        wrong = (span.codes[first:last] != predicted_q[:count]).nonzero()
        # <DEPTH_END> after the last code is always right
        read = int(wrong[0]) + 1 if len(wrong) else len(predicted_q)
        if span.logits is None:
            span.logits = logits_qK.new_zeros(codes, logits_qK.shape[1])
        span.logits[first:last] = logits_qK[:count]
        span.codes[first:last] = predicted_q[:count]
        read = min(read, self.length - first)
        self._keep(span, read, states_qD)

    def _read(self, spans: Sequence[Span], *, give_logits: bool = False) -> Iterator[None]:
        """Read the rest of spans whose codes are all there."""
        rows = self.cache.in_front([span.row for span in spans])
        by_row = {span.row: span for span in spans}
        here = [by_row[row] for row in rows]
        count = self.length - min(span.kept for span in here)
        states_RqD = self._feed(here, count)
        for span, states_qD in zip(here, states_RqD, strict=True):
            if give_logits:
                assert span.logits is not None
                left = len(span.codes) - span.kept
                span.logits[span.kept :] = F.linear(states_qD[: max(left, 0)], self.head_KD).float()
            self._keep(span, self.length - span.kept, states_qD)
        yield

    def _keep(self, span: Span, read: int, states_qD: Tensor) -> None:
        """Make the first `read` of the tokens that a call has read final."""
        span.kept += read
        self.cache.lengths[span.row] += read
        if span.done:
            span.hidden = states_qD[read - 1]

    def _ask_all(self, spans: Sequence[Span]) -> None:
        """Predict all codes with query tokens, whose keys are then forgotten."""
        assert self.model.depth_query is not None
        by_row = {span.row: span for span in spans}
        here = [by_row[row] for row in self.cache.in_front(list(by_row))]
        codes = len(here[0].codes)
        starts_R1D = self._embed(here, 1)
        queries_RND = self.model.depth_query.expand(len(here), codes, -1).to(starts_R1D.dtype)
        starts_R = torch.tensor([span.position for span in here])
        cells = [span.cells for span in here if span.cells is not None]
        places_RN = query_positions(starts_R, torch.stack(cells) if cells else None, codes)
        positions_Rq = torch.cat([self._positions(here, 1), places_RN], dim=1).to(self.device)
        spread = [0, *[codes] * codes]  # <DEPTH_START> sees what is before it, the queries see each other too
        rows = [span.row for span in here]
        inputs_RqD = torch.cat([starts_R1D, queries_RND], dim=1)
        states_RqD = feed(self.model, self.cache, rows, inputs_RqD, positions_Rq, spread)
        logits_RNK = F.linear(states_RqD[:, 1:], self.head_KD).float()
        for span, states_qD, logits_NK in zip(here, states_RqD, logits_RNK, strict=True):
            span.logits, span.codes = logits_NK, logits_NK.argmax(-1).cpu()
            self._keep(span, 1, states_qD)

    def _feed(self, spans: Sequence[Span], count: int) -> Tensor:
        """States (R, q, D) at the next tokens of spans, guessed ones too; those at tokens past the end mean nothing."""
        rows, positions_Rq = [span.row for span in spans], self._positions(spans, count).to(self.device)
        return feed(self.model, self.cache, rows, self._embed(spans, count), positions_Rq)

    def _embed(self, spans: Sequence[Span], count: int) -> Tensor:
        """Embeddings (R, q, D) of the next tokens of spans."""
        tokens = []
        for span in spans:
            whole = F.pad(F.pad(span.codes, (1, 0), value=self.start), (0, count), value=self.end)
            tokens.append(whole[span.kept : span.kept + count])
        embeddings = self.inputs[torch.stack(tokens).to(self.device)]
        for place, span in enumerate(spans):
            if span.kept == 0 and span.carried is not None:
                embeddings[place, 0] += span.carried
        return embeddings

    def _positions(self, spans: Sequence[Span], count: int) -> Tensor:
        """Positions (R, q), on the CPU, of the next tokens of spans: the N that predict codes may stand at cells."""
        positions = []
        for span in spans:
            places = torch.arange(span.position, span.position + self.length + count)
            if span.cells is not None:
                places[: len(span.cells)] = span.cells
            positions.append(places[span.kept : span.kept + count])
        return torch.stack(positions)

    def _window(self, rows: int) -> int:
        """Tokens of a row in a call."""
        if self.how == "sequential":
            return 1
        if self.how == "quick":
            return self.length
        return min(self.length, WINDOWS.get(self.device.type, WIDE).of(rows))
