"""Well-formed by construction: which tokens may come next in an answer.

    [SEG]*  ( <DEPTH_START> N codes <DEPTH_END> )?  text  <end of text>

or, where the vocabulary puts the answer first, with the text in front; or, where it is interleaved,

    ( <DEPTH_START> N codes <DEPTH_END> )?  ( text | [SEG] )*  <end of text>

`AnswerGrammar` follows one answer token by token; the engine keeps one for each row. `SpatialGrammar` makes of it a
logits processor for `generate` of transformers.

Shape legend: B rows, T ids of prompt and answer, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag, auto

import torch
from torch import Tensor
from transformers import LogitsProcessor

from perceptio.tokens import SpatialVocabulary, Switch


class TokenClass(IntFlag):
    """The classes of token that the grammar tells apart."""

    TEXT = auto()
    SEG = auto()
    START = auto()
    CODE = auto()
    END = auto()
    STOP = auto()  # the end of text


_ANY = TokenClass(sum(TokenClass))


class AnswerGrammar:
    """What may come next in one answer.

    Whether a part may appear is set by its switch: `Switch.OFF` never, `Switch.AUTO` where the model wants it,
    `Switch.ON` always (at least one `[SEG]`; one depth span). After the end of text anything may come.

    A depth span takes N + 2 tokens: the caller leaves room for them in the token budget.
    """

    def __init__(
        self,
        vocabulary: SpatialVocabulary,
        seg: Switch,
        depth: Switch,
        max_segments: int = 16,
        max_text: int | None = None,
    ) -> None:
        """
        Args:
            vocabulary: says which token is what, and the order of an answer's parts.
            seg: of the segmentation tokens.
            depth: of the depth span.
            max_segments: the most `[SEG]` tokens in an answer.
            max_text: the most tokens of text, where what is due after them needs room; None: any number.

        Raises:
            ValueError: if there may be no `[SEG]` at all by their number.
        """
        if max_segments < 1:
            raise ValueError(f"max_segments must be at least 1, got {max_segments}; use Switch.OFF for none")
        self.vocabulary = vocabulary
        self.seg, self.depth = Switch(seg), Switch(depth)
        self.max_segments, self.max_text = max_segments, max_text
        self._segments = self._words = self._codes = 0
        self._opened = self._closed = self._stopped = False

    def push(self, token: int) -> None:
        """Take note of the next token of the answer."""
        vocabulary = self.vocabulary
        if token == vocabulary.end_of_text:
            self._stopped = True
        elif token == vocabulary.seg:
            self._segments += 1
        elif token == vocabulary.depth_start:
            self._opened = True
        elif token == vocabulary.depth_end:
            self._closed = True
        elif token in vocabulary.code_index:
            self._codes += 1
        else:
            self._words += 1

    @property
    def may_open_span(self) -> bool:
        """Whether a depth span may still begin, now or later."""
        if self.depth is Switch.OFF or self._opened or self._stopped:
            return False
        if self.vocabulary.order == "answer_first":
            return True
        return self._words == 0 and (self.vocabulary.order == "spans_first" or self._segments == 0)

    @property
    def allowed(self) -> TokenClass:
        """The classes of which the next token may be."""
        if self._stopped:
            return _ANY
        if self._opened and not self._closed:
            return TokenClass.CODE if self._codes < self.vocabulary.tokens_per_map else TokenClass.END
        more_seg = self.seg is not Switch.OFF and self._segments < self.max_segments
        owes_seg = self.seg is Switch.ON and self._segments == 0
        owes_depth = self.depth is Switch.ON and not self._opened
        order = self.vocabulary.order
        if order == "spans_first":
            fresh = not self._opened and self._words == 0  # [SEG] and a span may still come
            seg, start = fresh and more_seg, not owes_seg
            stop = text = not (fresh and (owes_seg or owes_depth))
        elif order == "answer_first":
            seg, start = not self._opened and more_seg, not owes_seg
            stop = self._opened or not (owes_seg or owes_depth)
            text = not self._opened and self._segments == 0
        else:
            text = not (owes_depth and self._words + self._segments == 0)
            seg, start, stop = text and more_seg, True, text and not owes_seg
        if self.max_text is not None:
            text = text and self._words < self.max_text
        found = TokenClass(0)
        for here, kind in (
            (text, TokenClass.TEXT),
            (seg, TokenClass.SEG),
            (start and self.may_open_span, TokenClass.START),
            (stop, TokenClass.STOP),
        ):
            if here:
                found |= kind
        return found


class AllowedTokens:
    """Which ids belong to a set of classes, for scores of one size on one device.

    Raises:
        ValueError: if a token of the vocabulary has no score.
    """

    def __init__(self, vocabulary: SpatialVocabulary, size: int, device: torch.device) -> None:
        largest = max(*vocabulary.spatial, vocabulary.end_of_text)
        if largest >= size:
            raise ValueError(f"spatial token id {largest} lies beyond the model's {size} scores")
        classes = torch.full((size,), int(TokenClass.TEXT))
        classes[vocabulary.seg] = TokenClass.SEG
        classes[vocabulary.depth_start] = TokenClass.START
        classes[list(vocabulary.codes)] = int(TokenClass.CODE)
        classes[vocabulary.depth_end] = TokenClass.END
        classes[vocabulary.end_of_text] = TokenClass.STOP
        self.classes = classes.to(device)

    def mask(self, scores: Tensor, allowed: Sequence[TokenClass]) -> Tensor:
        """The scores (B, V), -inf where a row's classes do not allow the token; a new tensor."""
        sets = torch.tensor([int(row) for row in allowed], device=scores.device)
        return scores.masked_fill((self.classes & sets[:, None]) == 0, float("-inf"))


