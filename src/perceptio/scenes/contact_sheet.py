"""A page where a person sees pictures, masks, depth and words together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.files import replacing
from perceptio.scenes.artist import Artist, Subject
from perceptio.scenes.language.describe import kind_of
from perceptio.scenes.language.facts import Facts
from perceptio.scenes.samples import build_sample
from perceptio.scenes.storage import StoredScene
from perceptio.scenes.views import describe_view
from perceptio.scenes.worlds import TABLETOP
from perceptio.tokens import extract_phrases
from perceptio.visualize import color_depth, contact_sheet, draw_masks

SIDE = 448  # px of a tile, enlarged so that outlines and labels have room
_NARROW = 300  # px; below it two scenes share a row


def fresh_scenes(
    split: str, count: int, size: int = 224, *, world: str = TABLETOP.name, pack: Path | None = None
) -> list[StoredScene]:
    """The first scenes of a split, rendered now.

    Raises:
        ValueError: see `Subject` and `Artist`.
        RendererError: where OpenGL is missing.
    """
    subject = Subject(world, split, pack)
    scenes = []
    with Artist(subject, size) as artist:
        for seed in range(count):
            scene, drawn = artist.draw(seed)
            views = describe_view(drawn, scene)
            scenes.append(StoredScene(scene, drawn.rgb, drawn.depth, drawn.ids, views, subject.of))
    return scenes


def draw_scenes(scenes: Sequence[StoredScene], path: str | Path, *, seed: int = 0, side: int = SIDE) -> None:
    """Write a sheet with one row a scene: the picture as the model sees it, all masks, the depth map, the questions.

    Args:
        scenes: to show.
        path: of the sheet; JPEG where it ends so, PNG otherwise.
        seed: of the questions.
        side: of a tile, px; below 300 two scenes share a row.

    Raises:
        OutputError: if the file cannot be written.
    """
    rng = np.random.default_rng(seed)
    tiles: list[tuple[Image.Image, str]] = []
    for stored in scenes:
        sample = build_sample(stored, rng, questions=5)
        assert isinstance(sample.image, np.ndarray)
        assert isinstance(sample.depth, np.ndarray)
        asked = "\n".join(
            f"{turn.question.splitlines()[0]} > {extract_phrases(turn.answer)[0]}" for turn in sample.turns
        )
        facts = Facts(stored)
        things = [thing for thing in facts.things if thing.view.pixels]
        masks = [_enlarged(stored.ids == thing.index, side) for thing in things]
        labels = [facts.words(kind_of(thing, ("color", "noun"))) for thing in things]
        picture = Image.fromarray(stored.rgb).resize((side, side), Image.Resampling.LANCZOS)
        tiles += [
            (Image.fromarray(sample.image).resize((side, side), Image.Resampling.LANCZOS), asked),
            (draw_masks(picture, masks, labels), f"{sample.key}: {len(things)} objects"),
            (color_depth(sample.depth), f"{stored.depth.min():.1f} to {stored.depth.max():.1f} m"),
        ]
    narrow = side < _NARROW
    letters = 11 if narrow else 16
    _save(contact_sheet(tiles, columns=6 if narrow else 3, width=side, letters=letters, lines=12), path)


def draw_pictures(scenes: Sequence[StoredScene], path: str | Path, *, side: int = 168) -> None:
    """Write a sheet of the pictures alone, eight in a row: do they look like photographs?

    Raises:
        OutputError: if the file cannot be written.
    """
    tiles = [(Image.fromarray(stored.rgb), "") for stored in scenes]
    _save(contact_sheet(tiles, columns=8, width=side, letters=2), path)


def _save(page: Image.Image, path: str | Path) -> None:
    jpeg = Path(path).suffix.lower() in (".jpg", ".jpeg")
    with replacing(path) as beside:
        page.save(beside, format="JPEG" if jpeg else "PNG", quality=82)


def _enlarged(mask: np.ndarray, side: int) -> np.ndarray:
    return np.array(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))
