"""The text of an answer with its phrases tied to their masks."""

from __future__ import annotations

from collections.abc import Sequence


def tied(text: str, phrases: Sequence[str | None]) -> list[tuple[str, tuple[int, ...]]]:
    """The text in pieces, each with the indices of the masks that it names, if it names any.

    Phrases are looked for in the order of their masks; one that several masks share stands for all of them. One that is
    not found in the text makes no piece.

    Args:
        text: of an answer.
        phrases: of its masks, None where a mask has none.
    """
    groups: dict[str, list[int]] = {}
    for index, phrase in enumerate(phrases):
        if phrase:
            groups.setdefault(phrase, []).append(index)
    pieces: list[tuple[str, tuple[int, ...]]] = []
    rest = 0
    for phrase, indices in groups.items():
        begin = text.find(phrase, rest)
        if begin < 0:
            continue
        pieces += [(text[rest:begin], ()), (phrase, tuple(indices))]
        rest = begin + len(phrase)
    pieces.append((text[rest:], ()))
    return [piece for piece in pieces if piece[0]]
