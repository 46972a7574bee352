"""What all networks share that predict the depth of a photograph.

Legend: B pictures, H, W px of a picture, h, w px of what the network predicts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from perceptio.depth.normalization import normalize_inverse_depth
from perceptio.pretrained.folder import locate, naming, read_object
from perceptio.pretrained.misfits import refuse_misfits
from perceptio.pretrained.weights import build_network, read_weights

_LONGEST = 8  # times as long as wide, and a picture is stretched to a square: its short side would shrink to no patch


class NetworkTeacher(ABC):
    """A trained network in a folder.

    Args:
        name: a folder or hub id.
        device: of the network.

    Raises:
        ValueError: if the network cannot be loaded, or is of another kind; the file is named.
    """

    unused: ClassVar[str] = "\0"  # weights that the network never reads begin so: they may be absent

    def __init__(self, name: str | Path, device: str = "cpu") -> None:
        folder = locate(name)
        path = folder / "config.json"
        with naming(path):
            self.config = self.read_config(read_object(path))
        path = folder / "preprocessor_config.json"
        with naming(path):
            self.processor = self.read_processor(read_object(path))
        weights = read_weights(folder, most=math.inf)  # maps that overflow are refused picture by picture
        with naming(f"the depth teacher {name}"):
            model, report = build_network(self.network(), self.config, weights, torch.float32)
            # they would be random numbers, and so would every depth map
            missing = [name for name in report["missing"] if not name.startswith(self.unused)]
            refuse_misfits({**report, "missing": missing, "unexpected": []}, "the network of its config.json")
            self.model: Any = model
            self.model.eval()
            self.try_out()
        self.model.to(device)

    @abstractmethod
    def network(self) -> type[Any]:
        """Its class in transformers."""

    @abstractmethod
    def read_config(self, stored: dict[str, Any]) -> Any:
        """Its configuration, checked; a ValueError names the field that is wrong."""

    @abstractmethod
    def read_processor(self, stored: dict[str, Any]) -> Any:
        """How its pictures are prepared, likewise."""

    @abstractmethod
    def pixels(self, image: Image.Image) -> Tensor:
        """(3, h, w), what the network reads."""

    @abstractmethod
    def nearness(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """(h, w) as predicted -> (H, W) inverse depth of any scale, for a picture of the size (W, H)."""

    def try_out(self) -> None:
        """Find contradictions of the configuration that its fields do not show, by an error of the network."""
        return None

    def batch_key(self, pixels: Tensor, number: int) -> tuple[int, ...]:
        """Pictures of one key may be read together; `number` tells them apart."""
        return tuple(pixels.shape)

    def inverse_depth(self, picture: Image.Image) -> np.ndarray:
        """The relative inverse depth (H, W) of an RGB picture, float32 in [-1, 1], larger is nearer.

        Raises:
            ValueError: if the network gives no usable map.
        """
        return self.inverse_depths([picture])[0]

    @torch.no_grad()
    def inverse_depths(self, pictures: Sequence[Image.Image]) -> list[np.ndarray]:
        """As `inverse_depth`, for several pictures; those that the network reads at one size share a batch.

        Raises:
            ValueError: as `inverse_depth`.
        """
        alike: dict[tuple[int, ...], list[int]] = {}
        pixels, sizes = [], []
        for number, picture in enumerate(pictures):
            pixels.append(self.pixels(picture))
            sizes.append(picture.size)
            alike.setdefault(self.batch_key(pixels[-1], number), []).append(number)
        found: dict[int, np.ndarray] = {}
        for numbers in alike.values():
            batch = torch.stack([pixels[number] for number in numbers]).to(self.model.device)
            predicted_Bhw = self.model(pixel_values=batch).predicted_depth.float()
            for number, each in zip(numbers, predicted_Bhw, strict=True):
                found[number] = normalize_inverse_depth(self.nearness(each, sizes[number]).cpu().numpy())
        return [found[number] for number in range(len(pictures))]


def keeps_shape(image: Image.Image) -> bool:
    """Whether a picture may be read in its own shape, not as a square."""
    return max(image.size) <= _LONGEST * min(image.size)
