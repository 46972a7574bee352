"""Extending a tokenizer and the embeddings by token id: tied, untied and padded."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from perceptio.model.vocabulary import TURN_END, extend_embeddings, extend_tokenizer
from perceptio.nano.text_tokenizer import train_tokenizer
from perceptio.tokens import PHRASE_START, SEG, depth_code

TEXTS = ["Segment the red cube.", "How many blue spheres are there?"] * 20


def small_lm(rows: int, tied: bool) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=rows,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            tie_word_embeddings=tied,
        )
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("padding", [0, 40])  # Qwen2.5's embedding has rows beyond its tokens
def test_new_rows_are_the_mean_of_the_known_ones_and_the_others_stay(tied: bool, padding: int) -> None:
    known, new = 300, list(range(300, 310))
    model = small_lm(known + padding, tied)
    before = [weight.detach().clone() for weight in (model.get_input_embeddings().weight, model.lm_head.weight)]
    extend_embeddings(model, new, known)
    after = [model.get_input_embeddings().weight, model.lm_head.weight]
    assert (after[0] is after[1]) == tied
    for old, weight in zip(before, after, strict=True):
        assert len(weight) == max(known + padding, 310)
        torch.testing.assert_close(weight[:known], old[:known])
        torch.testing.assert_close(weight[new], old[:known].mean(0).expand(10, -1))
        torch.testing.assert_close(weight[310 : len(old)], old[310:])


def test_extending_refuses_ids_that_are_trained_already() -> None:
    with pytest.raises(ValueError, match="already has a trained row"):
        extend_embeddings(small_lm(300, True), [299], 300)


def test_extending_twice_changes_nothing() -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    first = extend_tokenizer(tokenizer, codes=8, tokens_per_map=4, end_of_text=TURN_END)
    size = len(tokenizer)
    assert extend_tokenizer(tokenizer, codes=8, tokens_per_map=4, end_of_text=TURN_END) == first
    assert len(tokenizer) == size


def test_each_spatial_token_is_one_id_that_reads_back() -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    vocabulary = extend_tokenizer(tokenizer, codes=8, tokens_per_map=4, end_of_text=TURN_END)
    assert tokenizer.encode(SEG, add_special_tokens=False) == [vocabulary.seg]
    assert [tokenizer.decode([code]) for code in vocabulary.codes] == [depth_code(k) for k in range(8)]
    assert len(tokenizer.encode(PHRASE_START, add_special_tokens=False)) == 1


def test_an_unknown_end_token_is_named() -> None:
    with pytest.raises(ValueError, match="<nope>"):
        extend_tokenizer(train_tokenizer(TEXTS, 300), 8, 4, "<nope>")


def test_the_text_tokenizer_round_trips_any_text_and_spells_numbers() -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    text = "Où est 1234 cubes? [x] \n 日本"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    assert len(tokenizer.encode("1234", add_special_tokens=False)) == 4
