"""The pieces of a drawing as the device takes them: one array, and where each thing lies in it."""

from __future__ import annotations

import numpy as np

from perceptio.scenes.rendering.drawing import VERTEX, Drawing


class Parts:
    """The pieces of a drawing as one array, those that cast shadows first, and where each index lies."""

    def __init__(self, drawing: Drawing) -> None:
        ordered = sorted(drawing.pieces, key=lambda piece: (not piece.casts, piece.index))
        self.ranges: list[tuple[int, int, int]] = []  # first vertex, count, index
        at = casting = 0
        for piece in ordered:
            count = len(piece.vertices)
            if self.ranges and self.ranges[-1][2] == piece.index:
                first, before, _ = self.ranges.pop()
                self.ranges.append((first, before + count, piece.index))
            else:
                self.ranges.append((at, count, piece.index))
            at += count
            casting += count * piece.casts
        self.casters = [(0, casting, 0)] if casting else []
        arrays = [piece.vertices for piece in ordered]
        self.vertices = np.concatenate(arrays) if arrays else np.zeros((0, VERTEX), np.float32)
