"""The text of an answer as HTML, its phrases tied to their masks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from perceptio.results.mask import Mask
from perceptio.results.phrases import tied


def text_with_phrases(text: str, masks: Sequence[Mask]) -> str:
    """The text as HTML, each phrase as an element that can be focused, of the class `w1` for mask 1, and so on.

    What is not found in the text is left to the legend; see `phrases.tied`.
    """
    pieces = tied(text, [mask.phrase for mask in masks])
    return "".join(_word(piece, indices) if indices else escape(piece) for piece, indices in pieces)


def _word(phrase: str, indices: Sequence[int]) -> str:
    """A phrase as HTML, in the colour of its first mask."""
    classes = " ".join(f"w{index + 1}" for index in indices)
    return f'<span class="word c{indices[0] + 1} {classes}" tabindex="0">{escape(phrase)}</span>'
