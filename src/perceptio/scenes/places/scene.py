"""What is written down of a scene of the second world: its camera, and everything that words may speak of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from perceptio.scenes.camera import Camera, Vector

FAMILIES = ("room", "street", "garden", "closeup", "wild")
PLACES = ("living room", "bedroom", "kitchen", "bathroom", "office", "street", "garden")
SPLITS = ("train", "val", "test", "test-instances", "test-classes")


@dataclass(frozen=True)
class Thing:
    """One thing; `index` is its value in the id map."""

    index: int  # from 1
    noun: str  # a class of the pack
    model: str | None  # its name in the pack; None for what we build ourselves (windows, rugs, pictures, houses)
    color: str | None  # None where no one word is safe
    center: Vector  # metres, middle of its box
    extent: Vector  # metres, full lengths of its box along its own axes
    yaw: float  # radians
    support: str  # "floor", "wall", "ceiling", "surface", "ground" or "air"
    on: int | None = None  # index of the thing that it stands on


@dataclass(frozen=True)
class PlacesScene:
    """A scene of the second world; its picture is drawn again from seed, split and pack alone."""

    seed: int
    split: str
    family: str  # one of FAMILIES
    place: str  # one of PLACES
    camera: Camera
    objects: tuple[Thing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PlacesScene:
        """Rebuild the scene that `to_dict` wrote (also after a trip through JSON)."""
        return cls(
            seed=data["seed"],
            split=data["split"],
            family=data["family"],
            place=data["place"],
            camera=Camera(**_tuples(data["camera"])),
            objects=tuple(Thing(**_tuples(each)) for each in data["objects"]),
        )


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
