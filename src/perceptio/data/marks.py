"""Marked points as HardBLINK draws and words them (AURORA, 2412.03548): which circled point is closest?

The answer first reads every point off, as AURORA's chain does: row and column on a grid of 10 x 10 cells, and nearness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
GAP = 2 * 20 / 255  # least gap of nearest and second nearest on the [-1, 1] scale (AURORA: 20 of 255)
EDGE = 0.05  # largest change of nearness in the 5 x 5 pixels around a point
ON_OBJECT = 0.6  # share of points drawn from objects
_TRIES = 24
_LETTER_CLEAR = 17  # px from a letter's centre to any other point or letter: it must be clear whose it is


@dataclass(frozen=True)
class PointLaw:
    """Which sets of points may be marked; the defaults are ours, for pictures in which what is low is mostly near."""

    rows: tuple[float, float] = (0.2, 0.8)  # shares of the map's height between which points lie
    margins: tuple[int, int] = (8, 8)  # px of the map to its left and right side
    least: float = -1.0  # nearness that a point has at least
    other_gap: float = 0.03  # least gap in nearness of any two points that are not the nearest
    keep_lowest: float = 0.6  # share of the sets in which the lowest point is the nearest that is kept
    contrary: float = 0.0  # share of the choices that take none of these: with 0.6, about 40 % go by that rule at most


# x 10 to 324 and y 95 to 224 of 336 px, any two points 20 of 255 steps of depth apart, none at depth 0 (2605.21642)
HARDBLINK = PointLaw(
    rows=(95 / MARKED_SIZE, 225 / MARKED_SIZE),
    margins=(10, MARKED_SIZE - 325),
    least=-1 + 1 / 255,
    other_gap=GAP,
    keep_lowest=1.0,
)


def scaled_law(law: PointLaw, side: int) -> PointLaw:
    """A law of maps of 336 px for maps of another side; its margins are rounded up."""
    left, right = (math.ceil(margin * side / MARKED_SIZE) for margin in law.margins)
    return replace(law, margins=(left, right))


def choose_points(
    nearness: np.ndarray,
    ids: np.ndarray | None,
    count: int,
    rng: np.random.Generator,
    law: PointLaw | None = None,
    allowed: np.ndarray | None = None,
) -> tuple[Mark, ...]:
    """Choose points whose order of depth is clear.

    Two of them are at least 20 px apart, the nearest is at least 20 of 255 steps nearer than the next, depth is smooth
    around each, and no letter lies on another point or letter.

    Args:
        nearness: (H, H) normalised inverse depth in [-1, 1]; of 336 px for `HARDBLINK`.
        ids: (H, H) instance map, from whose objects most points are drawn; None: there is none.
        count: points, 2 to 5.
        rng: of every draw.
        law: `PointLaw()` by default.
        allowed: (H, H) bool, False where no point may lie, nor within 2 px: sky, glass, mirrors. Everywhere by default.

    Returns:
        The marks in order of their letters, which are shuffled over the points; none if the picture has no such set.
    """
    if not 2 <= count <= len(LETTERS):
        raise ValueError(f"the number of marked points must be 2 to {len(LETTERS)}, not {count}")
    law = law or PointLaw()
    candidates = _candidates(nearness, ids, rng, law, allowed)
    contrary = law.contrary > 0 and rng.random() < law.contrary
    for _ in range(_TRIES):
        chosen: list[tuple[int, int, float]] = []
        for index in rng.permutation(len(candidates)):
            point = candidates[index]
            if all(_compatible(point, other, law) for other in chosen):
                chosen.append(point)
                if len(chosen) == count:
                    break
        if len(chosen) < count:
            continue
        values = sorted((point[2] for point in chosen), reverse=True)
        if values[0] - values[1] < GAP:
            continue
        lowest_is_nearest = max(chosen, key=lambda point: point[1])[2] == values[0]
        if lowest_is_nearest and (contrary or rng.random() > law.keep_lowest):
            continue
        letters = rng.permutation(count)
        marks = [Mark(LETTERS[letter], *point) for letter, point in zip(letters, chosen, strict=True)]
        return tuple(sorted(marks, key=lambda mark: mark.letter))
    return ()


def in_marked_picture(mark: Mark, width: int, height: int) -> Mark:
    """A mark of a picture of some size, where it is drawn: in one of 336 px."""
    return replace(mark, x=round(mark.x * (MARKED_SIZE / width)), y=round(mark.y * (MARKED_SIZE / height)))


def in_picture(mark: Mark, width: int, height: int) -> Mark:
    """A mark of a picture of 336 px in one of another size."""
    x, y = (round(place * side / MARKED_SIZE) for place, side in ((mark.x, width), (mark.y, height)))
    return replace(mark, x=min(x, width - 1), y=min(y, height - 1))


def keep_law(marks: Sequence[Mark], law: PointLaw) -> bool:
    """Whether marks of a picture of 336 px are where a law lets them be, and far enough apart."""
    points = [(mark.x, mark.y, mark.nearness) for mark in marks]
    top, bottom = (share * MARKED_SIZE for share in law.rows)
    inside = all(
        law.margins[0] <= x < MARKED_SIZE - law.margins[1] and top <= y < bottom and nearness >= law.least
        for x, y, nearness in points
    )
    pairs = ((a, b) for number, a in enumerate(points) for b in points[:number])
    return inside and all(_compatible(a, b, law) for a, b in pairs)


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


def _candidates(
    nearness: np.ndarray,
    ids: np.ndarray | None,
    rng: np.random.Generator,
    law: PointLaw,
    allowed: np.ndarray | None,
) -> list[tuple[int, int, float]]:
    """Points x, y, nearness with smooth surroundings, on objects and off them."""
    size = nearness.shape[0]
    low, high = (int(share * size + 1e-9) for share in law.rows)  # a share of a whole number of pixels is one
    left, right = law.margins[0], size - law.margins[1]
    number = 64
    picks = np.zeros(0, int)
    rows = columns = picks
    if ids is not None:
        objects = ids > 0 if allowed is None else (ids > 0) & allowed
        rows, columns = np.nonzero(objects[low:high, left:right])
        wanted = int(number * ON_OBJECT)
        picks = rng.integers(0, max(len(rows), 1), wanted) if len(rows) else picks
    ys = np.concatenate([rows[picks] + low, rng.integers(low, high, number - len(picks))])
    xs = np.concatenate([columns[picks] + left, rng.integers(left, right, number - len(picks))])
    around = np.arange(-2, 3)
    patch = ys[:, None, None] + around[:, None], xs[:, None, None] + around  # (number, 5, 5)
    fit = (np.ptp(nearness[patch], axis=(1, 2)) < EDGE) & (nearness[ys, xs] >= law.least)
    if allowed is not None:
        fit &= allowed[patch].all((1, 2))
    scale = MARKED_SIZE / size
    return [
        (round((x + 0.5) * scale), round((y + 0.5) * scale), float(nearness[y, x]))
        for y, x in zip(ys[fit], xs[fit], strict=True)
    ]


def _compatible(a: tuple[int, int, float], b: tuple[int, int, float], law: PointLaw) -> bool:
    dx, dy = a[0] - b[0], a[1] - b[1]
    if dx * dx + dy * dy < APART * APART or abs(a[2] - b[2]) < law.other_gap:
        return False
    # letter against the other point, both ways round
    return all(dx * dx + (dy + rise) ** 2 >= _LETTER_CLEAR**2 for rise in (LETTER_RISE, -LETTER_RISE))


@lru_cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)
