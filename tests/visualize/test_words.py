"""Tokens drawn with their weights."""

from __future__ import annotations

import numpy as np

from perceptio.visualize.words import _FAINT, _STRONG, Piece, draw_pieces


def area(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((image == color).all(-1).sum())


def test_only_taught_tokens_have_a_background_and_the_heaviest_the_strongest() -> None:
    read = np.asarray(draw_pieces([Piece("read only")]))
    assert area(read, _STRONG) == 0
    both = np.asarray(draw_pieces([Piece("read"), Piece("light", 0.0), Piece("heavy", 2.0)]))
    first_line = both[:24]
    assert area(first_line, _STRONG) > 100
    assert area(first_line, _FAINT) > 100


def test_lines_break_at_the_edge_and_at_line_ends() -> None:
    one = draw_pieces([Piece("word ", 1.0)] * 5, width=600)
    many = draw_pieces([Piece("word ", 1.0)] * 200, width=600)
    broken = draw_pieces([Piece("word\n", 1.0)] * 5, width=600)
    assert one.width == many.width == 600
    assert one.height < broken.height < many.height
