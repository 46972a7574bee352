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


def unfit(sample: Sample, processor: PerceptioProcessor, config: PerceptioConfig, where: str) -> list[SampleError]:
    """Everything for which a model cannot learn from a sample of the right form.

    A turn must fit the model's context in every way that it may be asked, its depth codes must be the model's, and its
    answer must hold no control token.

    Args:
        sample: of a file, or read.
        processor: of the model.
        config: of the model.
        where: file and line; a picture's path is relative to that file.
    """
    problems = []
    fault = None if sample.codes is None else codes_fault(sample.codes, config.vocabulary)
    if fault:
        problems.append(SampleError(where, "codes", fault))
    try:
        width, height = _size(sample, where)
    except ImageError as error:
        return [*problems, SampleError(where, "image", str(error))]
    tiles = int(processor.image_processor.get_number_of_image_patches(height, width))
    room = processor.context_length - len(processor.prefix_ids(0)) - tiles * processor.image_seq_length
    for number, turn in enumerate(sample.turns):
        faults = _turn_faults(turn, processor, config, room)
        problems += [SampleError(where, f"turns[{number}].{field}", reason) for field, reason in faults]
    return problems


def _size(sample: Sample, where: str) -> tuple[int, int]:
    if isinstance(sample.image, np.ndarray):
        height, width = sample.image.shape[:2]
        return width, height
    return upright_size(Path(where.rpartition(":")[0]).parent / sample.image)


def _turn_faults(
    turn: Turn, processor: PerceptioProcessor, config: PerceptioConfig, room: int
) -> Iterator[tuple[str, str]]:
    """Fields of a turn with what is wrong with them."""
    try:
        for spans in possible_spans(turn):
            written = write_turn(turn, spans, processor, config, room, TokenWeights())
            if len(written) + _SWITCHES <= room:
                break
    except TurnTooLongError as error:
        yield error.field, str(error)
        return
    control = _control_token(written, processor)
    if control:
        yield "answer", f"holds {control}, which is a control token of this model: take it out"


def _control_token(written: WrittenTurn, processor: PerceptioProcessor) -> str | None:
    """The first of the answer's words that is no plain text, beside the marks of phrases."""
    tokens = processor.tokenizer.added_tokens_decoder
    for token in written.answer[written.words : written.words + len(written.offsets)]:
        if token in tokens and str(tokens[token]) not in (PHRASE_START, PHRASE_END):
            return str(tokens[token])
    return None
