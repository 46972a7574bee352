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

_SIDE = 448  # px, enlarged so that outlines and labels have room


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


def draw_scenes(scenes: Sequence[StoredScene], path: str | Path, *, seed: int = 0) -> None:
    """Write a sheet with one row a scene: the picture as the model sees it, all masks, the depth map, the questions.

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
        masks = [_enlarged(stored.ids == thing.index) for thing in things]
        labels = [facts.words(kind_of(thing, ("color", "noun"))) for thing in things]
        picture = Image.fromarray(stored.rgb).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        tiles += [
            (Image.fromarray(sample.image).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), asked),
            (draw_masks(picture, masks, labels), f"{sample.key}: {len(things)} objects"),
            (color_depth(sample.depth), f"{stored.depth.min():.1f} to {stored.depth.max():.1f} m"),
        ]
    page = contact_sheet(tiles, columns=3, width=_SIDE, lines=12)
    with replacing(path) as beside:
        page.save(beside, format="PNG")


def _enlarged(mask: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(mask).resize((_SIDE, _SIDE), Image.Resampling.NEAREST))
