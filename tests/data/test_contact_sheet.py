"""What the sheet says of tokens must be what the packing teaches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.contact_sheet import Reader, draw_samples, pieces
from perceptio.data.fields import SampleError
from perceptio.data.packing import pack_sample
from perceptio.data.reading import read_sample
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import Mark, Sample
from perceptio.data.supervision import Supervision, TokenWeights
from perceptio.pipeline import Perceptio


@pytest.fixture
def reader(tiny: Perceptio) -> Reader:
    return Reader(tiny.processor, tiny.model.config, tiny.model.depth_tokenizer)


def test_taught_tokens_carry_their_weights_and_others_none(sample: Sample, home: Path, reader: Reader) -> None:
    weights = TokenWeights(word=0.5, digit=2.0, target=8.0, segment=1.5, end=0.25)
    read, rng = read_sample(sample, home, "x"), np.random.default_rng(0)
    row = pack_sample(read, reader.processor, reader.config, rng, supervision=Supervision(weights=weights))
    shown = pieces(row, reader)
    said = "".join(piece.text for piece in shown)
    assert "<picture> x 64" in said
    assert "[SEG][SEG]\nHere: <p>one</p> and <p>two</p>.<|im_end|>" in said
    assert "<DEPTH_START><DEPTH> x 16 <DEPTH_END>Here.<|im_end|>" in said
    taught = "".join(piece.text for piece in shown if piece.weight is not None)
    assert taught.startswith("[SEG][SEG]\nHere: ")
    assert "assistant" not in taught
    assert "Where" not in taught
    assert [piece.weight for piece in shown if piece.text == "[SEG]"] == [weights.segment] * 2
    assert [piece.text.strip() for piece in shown if piece.weight == weights.target] == ["2"]
    assert [piece.text for piece in shown if piece.weight == weights.end] == ["<|im_end|>"] * 3


def test_what_is_not_supervised_is_not_marked(sample: Sample, home: Path, reader: Reader) -> None:
    turns = (replace(sample.turns[0], supervise=("seg",)),)
    read = read_sample(replace(sample, turns=turns), home, "x")
    row = pack_sample(read, reader.processor, reader.config, np.random.default_rng(0))
    assert [piece.text for piece in pieces(row, reader) if piece.weight is not None] == ["[SEG]"] * 2


def test_a_sheet_shows_maps_codes_marks_and_samples_without_any(sample: Sample, home: Path, reader: Reader) -> None:
    plain = replace(sample, turns=sample.turns[2:], masks=(), depth=None)
    coded = replace(sample, depth=None, codes=(1,) * 16, marks=(Mark("A", 20, 20),))
    write_samples(home / "x.jsonl", [sample, plain, coded])
    file = SampleFile(home / "x.jsonl")
    assert draw_samples([file], 2, reader, home / "two.png") == 2
    assert draw_samples([file], 9, reader, home / "all.png") == 3
    two, three = Image.open(home / "two.png"), Image.open(home / "all.png")
    assert two.width == three.width
    assert two.height < three.height


def test_a_bad_sample_is_named_and_nothing_is_written(sample: Sample, home: Path, reader: Reader) -> None:
    write_samples(home / "x.jsonl", [replace(sample, image="none.png")])
    with pytest.raises(SampleError, match=r"x\.jsonl:1: image"):
        draw_samples([SampleFile(home / "x.jsonl")], 1, reader, home / "sheet.png")
    assert not (home / "sheet.png").exists()
