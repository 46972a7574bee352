"""What a procedural scene is: objects, structures, room, camera and lights, all as plain immutable values.

World frame: right-handed, metres, z up, floor at z = 0, room centred on x = y = 0. A rotation is a triple of ZYZ
angles in radians, R = Rz(yaw) @ Ry(pitch) @ Rz(spin), applied to the unit shape before it is moved into place.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from perceptio.scenes.camera import Camera, Vector

SHAPES = ("cube", "sphere", "cylinder", "cone", "torus", "pyramid", "capsule", "prism")
MATERIALS = ("matte", "metal", "striped", "checkered", "dotted")
SIZES = ("small", "medium", "large")
SUPPORTS = ("floor", "pedestal", "shelf", "stack", "ramp", "float", "hang")
SPLITS = ("train", "val", "test", "test-compositional", "test-shift")
FLOORS = ("plain", "wood", "tiles", "checker")
MAX_OBJECTS = 10

COLORS: dict[str, Vector] = {  # sRGB, 0..1
    "red": (0.84, 0.10, 0.11),
    "orange": (0.97, 0.51, 0.06),
    "yellow": (0.97, 0.88, 0.12),
    "green": (0.14, 0.60, 0.17),
    "cyan": (0.16, 0.82, 0.86),
    "blue": (0.12, 0.24, 0.84),
    "purple": (0.48, 0.15, 0.70),
    "pink": (0.98, 0.52, 0.74),
    "brown": (0.43, 0.25, 0.11),
    "white": (0.95, 0.95, 0.95),
}
SCALES = {"small": 0.27, "medium": 0.42, "large": 0.64}  # metres, the edge of the cube a unit shape fills

HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    {
        ("red", "torus"),
        ("orange", "pyramid"),
        ("yellow", "cube"),
        ("green", "sphere"),
        ("cyan", "cone"),
        ("blue", "capsule"),
        ("purple", "cylinder"),
        ("pink", "prism"),
        ("brown", "cone"),
        ("white", "cube"),
    }
)


@dataclass(frozen=True)
class SceneObject:
    """One instance that language may talk about; `index` is its value in the id map."""

    index: int  # from 1
    shape: str  # one of SHAPES
    color: str  # a key of COLORS
    material: str  # one of MATERIALS
    size: str  # one of SIZES
    scale: float  # metres, edge of the unit cube the shape lives in
    position: Vector  # metres, centre of the unit shape
    rotation: Vector  # radians, ZYZ
    support: str  # one of SUPPORTS


@dataclass(frozen=True)
class Structure:
    """A piece of furniture: it occludes and carries objects but is no instance (id 0)."""

    kind: str  # "shelf", "ramp", "pedestal", "string" or "clutter"
    mesh: str  # "box", "wedge" or "cylinder"
    position: Vector  # metres, centre
    extent: Vector  # metres, full lengths along the local axes
    rotation: Vector  # radians, ZYZ
    rgb: Vector  # sRGB, 0..1


@dataclass(frozen=True)
class Room:
    """A closed box, so that every pixel has a finite depth."""

    width: float  # metres along x
    length: float  # metres along y
    height: float  # metres along z
    floor: str  # one of FLOORS
    floor_rgb: Vector  # sRGB, 0..1
    wall_rgb: Vector  # sRGB, 0..1
    ceiling_rgb: Vector  # sRGB, 0..1
    pattern: float  # metres, length of a plank or tile


@dataclass(frozen=True)
class Light:
    """A distant light."""

    direction: Vector  # unit vector from the scene towards the light
    rgb: Vector  # linear colour times intensity
    shadows: bool  # whether objects cast shadows in it


@dataclass(frozen=True)
class Scene:
    """Everything the renderer needs and everything language may speak of."""

    seed: int
    split: str
    objects: tuple[SceneObject, ...]
    structures: tuple[Structure, ...]
    room: Room
    camera: Camera
    lights: tuple[Light, ...]
    ambient: Vector  # linear colour of light from everywhere

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Scene:
        """Rebuild the scene that `to_dict` wrote (also after a trip through JSON)."""
        return cls(
            seed=data["seed"],
            split=data["split"],
            objects=tuple(SceneObject(**_tuples(o)) for o in data["objects"]),
            structures=tuple(Structure(**_tuples(s)) for s in data["structures"]),
            room=Room(**_tuples(data["room"])),
            camera=Camera(**_tuples(data["camera"])),
            lights=tuple(Light(**_tuples(light)) for light in data["lights"]),
            ambient=tuple(data["ambient"]),
        )


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
