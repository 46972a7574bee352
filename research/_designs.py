"""Four towers that see depth, and what they are taught: the parts of `tower.py`.

Shapes: B pictures, S side, g patches along a side, D width of nano's tower, P pairs of patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log
from types import MappingProxyType
from typing import Any

import torch
from _lite import EARLY, WIDTH, features, load_lite0
from torch import Tensor, nn
from torch.nn import functional as F

from perceptio.nano.build import Sizes, build_model
from perceptio.nano.text_tokenizer import train_tokenizer
from perceptio.training.codebook.settings import DepthSizes

PATCH = 8  # px, nano's, and the finest stride of Lite0's features
_HIDDEN = 128  # channels of the head
_PAIRS = 256  # drawn a picture
_ROWS = 0.1  # of the picture: a pair's points are less than so far apart in height
_APART = 1.12  # least ratio of their depths
_SHARPNESS = 10.0  # of the ranking loss: nearness goes from -1 to 1
_RANKING = 0.3  # its weight beside that of nearness


class Design(nn.Module):
    """A tower and a head, the same in all: (B, D, g, g) states -> nearness.

    Args:
        width: D.
    """

    rates: Mapping[str, float] = MappingProxyType({})  # factors on the learning rate, by the name of a part
    cached = False  # whether `see` does not change while it is trained

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(width, _HIDDEN, 1), nn.GELU(), nn.Conv2d(_HIDDEN, _HIDDEN, 3, padding=1), nn.GELU()
        )
        self.nearness_head = nn.Conv2d(_HIDDEN, 1, 1)

    def see(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """What `forward` takes, of (B, 3, S, S) normalised pixels."""
        return (pixels,)

    def forward(self, *seen: Tensor) -> tuple[Tensor, Tensor | float]:
        """Nearness (B, g, g), and a loss () of the design's own while it is trained."""
        raise NotImplementedError

    def nearness(self, states: Tensor) -> Tensor:
        """(B, D, g, g) -> (B, g, g) float32."""
        normed = F.layer_norm(states.movedim(1, -1), states.shape[1:2]).movedim(-1, 1)
        maps: Tensor = self.nearness_head(self.head(normed))
        return maps[:, 0].float()


class Frozen(Design):
    """(a) Lite0 as it is, and the head."""

    cached = True

    def __init__(self, side: int) -> None:
        super().__init__(WIDTH)
        self.trunk = load_lite0().requires_grad_(False)

    def see(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The maps of all strides."""
        return tuple(self.trunk.maps(pixels))

    def forward(self, *seen: Tensor) -> tuple[Tensor, Tensor | float]:
        """As of any design."""
        return self.nearness(features(list(seen))), 0.0


class Nano(Design):
    """(b) nano's tower from nothing."""

    def __init__(self, side: int) -> None:
        sizes = Sizes(image=side, patch=PATCH)
        super().__init__(sizes.vision_width)
        # the words of the model around it do not matter
        model = build_model(train_tokenizer(["picture"], 263), DepthSizes().configuration, sizes)
        self.tower: Any = model.vlm.model.vision_tower
        self.tower.set_attn_implementation("eager")  # on a CPU a step takes four fifths of the time with the fused one

    def states(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, D, g, g)."""
        return _on_grid(self.tower(pixel_values=pixels).last_hidden_state)

    def forward(self, *seen: Tensor) -> tuple[Tensor, Tensor | float]:
        """As of any design."""
        return self.nearness(self.states(*seen)), 0.0


class Taught(Nano):
    """(c) nano's tower, from whose states one linear layer must also make Lite0's features."""

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.teacher = load_lite0().requires_grad_(False)
        self.student_head = nn.Conv2d(self.tower.config.hidden_size, WIDTH, 1)

    def forward(self, *seen: Tensor) -> tuple[Tensor, Tensor | float]:
        """As of any design; the loss is 1 less the cosine of features made and true."""
        states = self.states(*seen)
        if not self.training:
            return self.nearness(states), 0.0
        with torch.no_grad():
            wanted = features(self.teacher.maps(*seen))
        return self.nearness(states), 1 - F.cosine_similarity(self.student_head(states).float(), wanted, dim=1).mean()


class OnTrunk(Nano):
    """(d) Lite0's features in place of patches under nano's blocks; what comes after stride 8 learns slowly."""

    rates = MappingProxyType({"trunk": 0.1})

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.trunk = load_lite0()
        for part in (self.trunk.conv_stem, self.trunk.bn0, *self.trunk.blocks[:EARLY]):
            part.requires_grad_(False)
        self.entry = nn.Conv2d(WIDTH, self.tower.config.hidden_size, 1)

    def states(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, D, g, g)."""
        with torch.no_grad():
            early = self.trunk.early(pixels)
        patches = self.entry(features(self.trunk.late(early))).flatten(2).mT
        embeddings = self.tower.embeddings
        first = embeddings.cls_token.expand(len(patches), -1, -1)
        states = torch.cat([first, patches], 1) + embeddings.position_embeddings
        return _on_grid(self.tower.encoder(states).last_hidden_state)


DESIGNS: Mapping[str, type[Design]] = MappingProxyType(
    {"frozen": Frozen, "nano": Nano, "taught": Taught, "on-trunk": OnTrunk}
)


def depth_loss(nearness: Tensor, wanted: Tensor, inverse_depth: Tensor | None, generator: torch.Generator) -> Tensor:
    """L1, and with inverse depth the logistic loss of pairs whose points lie at nearly one height (1604.03901, eq. 2).

    Args:
        nearness: (B, g, g).
        wanted: (B, g, g), from -1 to 1.
        inverse_depth: (B, g, g) 1 / m, for the ranking loss.
        generator: of the pairs.
    """
    loss = F.l1_loss(nearness, wanted)
    if inverse_depth is None:
        return loss
    count, grid = wanted.shape[:2]
    reach = ceil(_ROWS * grid) - 1
    rows = torch.randint(grid, (count, _PAIRS), generator=generator)
    others = (rows + torch.randint(-reach, reach + 1, rows.shape, generator=generator)).clamp(0, grid - 1)
    columns = torch.randint(grid, (2, count, _PAIRS), generator=generator)
    first, second = rows * grid + columns[0], others * grid + columns[1]

    def difference(maps: Tensor) -> Tensor:
        values = maps.flatten(1)
        return values.gather(1, first) - values.gather(1, second)

    ratios = difference(inverse_depth.log())
    told = ratios.abs() >= log(_APART)
    errors = F.softplus(-_SHARPNESS * ratios.sign() * difference(nearness))
    return loss + _RANKING * (errors * told).sum() / told.sum().clamp(min=1)


def _on_grid(states: Tensor) -> Tensor:
    """(B, 1 + g * g, D), the class token first -> (B, D, g, g)."""
    patches = states[:, 1:].mT
    side = round(patches.shape[-1] ** 0.5)
    return patches.unflatten(-1, (side, side))
