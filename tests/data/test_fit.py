"""What a model cannot learn from is found by the numbers of tokens alone, and is what packing refuses."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.data.fit import Learner, unfit
from perceptio.data.packing import pack_sample
from perceptio.data.rle import mask_rle
from perceptio.data.schema import Sample, Turn
from perceptio.data.supervision import possible_spans
from perceptio.pipeline import Perceptio

WHERE = "people.jsonl:12"
TURN = Turn("Where is it?", "It is here.")
SAMPLE = Sample(
    np.zeros((64, 64, 3), np.uint8), (TURN,), masks=(mask_rle(np.eye(64, dtype=bool)),), depth=np.zeros((64, 64))
)


def faults(tiny: Perceptio, sample: Sample, where: str = WHERE, length: int = 0) -> dict[str, str]:
    found = unfit(sample, Learner(tiny.processor, tiny.model.config, length), where)
    assert all(str(each).startswith(f"{where}: ") for each in found)
    return {each.field: each.reason for each in found}


def packs(tiny: Perceptio, sample: Sample) -> bool:
    """Whether every draw of the questions' switches can be packed."""
    for seed in range(12):
        try:
            pack_sample(sample, tiny.processor, tiny.model.config, np.random.default_rng(seed), explicit=0.9)
        except ValueError:
            return False
    return True


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"turns": (TURN, replace(TURN, question="What is here? " * 3000))}, "turns[1].question", "tokens"),
        ({"turns": (TURN, replace(TURN, answer="It is here. " * 3000))}, "turns[1].answer", "fit beside the picture"),
        ({"codes": (1, 2)}, "codes", "has 2 depth codes, but a map of this model has 16"),
        ({"codes": (1,) * 15 + (16,)}, "codes", "has the depth code 16, but the model's are 0 to 15"),
    ],
)
def test_what_packing_refuses_is_found(tiny: Perceptio, change: dict[str, Any], field: str, reason: str) -> None:
    sample = replace(SAMPLE, **change)
    assert reason in faults(tiny, sample)[field]
    assert not packs(tiny, sample)
    assert faults(tiny, SAMPLE) == {}
    assert packs(tiny, SAMPLE)


@pytest.mark.parametrize("turn", [TURN, replace(TURN, masks=(0,), depth=True), replace(TURN, supervise=("text",))])
def test_a_turn_fits_if_it_does_in_every_way_that_it_may_be_asked(tiny: Perceptio, turn: Turn) -> None:
    """At the border of the context, to the token."""

    def asked(words: int) -> Sample:
        return replace(SAMPLE, turns=(replace(turn, question="a" + " a" * words),))

    longest = bisect_left(range(1024), True, key=lambda words: bool(faults(tiny, asked(words)))) - 1
    assert 100 < longest < 1000
    assert packs(tiny, asked(longest))
    assert not packs(tiny, asked(longest + 1))


@pytest.mark.parametrize("turn", [TURN, replace(TURN, masks=(0,), depth=True)])
def test_a_turn_fits_a_packed_sequence_alone_in_every_way_that_it_may_be_asked(tiny: Perceptio, turn: Turn) -> None:
    """At the border of the sequence, to the word."""
    length = 300

    def asked(words: int) -> Sample:
        return replace(SAMPLE, turns=(TURN, replace(turn, question="a" + " a" * words)))

    def longest(sample: Sample) -> int:
        alone = replace(sample, turns=sample.turns[1:])
        rows = [
            pack_sample(alone, tiny.processor, tiny.model.config, np.random.default_rng(seed), explicit=0.9)
            for seed in range(12)
        ]
        return max(len(row.input_ids) for row in rows)

    words = bisect_left(range(300), True, key=lambda words: bool(faults(tiny, asked(words), length=length))) - 1
    assert longest(asked(words)) <= length < longest(asked(words + 1))
    found = faults(tiny, asked(words + 1), length=length)
    assert list(found) == ["turns[1].answer"]
    assert "packing.length" in found["turns[1].answer"]
    assert list(faults(tiny, asked(400), length=length)) == ["turns[1].question"]
    assert faults(tiny, asked(400)) == {}


def test_every_form_of_a_question_is_thought_of() -> None:
    turn = replace(TURN, masks=(0,), depth=True)
    forms = possible_spans(turn)
    assert (forms[0].seg, forms[0].depth, forms[0].masks, forms[0].has_depth) == ("auto", "auto", (0,), True)
    assert len({(spans.seg, spans.depth) for spans in forms}) == len(forms) == 9


def test_control_tokens_of_the_model_are_no_words(tiny: Perceptio) -> None:
    answer = "Here <p>it</p> is."
    assert faults(tiny, replace(SAMPLE, turns=(replace(TURN, answer=answer, masks=(0,)),))) == {}
    found = faults(tiny, replace(SAMPLE, turns=(replace(TURN, answer="The end <|im_end|> is here."),)))
    assert "<|im_end|>" in found["turns[0].answer"]


def test_a_picture_is_looked_for_beside_the_file_of_samples(tiny: Perceptio, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert faults(tiny, replace(SAMPLE, image="a.png"), f"{tmp_path}/x.jsonl:1") == {}
    assert "there is no image file" in faults(tiny, replace(SAMPLE, image="b.png"), f"{tmp_path}/x.jsonl:1")["image"]
