"""Draw the scenes of any world: what a rendering process, and a sheet of fresh scenes, asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.renderer import Renderer
from perceptio.scenes.worlds import PLACES, TABLETOP, World, world_named

if TYPE_CHECKING:
    from perceptio.scenes.assets.pack import Pack


@dataclass(frozen=True)
class Subject:
    """What is drawn.

    Raises:
        ValueError: for an unknown world or split, or if the world needs a pack and there is none.
    """

    world: str = TABLETOP.name
    split: str = "train"
    pack: Path | None = None  # folder of models and surfaces

    def __post_init__(self) -> None:
        world = self.of
        if self.split not in world.splits:
            raise ValueError(f"unknown split {self.split!r} of {world.name}: choose one of {', '.join(world.splits)}")
        if world.needs_pack and self.pack is None:
            raise ValueError(f"{world.name} is drawn with a pack of models and surfaces: make one with `scenes assets`")
        if not world.needs_pack and self.pack is not None:
            raise ValueError(f"{world.name} is drawn without a pack: leave it out, or choose another world")

    @property
    def of(self) -> World:
        """The world."""
        return world_named(self.world)


class Artist:
    """Draws scenes of one split at one size. Make it in the process that uses it (OpenGL does not survive a fork).

    Args:
        subject: what to draw.
        size: side of the pictures, px.

    Raises:
        ValueError: for a size that cannot be, or a pack that cannot be used.
        RendererError: where OpenGL is missing.
    """

    def __init__(self, subject: Subject, size: int = 224) -> None:
        self.subject = subject
        self._renderer: Any
        self._sampler: Any = None
        self._pack: Pack | None = None
        if subject.pack is None:
            self._renderer = Renderer(size)
            return
        from perceptio.scenes.assets.pack import Pack
        from perceptio.scenes.rendering.textured import TexturedRenderer

        self._pack = Pack(subject.pack)
        self._renderer = TexturedRenderer(self._pack, size)
        if subject.of is PLACES:
            from perceptio.scenes.places.sampler import PlacesSampler

            self._sampler = PlacesSampler(self._pack, subject.split, self._renderer)

    def __enter__(self) -> Artist:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.close()

    @property
    def driver(self) -> str:
        """Name of the OpenGL driver."""
        return str(self._renderer.driver)

    def draw(self, seed: int) -> tuple[Any, RenderedScene]:
        """Scene number `seed` of the split, with its picture."""
        if self._sampler is not None:
            return self._sampler.draw(seed)
        scene = sample_scene(seed, self.subject.split)
        if self._pack is None:
            return scene, self._renderer.render(scene)
        from perceptio.scenes.tabletop.photographic import photographic

        return scene, self._renderer.render(photographic(scene, self._pack))
