"""Draw a scene of the second world: which family, what stands where, from where it is seen, and is it worth a look."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.places.inventory import Inventory
from perceptio.scenes.places.outdoors import draw_garden, draw_street
from perceptio.scenes.places.room import draw_closeup, draw_room
from perceptio.scenes.places.scene import SPLITS, PlacesScene
from perceptio.scenes.places.solids import Site
from perceptio.scenes.places.stage import Stage
from perceptio.scenes.places.wild import draw_wild
from perceptio.scenes.rendering.drawing import NEVER_MARKED, Drawing
from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.rendering.textured import TexturedRenderer

SHARES = {"room": 0.34, "street": 0.16, "garden": 0.14, "closeup": 0.14, "wild": 0.22}
_TRIES = 60
_NEAREST = {"closeup": 0.15, "wild": 0.4}  # metres, least depth of all but the nearest two per cent of a picture
_LARGEST = 0.6  # share of the picture that one thing may cover

_DRAW: dict[str, Callable[[Stage], tuple[str, Drawing] | None]] = {
    "room": draw_room,
    "street": draw_street,
    "garden": draw_garden,
    "closeup": draw_closeup,
    "wild": draw_wild,
}


class PlacesSampler:
    """Draws scenes of one split; the same seed, split, pack, size and driver always give the same picture.

    Args:
        pack: models and surfaces.
        split: one of SPLITS.
        renderer: of the pack.

    Raises:
        ValueError: for an unknown split, or a pack without models of it.
    """

    def __init__(self, pack: Pack, split: str, renderer: TexturedRenderer) -> None:
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
        self.split, self.renderer = split, renderer
        self.inventory = Inventory(pack, split)
        if split == "test-classes" and not self.inventory.held_out:
            raise ValueError("the pack has no held-out classes to test")

    def draw(self, seed: int, family: str | None = None) -> tuple[PlacesScene, RenderedScene]:
        """Draw scene number `seed` of the split, of a random family by default.

        Raises:
            ValueError: if the pack has too little for such a scene.
        """
        rng = random.Random((seed * len(SPLITS) + SPLITS.index(self.split)) * 2 + 1)
        chosen = family or rng.choices(tuple(SHARES), tuple(SHARES.values()))[0]
        for number in range(_TRIES):
            if family is None and number == _TRIES // 2:
                chosen = "wild"  # a scene that cannot be drawn gives way to one that always can
            stage = Stage(rng, self.inventory, Site((4.0, 4.0)))
            drawn = _DRAW[chosen](stage)
            if drawn is None:
                continue
            place, drawing = drawn
            rendered = self.renderer.render(drawing, partial(self._worth, chosen, stage))
            if rendered is not None:
                return self._described(seed, chosen, place, drawing, stage, rendered)
        raise ValueError(f"scene {seed} of {self.split}: no {chosen} of this pack is worth a look in {_TRIES} tries")

    def _worth(self, family: str, stage: Stage, depth: np.ndarray, ids: np.ndarray) -> bool:
        """Whether a picture shows enough: some depth, some things, nothing before the lens."""
        z, seen = depth[::4, ::4], np.bincount(ids[::4, ::4].ravel(), minlength=256)
        seen[0] = 0
        named = seen[1:NEVER_MARKED]
        low, high = np.percentile(z, 2), np.percentile(z, 90)
        enough = (named > 12).sum() >= (1 if family == "closeup" else 2)
        if self.split == "test-classes":
            fresh = {model.name for model in self.inventory.held_out}
            enough = enough and any(thing.model in fresh and seen[thing.index] > 12 for thing in stage.things)
        return bool(enough and low > _NEAREST.get(family, 0.4) and named.max() < _LARGEST * z.size and high > 1.6 * low)

    def _described(
        self, seed: int, family: str, place: str, drawing: Drawing, stage: Stage, rendered: RenderedScene
    ) -> tuple[PlacesScene, RenderedScene]:
        """Keep what is seen, with indices 1, 2, ... in the order it was placed."""
        seen = np.bincount(rendered.ids.ravel(), minlength=256)
        kept = [thing for thing in stage.things if seen[thing.index]]
        new = np.zeros(256, np.uint8)
        new[NEVER_MARKED] = NEVER_MARKED
        new[[thing.index for thing in kept]] = range(1, len(kept) + 1)
        things = tuple(
            replace(thing, index=int(new[thing.index]), on=int(new[thing.on]) or None if thing.on else None)
            for thing in kept
        )
        visible = tuple(rendered.visible[thing.index - 1] for thing in kept)
        scene = PlacesScene(seed, self.split, family, place, drawing.camera, things)
        return scene, RenderedScene(rendered.rgb, rendered.depth, new[rendered.ids], visible)
