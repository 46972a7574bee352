"""The models of a pack by what they are for, and which of them a split may use."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache

import numpy as np

from perceptio.scenes.assets.colors import color_word, seen_colors
from perceptio.scenes.assets.pack import Model, Pack
from perceptio.scenes.camera import Vector
from perceptio.scenes.rendering.layers import layers_of

_MEASURED = 200  # places of a model at which another colour of it is measured: each takes time
_FRESH = 0.3  # share of picks among held-out classes where there are some
_COMMON = 0.7  # how a class grows more common with its models: people draw more kinds of what is seen more often


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
        self._pools: dict[tuple[tuple[str, ...], str], list[Model]] = {}  # a scene asks a hundred times
        self._layers: dict[tuple[str, ...], list[int]] = {}

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
        if (roles, place) not in self._pools:
            self._pools[roles, place] = [model for role in roles for model in self._by.get((role, place), ())]
        return self._pools[roles, place]

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
        """One of the models: first a noun, so that a class of thirty models is not thirty times as common."""
        if not models:
            return None
        fresh = [model for model in models if model in self.held_out] if self.held_out else []
        if fresh and rng.random() < _FRESH:  # in no split but the one that tests them
            models = fresh
        by_noun: dict[str, list[Model]] = {}
        for model in models:
            by_noun.setdefault(model.noun, []).append(model)
        common = [len(same) ** _COMMON for same in by_noun.values()]
        return rng.choice(rng.choices(list(by_noun.values()), common)[0])

    def surfaces(self, *groups: str) -> list[int]:
        """Layers of the surface pictures of some groups."""
        if groups not in self._layers:
            self._layers[groups] = layers_of(self.pack, *groups)
        return self._layers[groups]

    def word(self, model: Model, tint: Vector) -> str | None:
        """The colour word of a model whose linear colours are multiplied by `tint`; None where none is safe."""
        rgb, weights = self.colors(self.number(model))
        return color_word(np.clip(rgb**2.2 * np.array(tint, np.float32), 0, 0.92) ** (1 / 2.2), weights)

    def _colors(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The colours of a model and the areas where they are seen, see `seen_colors`."""
        pack, model = self.pack, self.pack.models[number]
        faces = pack.indices[model.first_index : model.first_index + model.indices].reshape(-1, 3)
        used, local = np.unique(faces, return_inverse=True)
        faces = local.reshape(-1, 3)
        looks = pack.materials[pack.material[used][faces[:, 0]]]
        rgb, weights = seen_colors(pack.positions[used], faces, pack.uv[used], looks, pack.textures)
        return rgb[:_MEASURED], weights[:_MEASURED]  # they come in random order
