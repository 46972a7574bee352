"""Encoder and decoder of the depth VQ-VAE: plain residual convolutions around a grid of codes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from perceptio.depth.configuration import DepthTokenizerConfig


class ResidualBlock(nn.Module):
    """Depthwise 7x7 for a wide view, then a pointwise MLP: (B, C, h, w) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.contract = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.contract(F.gelu(self.expand(self.norm(self.spatial(x)))))


def level_widths(config: DepthTokenizerConfig) -> list[int]:
    """Channels of each level from fine to coarse, halving towards the fine end, at least 16."""
    levels = config.downsample.bit_length() - 1
    return [max(16, config.width >> (levels - 1 - level)) for level in range(levels)]


class Encoder(nn.Module):
    """(B, 1, S, S) in [-1, 1] -> (B, D, g, g)."""

    def __init__(self, config: DepthTokenizerConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width in level_widths(config):
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.GELU()]
            channels = width
        layers += [ResidualBlock(channels) for _ in range(config.blocks)]
        layers.append(nn.Conv2d(channels, config.code_dim, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


class Decoder(nn.Module):
    """(B, D, g, g) -> (B, 1, S, S); most of its depth is at the grid, where the view is widest and cheapest."""

    def __init__(self, config: DepthTokenizerConfig) -> None:
        super().__init__()
        widths = level_widths(config)[::-1]
        layers: list[nn.Module] = [nn.Conv2d(config.code_dim, widths[0], 1)]
        layers += [ResidualBlock(widths[0]) for _ in range(2 * config.blocks)]
        for width, finer in zip(widths, [*widths[1:], widths[-1]], strict=True):
            layers += [nn.Conv2d(width, 4 * finer, 3, padding=1), nn.PixelShuffle(2), nn.GELU()]
        layers.append(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, codes: Tensor) -> Tensor:
        return self.layers(codes)
