"""Put furniture into a room: groups that belong together, the rest, then small things, wall things and people."""

from __future__ import annotations

import math

from perceptio.scenes.assets.pack import Model
from perceptio.scenes.places.shell import Shell
from perceptio.scenes.places.solids import Solid, overlap
from perceptio.scenes.places.stage import Stage

ROOMS = {"living room": "living", "bedroom": "bed", "kitchen": "kitchen", "bathroom": "bath", "office": "office"}
# what a room is known by: at least one of these is tried first
_ANCHORS = {
    "living room": ("sofa", "armchair", "television"),
    "bedroom": ("bed",),
    "kitchen": ("kitchen cabinet", "stove", "refrigerator", "kitchen sink"),
    "bathroom": ("toilet", "sink", "bathtub", "shower"),
    "office": ("desk",),
}
_SMALL_PLANT = 0.5  # metres; it stands on furniture, a larger one on the floor
_BELOW_TOP = 0.08  # metres a thing's carrying top may lie below its highest point


class Furnisher:
    """Fills one room.

    Args:
        stage: with the shell on it.
        shell: of the room.
        place: which room it is.
    """

    def __init__(self, stage: Stage, shell: Shell, place: str) -> None:
        self.stage, self.shell, self.place = stage, shell, place
        self._key = ROOMS[place]

    def furnish(self, wanted: int) -> None:
        """Place about so many pieces of furniture, and small things on them."""
        stage, rng = self.stage, self.stage.rng
        inventory = stage.inventory
        for noun in _ANCHORS[self.place]:
            if rng.random() < 0.8:
                self._group(inventory.pick(rng, inventory.named([noun], self._key) or inventory.named([noun])))
        own = inventory.of("floor", "wallside", place=self._key)
        other = [model for key in ROOMS.values() for model in inventory.of("floor", "wallside", "plant", place=key)]
        other = [model for model in other if model.size[2] > _SMALL_PLANT or not self._is(model, "plant")]
        people = inventory.of("person")
        tries = 0
        while len(stage.placed) < wanted and tries < 80:
            tries += 1
            draw = rng.random()
            pool = own if draw < 0.72 else other if draw < 0.9 else people
            self._group(inventory.pick(rng, pool))
        self._wall_things(rng.randint(0, 3))
        self._small_things(rng.randint(2, 12))

    def _group(self, model: Model | None) -> None:
        """A model with what goes with it: chairs with a table, nightstands with a bed."""
        if model is None or model.size[2] > self.shell.height - 0.05:
            return
        index = self._place(model)
        if index is None:
            return
        rng, solid = self.stage.rng, self.stage.solids[index]
        names = {model.noun, *self.stage.inventory.pack.classes[model.noun].also}
        w, d = solid.size[0] / 2, solid.size[1] / 2
        if "desk" in names:
            self._beside(("office chair", "chair"), solid, rng.uniform(-0.2, 0.2), -d, math.pi, 0.8)
        elif "bed" in names:
            for side in (-1, 1):
                self._beside(("nightstand",), solid, side * w, 0.8 * d, 0.0, 0.6, sideways=True)
        elif "sofa" in names:
            self._beside(("coffee table", "table"), solid, 0.0, -d - rng.uniform(0.3, 0.5), 0.0, 0.6)
        elif "table" in names and solid.size[2] > 0.6:
            for turn in range(4):
                if rng.random() < 0.6:
                    out = d if turn % 2 == 0 else w
                    self._around(("chair", "stool"), solid, turn, out)

    def _around(self, nouns: tuple[str, ...], solid: Solid, turn: int, out: float) -> None:
        """A seat at one side of a table, facing it."""
        inventory, rng = self.stage.inventory, self.stage.rng
        model = inventory.pick(rng, inventory.named(nouns, self._key) or inventory.named(nouns))
        if model is None:
            return
        direction = solid.yaw + turn * math.pi / 2  # the seat's back points away from the table
        reach = out + model.size[1] / 2 + 0.04
        x = solid.foot[0] - math.sin(direction) * reach
        y = solid.foot[1] + math.cos(direction) * reach
        self._try(model, self.stage.fits(model, (x, y, 0.0), direction + rng.gauss(0, 0.12)), "floor")

    def _beside(
        self,
        nouns: tuple[str, ...],
        solid: Solid,
        right: float,
        back: float,
        turn: float,
        chance: float,
        sideways: bool = False,
    ) -> None:
        """A companion at a place of another thing's own frame, its near side there."""
        inventory, rng = self.stage.inventory, self.stage.rng
        model = inventory.pick(rng, inventory.named(nouns, self._key) or inventory.named(nouns))
        if model is None or rng.random() > chance:
            return
        if sideways:
            right += math.copysign(model.size[0] / 2 + 0.04, right)
        else:
            back -= model.size[1] / 2 + 0.04
        x, y = solid.at(right, back)
        self._try(model, self.stage.fits(model, (x, y, 0.0), solid.yaw + turn + rng.gauss(0, 0.06)), "floor")

    def _place(self, model: Model) -> int | None:
        """Put a model against a wall or somewhere on the floor."""
        rng, stage, shell = self.stage.rng, self.stage, self.shell
        role = stage.inventory.pack.classes[model.noun].role
        scale = rng.uniform(0.95, 1.05)
        for _ in range(6):
            if role == "wallside" or (role == "floor" and model.size[2] > 0.6 and rng.random() < 0.4):
                number = rng.randrange(4)
                wall = shell.walls[number]
                half = wall.length / 2 - model.size[0] * scale / 2 - 0.03
                if half < 0:
                    continue
                x, y, _ = wall.point(rng.uniform(-half, half), 0.0, model.size[1] * scale / 2 + 0.025)
                height = model.elevation if role == "wallside" else 0.0  # basins and radiators hang
                solid = stage.fits(model, (float(x), float(y), height), wall.yaw, scale)
            else:
                x, y = (rng.uniform(-0.5, 0.5) * (span - 0.6) for span in (shell.width, shell.length))
                turn = rng.choice((0, 1, 2, 3)) * math.pi / 2 + rng.gauss(0, 0.25)
                solid = stage.fits(model, (x, y, 0.0), turn if rng.random() < 0.6 else rng.uniform(0, math.tau), scale)
            index = self._try(model, solid, "floor")
            if index is not None:
                return index
        return None

    def _try(self, model: Model, solid: Solid, support: str, on: int | None = None) -> int | None:
        if not self.stage.site.free(solid) or len(self.stage.things) >= 55:
            return None
        return self.stage.put(model, solid, support, on)

    def _is(self, model: Model, role: str) -> bool:
        return self.stage.inventory.pack.classes[model.noun].role == role

    def _wall_things(self, count: int) -> None:
        """Things that hang on walls or from the ceiling, and a door."""
        stage, rng, shell = self.stage, self.stage.rng, self.shell
        inventory = stage.inventory
        for kind in ("door", *["wall"] * count, *["ceiling"] * (rng.random() < 0.5)):
            pool = inventory.of(kind, place=self._key) or inventory.of(kind)
            model = inventory.pick(rng, pool)
            if model is None or rng.random() < 0.25:
                continue
            if kind == "ceiling":
                x, y = rng.uniform(-0.3, 0.3) * shell.width, rng.uniform(-0.3, 0.3) * shell.length
                foot = (x, y, shell.height - model.size[2] - 0.001)
                self._try(model, stage.fits(model, foot, rng.uniform(0, math.tau)), "ceiling")
                continue
            number = rng.randrange(4)
            along = shell.free_span(number, model.size[0])
            foot_height = 0.0 if kind == "door" else max(model.elevation, 0.3)
            if along is None or foot_height + model.size[2] > shell.height:
                continue
            solid = shell.solid_on(number, along, foot_height, model.size)
            if self._try(model, solid, "wall") is not None:
                shell.occupy(number, along, model.size[0])

    def _small_things(self, count: int) -> None:
        """Things on the tops of furniture."""
        stage, rng = self.stage, self.stage.rng
        inventory = stage.inventory
        models = {model.name: model for model in inventory.pack.models}
        tops: list[tuple[int, float]] = []
        for thing in stage.things:
            model = models.get(thing.model or "")
            if model is None or model.top is None or thing.support != "floor":
                continue
            if 0.25 < model.top < 1.4 and model.size[2] - model.top < _BELOW_TOP and min(model.size[:2]) > 0.25:
                tops.append((thing.index, model.top * thing.extent[2] / model.size[2]))
        pool = inventory.of("small", place=self._key) or inventory.of("small")
        pool = pool + [model for model in inventory.of("plant") if model.size[2] <= _SMALL_PLANT]
        for _ in range(count if tops else 0):
            below, height = rng.choice(tops)
            carrier, small = stage.solids[below], inventory.pick(rng, pool)
            if small is None or max(small.size[:2]) > 0.8 * min(carrier.size[:2]):
                continue
            reach = [0.7 * (carrier.size[k] - max(small.size[:2])) / 2 for k in range(2)]
            x, y = carrier.at(rng.uniform(-1, 1) * reach[0], rng.uniform(-1, 1) * reach[1])
            # what lies on a top with a rim touches the box of its carrier
            solid = stage.fits(small, (x, y, carrier.foot[2] + height), rng.uniform(0, math.tau))
            others = [other for other in stage.site.solids if other is not carrier]
            if stage.site.inside(solid) and not any(overlap(solid, other, 0.01) for other in others):
                stage.put(small, solid, "surface", below)
