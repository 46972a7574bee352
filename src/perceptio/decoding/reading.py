"""Prompts are read in two calls: the pictures, once for all questions about them, and then the questions.

Legend: I distinct pictures, B questions, P prompt tokens, D width of the language model, W visual tokens of a whole
picture, N codes in a span, R rows of a call, q new tokens a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from perceptio.decoding.cache import RowCache
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.positions import positions_of_cells


@dataclass(frozen=True)
class ReadPictures:
    """Pictures that have been read: what all questions about them share."""

    visual: Tensor  # (I, W, D) embeddings of the visual tokens of the whole picture
    visual_states: Tensor  # (I, W, D) states at them
    cells: Tensor | None  # (I, N) int64 positions of the tokens that predict codes; None: they follow the sequence
    cache: RowCache  # of the tokens up to the last of the picture

    @classmethod
    def together(cls, alone: Sequence[ReadPictures]) -> ReadPictures:
        """Pictures that were read one by one, as one batch; no memory is shared."""
        cells = [each.cells for each in alone if each.cells is not None]
        assert len(cells) in (0, len(alone))
        return cls(
            torch.cat([each.visual for each in alone]),
            torch.cat([each.visual_states for each in alone]),
            torch.cat(cells) if cells else None,
            RowCache.together([each.cache for each in alone]),
        )

    @property
    def tensors(self) -> list[Tensor]:
        """All that it holds."""
        cells = [] if self.cells is None else [self.cells]
        return [self.visual, self.visual_states, *cells, *self.cache.tensors]

    def one(self, picture: int) -> ReadPictures:
        """One of the pictures by itself; no memory is shared."""
        here = slice(picture, picture + 1)
        return ReadPictures(
            self.visual[here].clone(),
            self.visual_states[here].clone(),
            None if self.cells is None else self.cells[here].clone(),
            self.cache.copies([picture], room=0),
        )


@dataclass
class Prefill:
    """Questions that have been read, in a batch whose answers are to be written."""

    pictures: ReadPictures
    picture_index: tuple[int, ...]  # of each question
    hidden: Tensor  # (B, D) state at the last prompt token
    cache: RowCache  # keys and values of the prompts; it grows as the answers are written

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row so far, which is the position of its next one."""
        return self.cache.lengths

    @property
    def visual_states(self) -> Tensor:
        """(B, W, D) states at the visual tokens of each question's picture."""
        return self.pictures.visual_states[list(self.picture_index)]


@torch.no_grad()
def read_pictures(
    model: PerceptioForConditionalGeneration, prefixes: Sequence[Sequence[int]], pixel_values: Tensor
) -> ReadPictures:
    """Read pictures.

    Args:
        model: on its device.
        prefixes: the ids of each prompt up to the last of its picture, I of them.
        pixel_values: (tiles, 3, S, S) of all pictures in order; how many tiles one has, its placeholders say.

    Raises:
        ValueError: if tiles and placeholders do not fit.
    """
    config = model.config
    ids_IP = _padded(prefixes, config.vocabulary.end_of_text, model.device)
    embeddings_IPD = model.embed(ids_IP, model.visual_tokens(pixel_values))
    cache = RowCache(config.vlm.get_text_config().num_hidden_layers, len(prefixes))
    positions_IP = torch.arange(ids_IP.shape[1], device=model.device).expand(len(prefixes), -1)
    states_IPD = feed(model, cache, list(range(len(prefixes))), embeddings_IPD, positions_IP)
    cache.lengths = [len(prefix) for prefix in prefixes]
    cells = None
    if config.depth_positions == "image":
        image_token, tokens = config.vlm.image_token_id, config.vlm.image_seq_length
        cells = positions_of_cells(ids_IP, positions_IP, image_token, config.depth.tokens_per_map, tokens)
    visual, states = (model.whole_picture(values, ids_IP) for values in (embeddings_IPD, states_IPD))
    return ReadPictures(visual, states, cells, cache)


@torch.no_grad()
def read_questions(
    model: PerceptioForConditionalGeneration,
    pictures: ReadPictures,
    picture_index: Sequence[int],
    questions: Sequence[Sequence[int]],
) -> Prefill:
    """Read questions about pictures that have been read, which are left as they are.

    Args:
        model: that read the pictures.
        pictures: I of them.
        picture_index: the picture of each question, B of them.
        questions: the ids of each prompt after its picture.
    """
    cache = pictures.cache.copies(picture_index)
    rows = list(range(len(questions)))
    counts = [len(question) for question in questions]
    ids_BP = _padded(questions, model.config.vocabulary.end_of_text, model.device)
    starts_B = torch.tensor(cache.lengths, device=model.device)
    positions_BP = starts_B[:, None] + torch.arange(ids_BP.shape[1], device=model.device)
    states_BPD = feed(model, cache, rows, model.get_input_embeddings()(ids_BP), positions_BP)
    cache.lengths = [start + count for start, count in zip(cache.lengths, counts, strict=True)]
    last_B = torch.tensor(counts, device=model.device) - 1
    return Prefill(pictures, tuple(picture_index), states_BPD[torch.arange(len(rows)), last_B], cache)


def prefill(
    model: PerceptioForConditionalGeneration,
    input_ids: Tensor,
    attention_mask: Tensor,
    pixel_values: Tensor,
    image_index: Sequence[int] | None = None,
) -> Prefill:
    """Read whole prompts, as a processor makes them.

    Args:
        model: on its device.
        input_ids: (B, P) int64, left-padded; each row holds the image placeholders of one picture.
        attention_mask: (B, P), 0 at padding.
        pixel_values: (tiles, 3, S, S) of I distinct pictures in order.
        image_index: the picture of each row, each picture in some row; None where row b shows picture b.

    Raises:
        ValueError: if tiles and placeholders do not fit.
    """
    index = list(range(len(input_ids))) if image_index is None else list(image_index)
    placeholder = model.config.vlm.image_token_id
    prefixes: dict[int, list[int]] = {}
    questions = []
    for picture, ids, kept in zip(index, input_ids.tolist(), attention_mask.bool().tolist(), strict=True):
        prompt = [token for token, keep in zip(ids, kept, strict=True) if keep]
        end = len(prompt) - prompt[::-1].index(placeholder)
        prefixes[picture] = prompt[:end]
        questions.append(prompt[end:])
    read = read_pictures(model, [prefixes[picture] for picture in sorted(prefixes)], pixel_values)
    return read_questions(model, read, index, questions)


def feed(
    model: PerceptioForConditionalGeneration,
    cache: RowCache,
    rows: Sequence[int],
    embeddings_RqD: Tensor,
    positions_Rq: Tensor,
    spread: Sequence[int] | None = None,
) -> Tensor:
    """One call of the language model: states (R, q, D) at new tokens of some rows.

    Args:
        model: of the cache.
        cache: read, and written behind each row's length, which the caller then raises by what counts.
        rows: R in front of the cache, in its order.
        embeddings_RqD: of the new tokens.
        positions_Rq: of the new tokens, int64.
        spread: as of `RowCache.begin`.
    """
    mask = cache.begin(rows, embeddings_RqD.shape[1], spread).to(embeddings_RqD.device)
    states: Tensor = model.vlm.model.language_model(
        inputs_embeds=embeddings_RqD,
        attention_mask=mask,
        position_ids=positions_Rq,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return states


def _padded(lists: Sequence[Sequence[int]], filler: int, device: torch.device) -> Tensor:
    """(rows, longest) int64, filled up at the right, where nothing looks."""
    longest = max(map(len, lists))
    return torch.tensor([[*ids, *[filler] * (longest - len(ids))] for ids in lists], device=device)
