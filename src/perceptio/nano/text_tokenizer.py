"""Train the byte-level BPE of a small model on its own corpus."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from perceptio.model.vocabulary import IMAGE_TOKENS, PADDING, TURN_END, TURN_START


def train_tokenizer(texts: Iterable[str], vocabulary_size: int = 1024) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE with InternVL's control tokens; digits stay apart so that numbers are spelt.

    Args:
        texts: the corpus.
        vocabulary_size: tokens in all, control tokens included (at least 256 bytes + 7).
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PADDING, TURN_START, TURN_END, *IMAGE_TOKENS.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PADDING,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        additional_special_tokens=[TURN_START],
        extra_special_tokens=IMAGE_TOKENS,
    )
