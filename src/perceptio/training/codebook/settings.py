"""The recipe of a depth tokenizer. It has the key `data`; the defaults are the parent's scale (AURORA, 2412.03548)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.training.limits import (
    Every,
    Name,
    NotEmpty,
    Range,
    Rate,
    Seed,
    Share,
    ShareBelowAll,
    Steps,
    StepsOrNone,
)
from perceptio.training.stage import Stage

SourceKind = Literal["images", "samples", "metric", "inverse", "maps", "scenes"]
TAUGHT = ("images", "samples")  # kinds of sources whose pictures a teacher looks at

_PARENT = DepthTokenizerConfig()
_STORED = 1.25  # sides of a stored map, of the tokenizer's: room for crops


@dataclass(frozen=True)
class DepthSizes:
    """Sizes of the depth tokenizer, see `DepthTokenizerConfig`; the defaults are its own.

    Raises:
        ValueError: if they do not fit each other.
    """

    image_size: Annotated[int, Range(16, 1024)] = _PARENT.image_size
    downsample: Annotated[int, Range(2, 256)] = _PARENT.downsample
    codes: Annotated[int, Range(2, 8192)] = _PARENT.codes
    code_dim: Annotated[int, Range(1, 2048)] = _PARENT.code_dim
    width: Annotated[int, Range(1, 2048)] = _PARENT.width
    blocks: Annotated[int, Range(1, 32)] = _PARENT.blocks

    def __post_init__(self) -> None:
        _ = self.configuration  # refuses what does not fit

    @property
    def configuration(self) -> DepthTokenizerConfig:
        """As the tokenizer takes it."""
        return DepthTokenizerConfig(**asdict(self))


@dataclass(frozen=True)
class MapSource:
    """What lies under a path of the recipe.

    `images`: a folder or tar file of pictures, for the teacher. `samples`: a file of samples, whose pictures the
    teacher looks at where they have no depth map of their own. `metric` and `inverse`: a folder of depth maps.
    `maps`: a folder of `perceptio tokenizer maps`. `scenes`: a folder of rendered scenes.
    """

    kind: SourceKind
    scale: Annotated[float, Range(1e-6, 1e6)] = 1000.0  # of metric PNGs: values per metre
    repeat: Annotated[int, Range(1, 1000)] = 1  # times that a pass goes through it


@dataclass(frozen=True)
class CodebookStage(Stage):
    """How the VQ-VAE is optimised."""

    steps: Steps = 50_000
    learning_rate: Rate = 3e-4
    weight_decay: Share = 0.01
    warmup: StepsOrNone = 500
    save_every: Every = 1000
    evaluate_every: Every = 1000  # steps between losses on the maps that are held out


@dataclass(frozen=True)
class CodebookRecipe:
    """One depth tokenizer."""

    name: Name
    data: Annotated[dict[str, MapSource], NotEmpty()]  # by path
    validation: dict[str, MapSource] = field(default_factory=dict)  # by path; none: a share of the data is held out
    teacher: str = ""  # folder or hub id of a depth network, for pictures
    seed: Seed = 0
    held_out: ShareBelowAll = 0.02  # share of each source, 512 maps at most, where no `validation` is named; 0: none
    crop: Annotated[float, Range(0.1, 1)] = 0.8  # side of the smallest random crop, of the map's; 1: no crops
    sizes: DepthSizes = field(default_factory=DepthSizes)
    training: CodebookStage = field(default_factory=CodebookStage)

    def __post_init__(self) -> None:
        sources = {**self.data, **self.validation}
        taught = [path for path, source in sources.items() if source.kind == "images"]
        if taught and not self.teacher:
            raise ValueError(f"{taught[0]} holds pictures, whose depth a `teacher` must say: name a depth network")
        if self.teacher and not any(source.kind in TAUGHT for source in sources.values()):
            raise ValueError(f"the teacher {self.teacher} has no pictures to look at: add some, or leave it out")

    @property
    def stored_size(self) -> int:
        """Side of the maps that are kept, px."""
        return round(self.sizes.image_size * _STORED)


def downsample_of(size: int, grid: int) -> int:
    """Map pixels per code, for a map of `size` px and `grid` codes along a side.

    Raises:
        ValueError: if it is not a power of two; the message names the grids that work.
    """
    downsample, rest = divmod(size, max(grid, 1))
    if grid < 1 or rest or downsample < 2 or downsample & (downsample - 1):
        works = [size >> power for power in range(1, size.bit_length()) if size % (1 << power) == 0]
        fits = ", ".join(map(str, sorted(each for each in works if each <= 128))) or "none: take a multiple of 32"
        raise ValueError(f"a map of {size} px cannot have a grid of {grid} x {grid} codes: grids that work are {fits}")
    return downsample
