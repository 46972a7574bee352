"""Answers as the strings that lmms-eval passes from a model to a task: plain text, or JSON that carries the masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perceptio.evaluation.runner import EvaluationError
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
    return json.dumps({"text": text, "masks": masks, "malformed": list(answer.trace.malformed)}, ensure_ascii=False)


def from_json(response: str) -> MaskedAnswer:
    """What `to_json` wrote.

    Raises:
        EvaluationError: if it is something else; a model that gives no masks must not pass for one that finds none.
    """
    try:
        data = json.loads(response)
        masks = tuple(mask["rle"] for mask in data["masks"])
        return MaskedAnswer(str(data["text"]), masks, tuple(data["malformed"]))
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"the answer {response[:80]!r} carries no masks in JSON: run tasks that score masks with --model perceptio"
        ) from error
