"""A page where a person sees pictures, masks, depth and words together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.files import replacing
from perceptio.scenes.language.facts import Kind
from perceptio.scenes.samples import build_sample
from perceptio.scenes.storage import StoredScene
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.renderer import Renderer
from perceptio.scenes.views import describe_view
from perceptio.tokens import extract_phrases
from perceptio.visualize import color_depth, contact_sheet, draw_masks

_SIDE = 448  # px, enlarged so that outlines and labels have room


def fresh_scenes(split: str, count: int, size: int = 224) -> list[StoredScene]:
    """The first scenes of a split, rendered now."""
    scenes = []
    with Renderer(size) as renderer:
        for seed in range(count):
            scene = sample_scene(seed, split)
            drawn = renderer.render(scene)
            scenes.append(StoredScene(scene, drawn.rgb, drawn.depth, drawn.ids, describe_view(drawn, scene)))
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
        things = [thing for thing, view in zip(stored.scene.objects, stored.views, strict=True) if view.pixels]
        masks = [_enlarged(stored.ids == thing.index) for thing in things]
        labels = [Kind(color=thing.color, shape=thing.shape).words() for thing in things]
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
