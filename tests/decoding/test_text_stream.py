"""The words of a stream against the words of the whole answer, for any tokens in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

from perceptio.decoding.text_stream import TextStream
from perceptio.decoding.words import read_words
from perceptio.model.detokenizer import Detokenizer
from perceptio.pipeline import Perceptio
from perceptio.tokens import PHRASE_END, PHRASE_START, SpatialVocabulary, parse

ORDERS = ["spans_first", "answer_first", "interleaved"]
WORDS = ["It is", " ", "  ", "\n", "the cube", "<p>", "</p>", "<", "p", ">", "</", "é", "\u00a0", "日本", "🦊", "."]


@pytest.fixture(scope="module", params=["tiny", "nano"])
def model(request: pytest.FixtureRequest, tiny: Perceptio) -> Perceptio:
    return tiny if request.param == "tiny" else Perceptio.from_pretrained("nano", device="cpu")


class Sentences:
    """The part of a processor that makes text, over a tokenizer of SentencePiece's kind, as Llama's and InternLM's."""

    words = ("▁", "▁the", "cube", "▁a", ".", "<", "p", ">", "/p", "日", "\ufffd", "é")
    control = ("[SEG]", "<S>", "<E>", "<D0>", "<eos>", "<p>", "</p>")

    def __init__(self) -> None:
        names = [*(f"<0x{byte:02X}>" for byte in range(256)), *self.words]
        vocabulary = {name: number for number, name in enumerate(names)}
        self.tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
        self.tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        self.tokenizer.add_special_tokens(list(self.control))

    def text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def detokenizer(self) -> Detokenizer:
        return Detokenizer(self.tokenizer)


@pytest.mark.parametrize("order", ORDERS)
def test_bytes_that_are_no_text_are_said_as_they_are_decoded(order: str) -> None:
    processor = Sentences()
    seg, start, end, code, stop = map(processor.tokenizer.token_to_id, Sentences.control[:5])
    vocabulary = SpatialVocabulary(seg, start, end, (code,), 2, stop, order)  # type: ignore[arg-type]
    known = [processor.tokenizer.token_to_id(word) for word in (*Sentences.words, "<p>", "</p>", "<0x41>", "<0x20>")]
    rng = np.random.default_rng(0)
    for _ in range(2000):
        stray, ids = rng.random() < 0.5, []
        for kind in rng.random(rng.integers(1, 17)):
            choice = [seg, start, end, code] if kind < 0.2 else range(256) if stray and kind < 0.5 else known
            ids.append(int(rng.choice(choice)))
        text = read_words(parse(vocabulary, ids), order, processor.text)[0]  # type: ignore[arg-type]
        stream, said = TextStream(vocabulary, processor, ()), ""  # type: ignore[arg-type]
        for token in ids:
            said += stream.push(token)
            assert text.startswith(said), ids


@pytest.mark.parametrize("order", ORDERS)
def test_pieces_are_the_text_whatever_is_written(model: Perceptio, order: str) -> None:
    processor, tokenizer = model.processor, model.processor.tokenizer
    vocabulary = replace(model.model.config.vocabulary, order=order)
    marks = {tokenizer.convert_tokens_to_ids(mark) for mark in (PHRASE_START, PHRASE_END)}
    silent = set(tokenizer.all_special_ids) - marks

    def decode(ids: list[int] | tuple[int, ...]) -> str:
        return processor.text([token for token in ids if token not in silent])

    rng = np.random.default_rng(ORDERS.index(order))
    words = [tokenizer.encode(word, add_special_tokens=False) for word in WORDS]
    plain = [processor._plain_ids(word) for word in WORDS]  # marks as letters
    spatial = [[vocabulary.seg]] * 3 + [[vocabulary.depth_start], [vocabulary.codes[1]], [vocabulary.depth_end]]
    held, said_in_time = 0, 0
    for _ in range(1500):
        parts: list[list[int]] = []
        for kind in rng.integers(0, 12, rng.integers(1, 30)):
            choice = words if kind < 4 else plain if kind < 7 else spatial if kind < 10 else None
            if choice is None:
                parts.append([int(rng.integers(0, len(tokenizer)))])
            else:
                parts.append(choice[rng.integers(len(choice))])
        ids = [token for part in parts for token in part]
        text = read_words(parse(vocabulary, ids), order, decode)[0]  # type: ignore[arg-type]
        stream, said = TextStream(vocabulary, processor, silent), ""
        for token in ids:
            said += stream.push(token)
            assert text.startswith(said)
        held = max(held, len(text) - len(said))
        said_in_time += len(said)
    assert held < 40  # half a character, a mark, blanks
    assert said_in_time > 1500
    stray = [tokenizer.convert_tokens_to_ids("ç")] * 50 if tokenizer.convert_tokens_to_ids("ç") else []
    stream = TextStream(vocabulary, processor, silent)
    assert sum(len(stream.push(token)) for token in stray) >= len(stray) - 1  # nothing waits for what never comes


def test_words_come_with_their_tokens(model: Perceptio) -> None:
    processor, vocabulary = model.processor, model.model.config.vocabulary
    ids = processor.answer_ids("It is <p>the cube</p>, é.")
    stream = TextStream(vocabulary, processor, ())
    pieces = [stream.push(token) for token in ids]
    assert "".join(pieces) == "It is the cube, é."
    assert sum(map(bool, pieces)) > 3
    assert [stream.push(token) for token in (vocabulary.end_of_text, *ids)] == [""] * (len(ids) + 1)
