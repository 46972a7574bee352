"""InternVL's control tokens, and the spatial tokens that a tokenizer and a language model are extended with, by id."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perceptio.tokens import (
    DEPTH_END,
    DEPTH_START,
    PHRASE_END,
    PHRASE_START,
    SEG,
    SpatialVocabulary,
    depth_code,
    spatial_tokens,
)

IMAGE_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
TILE_TOKENS = ("start_image_token", "end_image_token", "context_image_token")  # those that a picture needs
TURN_START, TURN_END, PADDING = "<|im_start|>", "<|im_end|>", "<|endoftext|>"


def extend_tokenizer(
    tokenizer: PreTrainedTokenizerBase, codes: int, tokens_per_map: int, end_of_text: str
) -> SpatialVocabulary:
    """Add the spatial tokens (those not there yet) and return their ids.

    Args:
        tokenizer: changed in place.
        codes: K, size of the depth codebook.
        tokens_per_map: N, codes in a depth span.
        end_of_text: the token that ends an answer.

    Raises:
        ValueError: if `end_of_text` is not a token of the tokenizer.
    """
    vocabulary = tokenizer.get_vocab()
    if end_of_text not in vocabulary:
        raise ValueError(f"the tokenizer has no token {end_of_text!r}; name the token that ends an assistant's turn")
    tokens = [*spatial_tokens(codes), PHRASE_START, PHRASE_END]
    tokenizer.add_tokens([token for token in dict.fromkeys(tokens) if token not in vocabulary], special_tokens=True)

    def ids(token: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(token))

    return SpatialVocabulary(
        seg=ids(SEG),
        depth_start=ids(DEPTH_START),
        depth_end=ids(DEPTH_END),
        codes=tuple(ids(depth_code(index)) for index in range(codes)),
        tokens_per_map=tokens_per_map,
        end_of_text=ids(end_of_text),
    )


@torch.no_grad()
def extend_embeddings(model: PreTrainedModel, new_ids: list[int], known: int) -> None:
    """Make room for `new_ids` and set their rows to the mean of the `known` first rows, in both embedding and head.

    Rows are found by id: a padded embedding (Qwen2.5) has more rows than the tokenizer has tokens, so "the last rows"
    would be the wrong ones. Never shrinks; tied weights stay tied.

    Args:
        model: a model with input and output embeddings, changed in place.
        new_ids: token ids that were added.
        known: number of tokens that have a trained row.

    Raises:
        ValueError: if a new id lies below `known`.
    """
    if not new_ids:
        return
    if min(new_ids) < known:
        raise ValueError(f"token id {min(new_ids)} already has a trained row (the first {known} do); pass new ids only")
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, nn.Embedding)
    if max(new_ids) >= embedding.num_embeddings:
        model.resize_token_embeddings(max(new_ids) + 1, mean_resizing=False)
    weights = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not weights[0]:
        weights.append(head.weight)
    for weight in weights:
        weight[new_ids] = weight[:known].float().mean(0).to(weight.dtype)