class SpatialGrammar(LogitsProcessor):
    """Sets the score of every token that would break the grammar to -inf.

    The state of every row is derived from its ids in each call, so reordered beams, rolled-back drafts and cached
    decoding need no bookkeeping. With beams or several samples a prompt, modes are given by prompt and repeated to the
    number of rows.
    """

    def __init__(
        self,
        vocabulary: SpatialVocabulary,
        prompt_length: int,
        seg: Sequence[Switch],
        depth: Sequence[Switch],
        max_segments: int = 16,
        max_text: int | None = None,
    ) -> None:
        """
        Args:
            vocabulary: as of `AnswerGrammar`.
            prompt_length: ids of `input_ids` that belong to the (left-padded) prompt, the same in every row.
            seg: mode of the segmentation tokens of each prompt.
            depth: mode of the depth span of each prompt.
            max_segments: as of `AnswerGrammar`.
            max_text: likewise.

        Raises:
            ValueError: if the arguments contradict one another.
        """
        if len(seg) != len(depth) or not seg:
            raise ValueError(f"one mode a row is needed for both parts, got {len(seg)} for seg, {len(depth)} for depth")
        if prompt_length < 0:
            raise ValueError(f"prompt_length must not be negative, got {prompt_length}")
        self.vocabulary = vocabulary
        self.prompt_length = prompt_length
        self._rules = [(Switch(s), Switch(d), max_segments, max_text) for s, d in zip(seg, depth, strict=True)]
        for rules in self._rules:
            AnswerGrammar(vocabulary, *rules)  # complains now, not at the first call
        self._tokens: AllowedTokens | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask `scores` (B, V) float given `input_ids` (B, T) int64; returns a new tensor of the same shape."""
        prompts, rows = len(self._rules), input_ids.shape[0]
        if rows % prompts:
            raise ValueError(f"modes were given for {prompts} prompts, which does not divide {rows} rows")
        if self._tokens is None or self._tokens.classes.shape[0] != scores.shape[-1]:
            self._tokens = AllowedTokens(self.vocabulary, scores.shape[-1], scores.device)
        allowed = []
        for row, ids in enumerate(input_ids[:, self.prompt_length :].tolist()):
            answer = AnswerGrammar(self.vocabulary, *self._rules[row // (rows // prompts)])
            for token in ids:
                answer.push(token)
            allowed.append(answer.allowed)
        return self._tokens.mask(scores, allowed)
