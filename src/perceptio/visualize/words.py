"""Tokens as a model is taught them: grey where they are only read, on a colour that says their weight where they are
learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from perceptio.visualize.canvas import font, text_width

_PAPER, _READ, _INK, _LEGEND = (255, 255, 255), (130, 130, 136), (16, 16, 18), (40, 40, 44)
_FAINT, _STRONG = (255, 243, 214), (240, 150, 20)  # background of the least and of the greatest weight
_LETTERS = 15  # px
_LINE = 24  # px


@dataclass(frozen=True)
class Piece:
    """One token, or a run of tokens that is shown as one."""

    text: str  # a line end in it starts a new line
    weight: float | None = None  # in its loss; None: it is read, not taught


def draw_pieces(pieces: Sequence[Piece], *, width: int = 900) -> Image.Image:
    """Write tokens one after the other, (width, as high as needed) px RGB, with a legend of the weights below."""
    weights = sorted({piece.weight for piece in pieces if piece.weight is not None})
    heaviest = weights[-1] if weights else 1.0
    legend = [
        Piece("\nread"),
        *(Piece(f" taught, weight {weight:g} ", weight) for weight in weights),
    ]
    placed = _placed([*pieces, Piece("\n"), *legend], width)
    page = Image.new("RGB", (width, _LINE * (placed[-1][2] + 1) + _LETTERS), _PAPER)
    draw, typeface = ImageDraw.Draw(page), font(_LETTERS)
    for piece, left, line in placed:
        top = line * _LINE + _LETTERS // 2
        if piece.weight is not None:
            right = left + max(text_width(piece.text, typeface), 4)
            draw.rectangle((left, top - 2, right - 2, top + _LINE - 5), fill=_shade(piece.weight / heaviest))
        ink = _READ if piece.weight is None else _INK
        draw.text((left, top), piece.text, font=typeface, fill=ink)
    return page


def _placed(pieces: Sequence[Piece], width: int) -> list[tuple[Piece, int, int]]:
    """Each line of each piece with its left edge in px and the number of its line."""
    typeface, margin = font(_LETTERS), _LETTERS
    placed, left, line = [], margin, 0
    for piece in pieces:
        for number, text in enumerate(piece.text.split("\n")):
            if number:
                left, line = margin, line + 1
            extent = text_width(text, typeface) + 1
            if left > margin and left + extent > width - margin:
                left, line = margin, line + 1
            placed.append((Piece(text, piece.weight), left, line))
            left += extent
    return placed


def _shade(share: float) -> tuple[int, int, int]:
    red, green, blue = (round(faint + (strong - faint) * share) for faint, strong in zip(_FAINT, _STRONG, strict=True))
    return red, green, blue
