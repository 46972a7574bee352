"""The raw tokens of an answer, coloured by what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from perceptio.tokens import DEPTH_END, DEPTH_START, PHRASE_END, PHRASE_START, SEG

_KINDS = {"seg": re.escape(SEG), "mark": f"{DEPTH_START}|{DEPTH_END}", "code": r"<DEPTH_(?P<entry>\d+)>",
          "phrase": f"{PHRASE_START}|{PHRASE_END}", "control": r"<\|[^|<>\s]+\|>"}  # fmt: skip
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))


def raw_tokens(raw: str, colors: Sequence[tuple[int, int, int]] = (), columns: int = 0) -> str:
    """The tokens as HTML: control tokens as tags, words between them, each code with its number.

    Args:
        raw: the tokens as text.
        colors: RGB of each depth code in the order of writing. Where there are as many codes they are laid out as the
            map that they are; others stay grey, in a row.
        columns: of the map.
    """
    pieces = list(_pieces(raw))
    is_map = 0 < len(colors) == sum(kind == "code" for kind, _ in pieces)
    shades = iter(colors if is_map else ())
    grid = f' grid" style="grid-template-columns:repeat({columns},max-content)' if is_map else ""
    parts: list[str] = []
    for number, (kind, text) in enumerate(pieces):
        if kind == "code":
            if number == 0 or pieces[number - 1][0] != "code":
                parts.append(f'<span class="codes{grid}">')
            parts.append(_code(text, next(shades, None)))
            if number == len(pieces) - 1 or pieces[number + 1][0] != "code":
                parts.append("</span>")
        else:
            parts.append(f'<span class="token {kind}">{escape(text)}</span>')
    return "".join(parts)


def _pieces(raw: str) -> Iterator[tuple[str, str]]:
    """Runs of words and single control tokens with their kinds; of a code, its number alone."""
    begin = 0
    for found in _TOKEN.finditer(raw):
        if found.start() > begin:
            yield "words", raw[begin : found.start()]
        kind = next(name for name in _KINDS if found[name] is not None)
        yield kind, found["entry"] if kind == "code" else found[0]
        begin = found.end()
    if begin < len(raw):
        yield "words", raw[begin:]


def _code(number: str, color: tuple[int, int, int] | None) -> str:
    if color is None:
        return f'<span class="code">{number}</span>'
    ink = "#000" if 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2] > 110 else "#fff"
    return f'<span class="code" style="background:rgb{color};color:{ink}">{number}</span>'.replace(", ", ",")
