"""Marked points as HardBLINK draws and words them (AURORA, 2412.03548): which circled point is closest?

The answer first reads every point off, as AURORA's chain does: row and column on a grid of 10 x 10 cells, and nearness.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from perceptio.data.schema import Mark, Turn

HARDBLINK_PROMPT = (
    "Multiple points are circled on the image, labeled by letters beside each circle. "
    "Which point is the closest to the camera?"
)
LETTERS = "ABCDE"
GRID = 10  # cells along a side of the grid that answers name places on
MARKED_SIZE = 336  # px, side of a picture with marks
RADIUS, LINE = 4, 2  # px, of the circle
LETTER_RISE = 25  # px from the point up to the centre of its letter
FONT_SIZE = 11  # px, a capital letter is 8 px tall
APART = 20  # px, least distance of two points
BAND = (0.2, 0.8)  # of the picture's height
GAP = 2 * 20 / 255  # least gap of nearest and second nearest on the [-1, 1] scale (AURORA: 20 of 255)
OTHER_GAP = 0.03  # least gap of any other two
EDGE = 0.05  # largest change of nearness in the 5 x 5 pixels around a point
ON_OBJECT = 0.6  # share of points drawn from objects
KEEP_LOWEST = 0.6  # share of the sets in which the lowest point is the nearest that is kept
_TRIES = 24
_LETTER_CLEAR = 17  # px from a letter's centre to any other point or letter: it must be clear whose it is


def choose_points(nearness: np.ndarray, ids: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Mark, ...]:
    """Choose points whose order of depth is clear, and not simply that of their height in the picture.

    Args:
        nearness: (H, H) normalised inverse depth in [-1, 1].
        ids: (H, H) instance map.
        count: points, 2 to 5.
        rng: of every draw.

    Returns:
        The marks in order of their letters, which are shuffled over the points; none if the picture has no such set.
    """
    if not 2 <= count <= len(LETTERS):
        raise ValueError(f"the number of marked points must be 2 to {len(LETTERS)}, not {count}")
    candidates = _candidates(nearness, ids, rng)
    for _ in range(_TRIES):
        chosen: list[tuple[int, int, float]] = []
        for index in rng.permutation(len(candidates)):
            point = candidates[index]
            if all(_compatible(point, other) for other in chosen):
                chosen.append(point)
                if len(chosen) == count:
                    break
        if len(chosen) < count:
            continue
        values = sorted((point[2] for point in chosen), reverse=True)
        if values[0] - values[1] < GAP:
            continue
        lowest_is_nearest = max(chosen, key=lambda point: point[1])[2] == values[0]
        if lowest_is_nearest and rng.random() > KEEP_LOWEST:
            continue
        letters = rng.permutation(count)
        marks = [Mark(LETTERS[letter], *point) for letter, point in zip(letters, chosen, strict=True)]
        return tuple(sorted(marks, key=lambda mark: mark.letter))
    return ()


def draw_marks(rgb: np.ndarray, marks: Sequence[Mark]) -> np.ndarray:
    """(H, H, 3) uint8 -> (336, 336, 3) uint8 with red circles and white letters in small black boxes."""
    picture = Image.fromarray(rgb)
    if picture.size != (MARKED_SIZE, MARKED_SIZE):
        picture = picture.resize((MARKED_SIZE, MARKED_SIZE), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    for mark in marks:
        x, y = mark.x, mark.y
        pen.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), outline=(255, 0, 0), width=LINE)
        left, top, right, bottom = _font().getbbox(mark.letter, anchor="mm")
        cy = y - LETTER_RISE
        pen.rectangle((x + left - 2, cy + top - 2, x + right + 1, cy + bottom + 1), fill=(0, 0, 0))
        pen.text((x, cy), mark.letter, font=_font(), fill=(255, 255, 255), anchor="mm")
    return np.array(picture)


def marked_turn(points: Sequence[Mark], task: str = "marks") -> Turn:
    """HardBLINK's question; the answer first reads every point off, as AURORA's chain does."""
    chain = "; ".join(f"{mark.letter} at {cell_of(mark)} nearness {two_digits(mark.nearness)}" for mark in points)
    best = max(points, key=lambda mark: mark.nearness).letter
    return Turn(HARDBLINK_PROMPT, f"{chain}. Point {best}.", task, depth=True, target=best)


def cell_words(x: float, y: float, side: int) -> str:
    """Row and column, "3,4", of a point in a picture of `side` px, on the grid over the picture."""
    row, column = (min(int(place * GRID / side), GRID - 1) for place in (y, x))
    return f"{row},{column}"


def cell_of(mark: Mark) -> str:
    """Row and column of a mark in a picture with marks."""
    return cell_words(mark.x, mark.y, MARKED_SIZE)


def two_digits(nearness: float) -> str:
    """Nearness on a scale of 00 (farthest) to 99 (nearest)."""
    return f"{round(99 * (nearness + 1) / 2):02d}"


def _candidates(nearness: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """Points x, y, nearness with smooth surroundings, on objects and off them."""
    size = nearness.shape[0]
    low, high = (int(share * size) for share in BAND)
    number = 64
    wanted = int(number * ON_OBJECT)
    rows, columns = np.nonzero(ids[low:high, 8 : size - 8])
    picks = rng.integers(0, max(len(rows), 1), wanted) if len(rows) else np.zeros(0, int)
    ys = np.concatenate([rows[picks] + low, rng.integers(low, high, number - len(picks))])
    xs = np.concatenate([columns[picks] + 8, rng.integers(8, size - 8, number - len(picks))])
    around = np.arange(-2, 3)
    patches = nearness[ys[:, None, None] + around[:, None], xs[:, None, None] + around]  # (number, 5, 5)
    smooth = patches.max((1, 2)) - patches.min((1, 2)) < EDGE
    scale = MARKED_SIZE / size
    return [
        (round((x + 0.5) * scale), round((y + 0.5) * scale), float(nearness[y, x]))
        for y, x in zip(ys[smooth], xs[smooth], strict=True)
    ]


def _compatible(a: tuple[int, int, float], b: tuple[int, int, float]) -> bool:
    dx, dy = a[0] - b[0], a[1] - b[1]
    if dx * dx + dy * dy < APART * APART or abs(a[2] - b[2]) < OTHER_GAP:
        return False
    # letter against the other point, both ways round
    return all(dx * dx + (dy + rise) ** 2 >= _LETTER_CLEAR**2 for rise in (LETTER_RISE, -LETTER_RISE))


@lru_cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)
