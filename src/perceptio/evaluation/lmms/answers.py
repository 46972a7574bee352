"""Answers as the strings that lmms-eval passes from a model to a task: plain text, or JSON that carries the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perceptio.evaluation.errors import EvaluationError
from perceptio.files import json_line, parse_json
from perceptio.results import Answer


@dataclass(frozen=True)
class MaskedAnswer:
    """What a task reads from an answer in JSON."""

    text: str
    masks: tuple[dict[str, Any], ...]  # COCO RLE of the size of the upright picture, in order of mention
    malformed: tuple[str, ...]  # deviations from the grammar


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings that occurs in it."""
    return text[: min((text.index(stop) for stop in stops if stop and stop in text), default=len(text))]


def to_json(answer: Answer, text: str) -> str:
    """An answer with its masks: {"text": ..., "masks": [{"rle", "score", "phrase"}], "malformed": [...]}.

    Args:
        answer: of the model.
        text: its words, as they are to be written.
    """
    masks = [mask.to_dict() for mask in answer.masks]
    return json_line({"text": text, "masks": masks, "malformed": list(answer.trace.malformed)})


def from_json(response: str) -> MaskedAnswer:
    """What `to_json` wrote.

    Raises:
        EvaluationError: if it is something else; a model that gives no masks must not pass for one that finds none.
    """
    hint = "run tasks that score masks with --model perceptio"
    if not isinstance(response, str):
        raise EvaluationError(f"an answer is a text, not {type(response).__name__}: {hint}")
    what = f"the answer {response[:80]!r}"
    try:
        data = parse_json(response, what)
    except ValueError as error:
        raise EvaluationError(f"{what} carries no masks in JSON: {hint}") from error
    fields = data if isinstance(data, dict) else {}
    for name, kind in (("text", str), ("masks", list), ("malformed", list)):
        if not isinstance(fields.get(name), kind):
            raise EvaluationError(f"{what} carries no masks in JSON, {name} is {fields.get(name)!r:.80}: {hint}")
    for number, mask in enumerate(fields["masks"]):
        if not isinstance(mask, dict) or not isinstance(mask.get("rle"), dict):
            raise EvaluationError(f"{what} carries no masks in JSON, masks[{number}] has no rle: {hint}")
    return MaskedAnswer(fields["text"], tuple(mask["rle"] for mask in fields["masks"]), tuple(fields["malformed"]))
