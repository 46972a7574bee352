"""The models of a pack by what they are for, and which of them a split may use."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache

import numpy as np

from perceptio.scenes.assets.colors import color_word
from perceptio.scenes.assets.pack import Model, Pack
from perceptio.scenes.rendering.layers import layers_of

_SAMPLES = 160  # places on a model where its colour is measured
_NEUTRAL = (1.0, 1.0, 1.0)


class Inventory:
    """What may stand in scenes of one split.

    Args:
        pack: the models.
        split: training and its own test see neither held-out instances nor held-out classes; `test-instances` sees
            held-out instances where a class has some; `test-classes` sees held-out classes as well.
    """

    def __init__(self, pack: Pack, split: str) -> None:
        self.pack = pack
        self._number = {model.name: number for number, model in enumerate(pack.models)}
        self._use = [model for model in pack.models if self._allowed(model, split)]
        if split == "test-instances":
            fresh = {model.noun for model in self._use if model.held_out}
            self._use = [model for model in self._use if model.held_out or model.noun not in fresh]
        self._by: dict[tuple[str, str], list[Model]] = {}
        for model in self._use:
            kind = pack.classes[model.noun]
            for place in (*kind.places, ""):
                self._by.setdefault((kind.role, place), []).append(model)
        self.held_out = [model for model in self._use if pack.classes[model.noun].held_out]
        self.colors = cache(self._colors)

    def _allowed(self, model: Model, split: str) -> bool:
        kind = self.pack.classes[model.noun]
        if kind.role in ("none", "group") or not model.indices:
            return False
        if kind.held_out:
            return split == "test-classes"
        return not model.held_out or split == "test-instances"

    def number(self, model: Model) -> int:
        """Of a model in its pack."""
        return self._number[model.name]

    def of(self, *roles: str, place: str = "") -> list[Model]:
        """The models of some roles, in one kind of place or in all."""
        return [model for role in roles for model in self._by.get((role, place), ())]

    def named(self, nouns: Iterable[str], place: str = "") -> list[Model]:
        """The models of some nouns, and of classes that may be called so."""
        wanted = set(nouns)
        return [
            model
            for model in self._use
            if (model.noun in wanted or wanted & set(self.pack.classes[model.noun].also))
            and (not place or place in self.pack.classes[model.noun].places)
        ]

    def pick(self, rng: random.Random, models: list[Model]) -> Model | None:
        """One of the models: first a noun, so that classes with many models do not crowd out the others."""
        if not models:
            return None
        noun = rng.choice(sorted({model.noun for model in models}))
        return rng.choice([model for model in models if model.noun == noun])

    def surfaces(self, *groups: str) -> list[int]:
        """Layers of the surface pictures of some groups."""
        return layers_of(self.pack, *groups)

    def word(self, model: Model, tint: tuple[float, float, float] = _NEUTRAL) -> str | None:
        """The colour word of a model whose linear colours are multiplied by `tint`; None where none is safe."""
        if tint == _NEUTRAL:
            return model.color
        linear = self.colors(self.number(model)) * np.array(tint, np.float32)
        return color_word(np.clip(linear, 0, 0.92) ** (1 / 2.2), np.ones(len(linear), np.float32))

    def _colors(self, number: int) -> np.ndarray:
        """Linear colours (N, 3) at places of a model's skin, each standing for an equal area."""
        pack, model = self.pack, self.pack.models[number]
        faces = pack.indices[model.first_index : model.first_index + model.indices].reshape(-1, 3)
        a, b, c = (pack.positions[faces[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        rng = np.random.default_rng(number)
        chosen = faces[rng.choice(len(faces), _SAMPLES, p=area / area.sum())]
        share = rng.dirichlet((1, 1, 1), _SAMPLES).astype(np.float32)
        uv = (pack.uv[chosen] * share[..., None]).sum(1)
        rows = pack.materials[pack.material[chosen[:, 0]]]
        srgb = rows[:, :3].copy()
        textured = rows[:, 3] >= 0
        if textured.any():
            side = pack.textures.shape[1]
            x, y = (np.floor(uv[textured] % 1.0 * side).astype(int).clip(0, side - 1)).T
            srgb[textured] = pack.textures[rows[textured, 3].astype(int), y, x, :3] / 255
        return (srgb**2.2).astype(np.float32)
