"""Read the choice out of an answer's words; what cannot be read is wrong."""

from __future__ import annotations

import re

from perceptio.data.answer_choice import choose_option
from perceptio.data.marks import LETTERS
from perceptio.data.schema import Turn
from perceptio.scenes.language.lexicon import Lexicon

_YES_NO = re.compile(r"^\W*(yes|no)\b|\bso (yes|no)\W*$", re.IGNORECASE)  # at once, or in conclusion
_CELL = re.compile(r"\b\d,\d\b")
_NEARNESS = re.compile(r"\bnearness (\d\d)\b")
_NUMBER = re.compile(r"\d+")
_NEARER = re.compile(r"([^,.:]*?) is (?:nearer|closer)")


def extract_choice(text: str, task: str, lexicon: Lexicon) -> str | None:
    """The short answer in a text, as `Turn.target` words it, or None if there is none.

    Args:
        text: what the model said, phrase marks removed.
        task: of the turn that was asked.
        lexicon: of the scene's world.

    Raises:
        ValueError: if the task has no short answer.
    """
    if task == "marks_cell":  # asked for the nearness, the answer names the cell as well
        found = _NEARNESS.search(text)
        cell = _CELL.search(text)
        return found[1] if found else cell[0] if cell else None
    if task.startswith("marks") or task in ("choice", "place"):
        return choose_option(text, LETTERS)
    if task in ("existence", "comparison"):
        found = _YES_NO.search(text)
        return (found[1] or found[2]).lower() if found else None
    if task == "counting":
        number = _NUMBER.search(text)
        return number[0] if number else None
    if task == "nearer":
        said = _NEARER.findall(text)
        return said[-1].strip().lower() if said else None
    if task == "attribute":
        words = re.findall(r"[a-z]+", text.lower().rpartition(" is ")[2])
        known = [word for word in words if word in lexicon.answers]
        return known[0] if len(known) == 1 else None
    if task == "beside":
        named: list[str] = lexicon.any_noun.findall(text.lower().rpartition(" is ")[2])
        return named[-1] if named else None
    raise ValueError(f"task {task!r} has no short answer")


def is_correct(turn: Turn, text: str, lexicon: Lexicon) -> bool:
    """Whether an answer settles on the turn's target; a thing may go by any noun that fits it."""
    said = extract_choice(text, turn.task, lexicon)
    if turn.task == "beside" and said is not None:
        return lexicon.fits(lexicon.noun_of[said], lexicon.noun_of[turn.target.lower()]) is not False
    return said is not None and said.lower() == turn.target.lower()
