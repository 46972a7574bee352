"""The decoding loop: batched, greedy, cached; it hands out each token and the hidden state at every `[SEG]`.

`generate()` of transformers reports the state that *predicted* a token. A mask needs the state *at* `[SEG]`, known
only once that token has been fed back, so the loop is our own: a prefill, then one forward pass a token, with the
language-model head on the last position alone. The image is encoded in the prefill only, and once per distinct image.

Masks are drawn as the loop goes. A model's pointer (`segmentation/pointing`), if it has one, is asked in two places:
before a token is chosen, and where a `[SEG]` has been written.

Shape legend: B rows, I distinct images, P prompt length (left-padded), D hidden size, V vocabulary, N codes in a span,
W visual tokens of the whole picture, M rows that have just written a `[SEG]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import DynamicCache

from perceptio.decoding.arguments import check_flag, check_forced_depth, check_whole
from perceptio.decoding.grammar import SpatialGrammar
from perceptio.model.positions import positions_of_cells
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.pointer import Draw
from perceptio.tokens import SpatialVocabulary, Switch

if TYPE_CHECKING:
    from perceptio.model.modeling import PerceptioForConditionalGeneration

TEXT_BUDGET = 192  # tokens of plain text that the default token budget leaves room for
MAX_SEGMENTS = 16


@dataclass(frozen=True)
class DecodingOptions:
    """How a batch is decoded."""

    seg: tuple[Switch, ...]  # of the segmentation tokens, by row
    depth: tuple[Switch, ...]  # of the depth span, by row
    constrained: bool = True  # follow the grammar; False lets the model run free
    max_segments: int = MAX_SEGMENTS  # the most [SEG] tokens in a constrained answer
    max_new_tokens: int | None = None  # None: room for a whole depth span, every segment and TEXT_BUDGET tokens
    forced_depth: Tensor | None = None  # (B, N) int64 codebook entries written in place of the model's own codes

    def __post_init__(self) -> None:
        check_flag("constrained", self.constrained)
        check_whole("max_segments", self.max_segments)
        if self.max_new_tokens is not None:
            check_whole("max_new_tokens", self.max_new_tokens, least=None)  # `budget` knows the least

    def spatial_budget(self, vocabulary: SpatialVocabulary) -> tuple[int, int]:
        """The most tokens of a depth span and of segments that the switches allow in one row."""
        span = 0 if all(switch == Switch.OFF for switch in self.depth) else vocabulary.tokens_per_map + 2
        return span, 0 if all(switch == Switch.OFF for switch in self.seg) else self.max_segments

    def text_budget(self, vocabulary: SpatialVocabulary) -> int | None:
        """The most tokens of text; None where nothing is due after it, and it may use up what is left."""
        if vocabulary.order == "spans_first":
            return None
        span, segments = self.spatial_budget(vocabulary)
        if vocabulary.order == "interleaved":  # one [SEG] may be due, wherever it stands
            if Switch.ON not in self.seg:
                return None
            segments = 1
        return self.budget(vocabulary) - span - segments - 1

    def budget(self, vocabulary: SpatialVocabulary) -> int:
        """The most tokens that one row may generate.

        Raises:
            ValueError: if a given budget cannot hold what the switches allow.
        """
        span, segments = self.spatial_budget(vocabulary)
        if self.max_new_tokens is None:
            return vocabulary.tokens_per_map + 2 + self.max_segments + TEXT_BUDGET
        least = span + segments + 1 if self.constrained else 1
        if self.max_new_tokens < least:
            raise ValueError(
                f"max_new_tokens={self.max_new_tokens} is too small: {span} tokens for a depth span, {segments} for "
                f"segments and at least 1 of text need {least}; raise it, or switch depth or seg off"
            )
        return self.max_new_tokens


@dataclass
class Prefill:
    """A batch whose prompts have been read."""

    hidden: Tensor  # (B, D) state at the last prompt token
    logits: Tensor  # (B, V) of the first token of the answers
    visual: Tensor  # (B, W, D) embeddings of the visual tokens of the whole picture
    visual_states: Tensor  # (B, W, D) states at them
    cache: DynamicCache  # keys and values of the P prompt positions
    mask: Tensor  # (B, P) int64, 0 at left padding
    cells: Tensor | None  # (B, N) int64 positions of the tokens that predict codes; None: they follow the sequence


@dataclass(frozen=True)
class Step:
    """What one decoding step produced."""

    tokens: tuple[int | None, ...]  # new id by row; None in rows that had ended before
    masks: dict[int, MaskPrediction]  # row -> its one mask, where masks are drawn


@dataclass(frozen=True)
class Generation:
    """One finished row."""

    ids: tuple[int, ...]  # generated ids, the end of text included where it was reached
    masks: tuple[MaskPrediction, ...] = ()  # one each, where masks are drawn


@torch.no_grad()
def prefill(
    model: PerceptioForConditionalGeneration,
    input_ids: Tensor,
    attention_mask: Tensor,
    pixel_values: Tensor,
    image_index: Sequence[int] | None = None,
) -> Prefill:
    """Read the prompts.

    Args:
        input_ids: (B, P) int64, left-padded; each row holds the image placeholders of one image.
        attention_mask: (B, P), 0 at padding.
        pixel_values: (tiles, 3, S, S) of I distinct images in order; how many tiles an image has, the placeholders of
            its rows say.
        image_index: the image of each row, each image in some row; None where row b shows image b.

    Raises:
        ValueError: if tiles and placeholders do not fit.
    """
    vlm = model.vlm
    features = model.visual_tokens(pixel_values)
    embeddings = model.embed(input_ids, _features_of_rows(model, input_ids, features, image_index))
    mask = attention_mask.long()
    cache = DynamicCache(config=vlm.config.get_text_config())
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    output = model(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cells = None
    if model.config.depth_positions == "image":
        cells = positions_of_cells(
            input_ids,
            positions,
            vlm.config.image_token_id,
            model.config.depth.tokens_per_map,
            vlm.config.image_seq_length,
        )
    states = output.last_hidden_state
    visual, visual_states = (model.whole_picture(values, input_ids) for values in (embeddings, states))
    return Prefill(states[:, -1], output.logits[:, -1], visual, visual_states, cache, mask, cells)


def _features_of_rows(
    model: PerceptioForConditionalGeneration, input_ids: Tensor, features: Tensor, image_index: Sequence[int] | None
) -> Tensor:
    """Visual tokens (tiles of all rows, W, D) from those of the distinct images."""
    if image_index is None:
        return features
    placeholders = (input_ids == model.config.vlm.image_token_id).sum(1).tolist()
    tiles = {image: count // features.shape[1] for image, count in zip(image_index, placeholders, strict=True)}
    if sum(tiles.values()) != len(features):
        raise ValueError(f"{len(features)} tiles do not fit prompts whose images have {sum(tiles.values())}")
    parts = dict(zip(sorted(tiles), features.split([tiles[image] for image in sorted(tiles)]), strict=True))
    return torch.cat([parts[image] for image in image_index])


@torch.no_grad()
def decode_steps(
    model: PerceptioForConditionalGeneration, start: Prefill, options: DecodingOptions, draw: Draw | None = None
) -> Iterator[Step]:
    """Continue `start` token by token until every row has ended or the budget is spent.

    A row ends with the end of text. `start` is used up: its cache grows in place.

    Args:
        model: of `start`.
        start: the prompts.
        options: how to decode.
        draw: draws the masks, from the state at each `[SEG]` and what the pointer, if there is one, finds there.

    Raises:
        ValueError: if options do not fit the batch or the model (number of switches, token budget, context length).
    """
    vocabulary: SpatialVocabulary = model.config.vocabulary
    rows, prompt = start.mask.shape
    if len(options.seg) != rows or len(options.depth) != rows:
        given = f"{len(options.seg)} seg and {len(options.depth)} depth"
        raise ValueError(f"{rows} prompts need {rows} switches, got {given}")
    budget = options.budget(vocabulary)
    check_context(model, prompt, options)
    device = start.mask.device
    grammar = None
    if options.constrained:
        most = options.text_budget(vocabulary)
        grammar = SpatialGrammar(vocabulary, 0, options.seg, options.depth, options.max_segments, most)
    replacement = _Replacement(vocabulary, options.forced_depth, rows, device)
    pointing = model.start_pointing(start.visual, start.visual_states)
    hidden, logits, mask = start.hidden, start.logits, start.mask
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    positions = mask.sum(1, keepdim=True)
    generated = torch.empty(rows, 0, dtype=torch.long, device=device)
    carried = torch.zeros_like(hidden)  # what the input after a [SEG] carries
    is_seg = torch.zeros_like(ended)
    for step in range(budget):
        scores = logits.float()
        if pointing is not None and is_seg.any():
            here = is_seg.nonzero().flatten()
            scores[here, vocabulary.seg] += pointing.continue_logits(here, hidden[here])
        if grammar is not None:
            scores = grammar(generated, scores)
        tokens = replacement(scores.argmax(-1)).masked_fill(ended, vocabulary.end_of_text)
        live = ~ended
        ended = ended | (tokens == vocabulary.end_of_text)
        generated = torch.cat([generated, tokens[:, None]], dim=1)
        is_seg = live & (tokens == vocabulary.seg)
        done = bool(ended.all())
        if not done and (step + 1 < budget or bool(is_seg.any())):  # the last [SEG] is fed too: its state is needed
            mask = torch.cat([mask, mask.new_ones(rows, 1)], dim=1)
            output = model(
                inputs_embeds=(model.get_input_embeddings()(tokens) + carried)[:, None],
                attention_mask=mask,
                position_ids=_positions(generated, positions + step, start.cells, vocabulary),
                past_key_values=start.cache,
                use_cache=True,
            )
            hidden, logits = output.last_hidden_state[:, -1], output.logits[:, -1]
            carried = torch.zeros_like(hidden)
        here = is_seg.nonzero().flatten()
        masks: dict[int, MaskPrediction] = {}
        if len(here):
            if pointing is not None:
                drawn, carried[here] = pointing.segment(here, hidden[here], draw)
            else:
                drawn = None if draw is None else draw(here, hidden[here], None)
            if drawn is not None:
                masks = dict(zip(here.tolist(), drawn.apart(), strict=True))
        yield Step(
            tokens=tuple(token if alive else None for token, alive in zip(tokens.tolist(), live.tolist(), strict=True)),
            masks=masks,
        )
        if done:
            return


def decode(
    model: PerceptioForConditionalGeneration, start: Prefill, options: DecodingOptions, draw: Draw | None = None
) -> list[Generation]:
    """Run `decode_steps` to its end and collect every row."""
    rows = len(start.hidden)
    ids: list[list[int]] = [[] for _ in range(rows)]
    masks: list[list[MaskPrediction]] = [[] for _ in range(rows)]
    for step in decode_steps(model, start, options, draw):
        for row, token in enumerate(step.tokens):
            if token is not None:
                ids[row].append(token)
        for row, mask in step.masks.items():
            masks[row].append(mask)
    return [Generation(tuple(row_ids), tuple(row_masks)) for row_ids, row_masks in zip(ids, masks, strict=True)]


def _positions(generated: Tensor, next_position: Tensor, cells: Tensor | None, vocabulary: SpatialVocabulary) -> Tensor:
    """Position (B, 1) of the newest of `generated` (B, G) ids: `next_position` (B, 1), or its cell inside a span."""
    if cells is None:
        return next_position
    opened = (generated == vocabulary.depth_start).cumsum(1) > 0
    place = opened.sum(1, keepdim=True) - 1  # 0 at <DEPTH_START>, -1 before it
    due = (place >= 0) & (place < cells.shape[1]) & ~(generated == vocabulary.depth_end).any(1, keepdim=True)
    return torch.where(due, cells.gather(1, place.clamp(0, cells.shape[1] - 1)), next_position)


def check_context(model: PerceptioForConditionalGeneration, prompt: int, options: DecodingOptions) -> None:
    """Refuse a prompt that leaves no room for its answer.

    Raises:
        ValueError: if `prompt` and the answer's tokens exceed the positions of the language model.
    """
    limit = int(model.vlm.config.get_text_config().max_position_embeddings)
    budget = options.budget(model.config.vocabulary)
    if prompt + budget <= limit:
        return
    if options.max_new_tokens is not None and budget >= limit:
        raise ValueError(f"max_new_tokens={budget} is too large: the model's context holds {limit:,} tokens")
    raise ValueError(
        f"the prompt is too long: {prompt:,} tokens with its image, but the model's context holds {limit:,} of which "
        f"the answer keeps {budget:,}, so at most {max(limit - budget, 0):,}; shorten the prompt"
    )


class _Replacement:
    """Writes given codes over those the model chooses: the token-replacement test (oracle, random or constant)."""

    def __init__(self, vocabulary: SpatialVocabulary, codes: Tensor | None, rows: int, device: torch.device) -> None:
        self.codes: Tensor | None = None
        if codes is None:
            return
        check_forced_depth(codes, rows, vocabulary)
        self.table = torch.tensor(vocabulary.codes, device=device)
        self.codes = self.table[codes.to(device)]
        self.written = torch.zeros(rows, dtype=torch.long, device=device)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Tokens (B,) with the next given code wherever the model chose a code and some are left."""
        if self.codes is None:
            return tokens
        here = torch.isin(tokens, self.table) & (self.written < self.codes.shape[1])
        due = self.codes.gather(1, self.written.clamp(max=self.codes.shape[1] - 1)[:, None])[:, 0]
        self.written += here
        return torch.where(here, due, tokens)
