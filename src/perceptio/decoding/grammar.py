"""Well-formed by construction: a logits processor that admits only continuations of the answer grammar.

    [SEG]*  ( <DEPTH_START> N codes <DEPTH_END> )?  text  <end of text>

or, where the vocabulary puts the answer first, with the text in front; or, where it is interleaved,

    ( <DEPTH_START> N codes <DEPTH_END> )?  ( text | [SEG] )*  <end of text>

The state of every row is derived from its ids
in each call, so reordered beams, rolled-back drafts and cached decoding need no bookkeeping. All rows are handled in a
handful of tensor operations, whatever state they are in.

Shape legend: B rows, T ids of prompt and answer, G generated ids, V vocabulary, K token classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from perceptio.tokens import SpatialVocabulary, Switch

TEXT, SEG, START, CODE, END, STOP = range(6)  # token classes; STOP is the end of text
CLASSES = 6


class SpatialGrammar(LogitsProcessor):
    """Sets the score of every token that would break the grammar to -inf.

    Whether a part may appear is set by row: `Switch.OFF` never, `Switch.AUTO` where the model wants it, `Switch.ON`
    always (at least one `[SEG]`; one depth span). Rows that have reached the end of text are left alone. With beams or
    several samples a prompt, modes are given by prompt and repeated to the number of rows.

    A depth span takes N + 2 steps: the caller leaves room for them in the token budget.
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
            prompt_length: ids of `input_ids` that belong to the (left-padded) prompt, the same in every row.
            seg: mode of the segmentation tokens of each prompt.
            depth: mode of the depth span of each prompt.
            max_segments: the most `[SEG]` tokens in an answer.
            max_text: the most tokens of text, where what is due after them needs room; None: any number.

        Raises:
            ValueError: if the arguments contradict one another.
        """
        if len(seg) != len(depth) or not seg:
            raise ValueError(f"one mode a row is needed for both parts, got {len(seg)} for seg, {len(depth)} for depth")
        if prompt_length < 0:
            raise ValueError(f"prompt_length must not be negative, got {prompt_length}")
        if max_segments < 1:
            raise ValueError(f"max_segments must be at least 1, got {max_segments}; use Switch.OFF for none")
        self.vocabulary = vocabulary
        self.prompt_length = prompt_length
        self.max_segments = max_segments
        self.max_text = max_text
        self._modes = torch.tensor(
            [[Switch(s) != Switch.OFF, Switch(s) == Switch.ON, Switch(d) != Switch.OFF, Switch(d) == Switch.ON]
             for s, d in zip(seg, depth, strict=True)]
        )  # fmt: skip
        self._classes = torch.empty(0, dtype=torch.long)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask `scores` (B, V) float given `input_ids` (B, T) int64; returns a new tensor of the same shape."""
        classes = self._token_classes(scores.shape[-1], scores.device)
        allowed = self.allowed(input_ids[:, self.prompt_length :], classes)
        return scores.masked_fill(~allowed[:, classes], float("-inf"))

    def allowed(self, generated: Tensor, classes: Tensor) -> Tensor:
        """Which classes of token may come next: (B, K) bool, for `generated` (B, G) int64 ids without the prompt.

        `classes` (V,) int64 is the class of every id.
        """
        may_seg, must_seg, may_depth, must_depth = self._row_modes(generated).unbind(1)
        kinds = classes[generated]

        segments = (kinds == SEG).sum(1)
        opened = kinds == START
        span = opened.any(1)
        closed = (kinds == END).any(1)
        words = (kinds == TEXT).sum(1)
        stopped = (kinds == STOP).any(1)
        inside = span & ~closed
        codes = (opened.cumsum(1) > 0).sum(1) - 1  # ids since the start marker, where there is one
        full = codes >= self.vocabulary.tokens_per_map

        order = self.vocabulary.order
        more_seg = may_seg & (segments < self.max_segments)
        owes_seg = must_seg & (segments == 0)
        owes_depth = must_depth & ~span
        if order == "spans_first":
            fresh = ~span & (words == 0)  # [SEG] and a span may still come
            seg, start = fresh & more_seg, fresh & ~owes_seg
            stop = ~inside & ~(fresh & (owes_seg | owes_depth))
            text = stop
        elif order == "answer_first":
            seg, start = ~span & more_seg, ~span & ~owes_seg
            stop = ~inside & ~(~span & (owes_seg | owes_depth))
            text = ~span & (segments == 0)
        else:
            text = ~inside & ~(owes_depth & (words + segments == 0))
            seg, start = text & more_seg, ~span & (words + segments == 0)
            stop = text & ~owes_seg
        allowed = torch.zeros(generated.shape[0], CLASSES, dtype=torch.bool, device=generated.device)
        allowed[:, SEG] = seg
        allowed[:, START] = start & may_depth
        allowed[:, CODE] = inside & ~full
        allowed[:, END] = inside & full
        allowed[:, TEXT] = text if self.max_text is None else text & (words < self.max_text)
        allowed[:, STOP] = stop
        return allowed | stopped[:, None]

    def _row_modes(self, generated: Tensor) -> Tensor:
        prompts, rows = len(self._modes), generated.shape[0]
        if rows % prompts:
            raise ValueError(f"modes were given for {prompts} prompts, which does not divide {rows} rows")
        return self._modes.to(generated.device).repeat_interleave(rows // prompts, dim=0)

    def _token_classes(self, size: int, device: torch.device) -> Tensor:
        """Class of every id (V,) int64, built once per vocabulary size and device."""
        if self._classes.shape[0] != size or self._classes.device != device:
            vocabulary = self.vocabulary
            largest = max(*vocabulary.spatial, vocabulary.end_of_text)
            if largest >= size:
                raise ValueError(f"spatial token id {largest} lies beyond the model's {size} scores")
            classes = torch.full((size,), TEXT, dtype=torch.long)
            classes[vocabulary.seg] = SEG
            classes[vocabulary.depth_start] = START
            classes[list(vocabulary.codes)] = CODE
            classes[vocabulary.depth_end] = END
            classes[vocabulary.end_of_text] = STOP
            self._classes = classes.to(device)
        return self._classes
