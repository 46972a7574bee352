"""Whether a model can learn from a sample: what packing would refuse, found without reading pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perceptio.data.fields import SampleError
from perceptio.data.packing import TurnTooLongError, WrittenTurn, codes_fault, write_turn
from perceptio.data.schema import Sample, Turn
from perceptio.data.supervision import TokenWeights, possible_spans
from perceptio.images import ImageError, upright_size
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.processing import PerceptioProcessor
from perceptio.tokens import PHRASE_END, PHRASE_START

_SWITCHES = 40  # tokens that the words about wanted spans have at most: a turn that has room for them is written once


@dataclass(frozen=True, eq=False)
class Learner:
    """The parts of a model that decide what it can learn from."""

    processor: PerceptioProcessor
    config: PerceptioConfig
    length: int = 0  # tokens of a packed sequence, see `pack_sample`; 0: no limit but the model's context


def unfit(sample: Sample, learner: Learner, where: str) -> list[SampleError]:
    """Everything for which a model cannot learn from a sample of the right form.

    A turn must fit the model's context, and beside the picture alone a packed sequence, in every way that it may be
    asked; its depth codes must be the model's, and its answer must hold no control token.

    Args:
        sample: of a file, or read.
        learner: the model, and how sequences are packed.
        where: file and line; a picture's path is relative to that file.
    """
    processor, config = learner.processor, learner.config
    problems = []
    fault = None if sample.codes is None else codes_fault(sample.codes, config.vocabulary)
    if fault:
        problems.append(SampleError(where, "codes", fault))
    try:
        width, height = _size(sample, where)
    except ImageError as error:
        return [*problems, SampleError(where, "image", str(error))]
    tiles = int(processor.image_processor.get_number_of_image_patches(height, width))
    before = len(processor.prefix_ids(0)) + tiles * processor.image_seq_length
    room = processor.context_length - before
    packed = min(learner.length - before, room) if learner.length else room
    for number, turn in enumerate(sample.turns):
        faults = _turn_faults(turn, processor, config, room, packed)
        problems += [SampleError(where, f"turns[{number}].{field}", reason) for field, reason in faults]
    return problems


def _size(sample: Sample, where: str) -> tuple[int, int]:
    if isinstance(sample.image, np.ndarray):
        height, width = sample.image.shape[:2]
        return width, height
    return upright_size(Path(where.rpartition(":")[0]).parent / sample.image)


def _turn_faults(
    turn: Turn, processor: PerceptioProcessor, config: PerceptioConfig, room: int, packed: int
) -> Iterator[tuple[str, str]]:
    """Fields of a turn with what is wrong with them; `room` tokens fit the context, `packed` a sequence."""
    longest = 0
    try:
        for spans in possible_spans(turn):
            written = write_turn(turn, spans, processor, config, room, TokenWeights())
            longest = max(longest, len(written))
            if len(written) + _SWITCHES <= packed:
                break
    except TurnTooLongError as error:
        yield error.field, str(error)
        return
    if longest > packed:
        field = "question" if len(written.question) > packed else "answer"
        left = f"{max(packed, 0)} of packing.length are left beside the picture"
        yield field, f"the turn has up to {longest} tokens, but {left}: shorten it, or make packing.length larger"
    control = _control_token(written, processor)
    if control:
        yield "answer", f"holds {control}, which is a control token of this model: take it out"


def _control_token(written: WrittenTurn, processor: PerceptioProcessor) -> str | None:
    """The first of the answer's words that is no plain text, beside the marks of phrases."""
    tokens = processor.tokenizer.added_tokens_decoder
    for place in range(written.words, written.words + len(written.offsets)):
        token = written.answer[place]
        if token in tokens and place not in written.segments and str(tokens[token]) not in (PHRASE_START, PHRASE_END):
            return str(tokens[token])
    return None
