"""The text of an answer with its phrases tied to their masks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from perceptio.results.mask import Mask


def text_with_phrases(text: str, masks: Sequence[Mask]) -> str:
    """The text as HTML, each phrase as an element that can be focused, of the class `w1` for mask 1, and so on.

    Phrases are looked for in the order of their masks; one that several masks share stands for all of them. What is not
    found in the text is left to the legend.
    """
    groups: dict[str, list[int]] = {}
    for number, mask in enumerate(masks, 1):
        if mask.phrase:
            groups.setdefault(mask.phrase, []).append(number)
    parts: list[str] = []
    begin = 0
    for phrase, numbers in groups.items():
        place = text.find(phrase, begin)
        if place < 0:
            continue
        parts += [escape(text[begin:place]), word(phrase, numbers)]
        begin = place + len(phrase)
    return "".join([*parts, escape(text[begin:])])


def word(phrase: str, numbers: Sequence[int]) -> str:
    """A phrase as HTML, in the colour of its first mask."""
    classes = " ".join(f"w{number}" for number in numbers)
    return f'<span class="word c{numbers[0]} {classes}" tabindex="0">{escape(phrase)}</span>'
