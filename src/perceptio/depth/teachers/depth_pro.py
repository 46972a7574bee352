"""Depth Pro (2410.02073) through transformers. Licence of its weights: Apple's research licence (apple-amlr)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from perceptio.depth.teachers import depth_pro_configuration as configuration
from perceptio.depth.teachers.network import NetworkTeacher


class DepthPro(NetworkTeacher):
    """It predicts inverse depth, up to a factor that the focal length gives; every picture is read as a square."""

    unused = "fusion_stage.intermediate.0.residual_layer1."  # the first fusion has nothing to add

    def network(self) -> type[Any]:
        """As `NetworkTeacher`."""
        from transformers import DepthProForDepthEstimation

        kind: type[Any] = DepthProForDepthEstimation
        return kind

    def read_config(self, stored: dict[str, Any]) -> Any:
        """As `NetworkTeacher`."""
        return configuration.read_config(stored)

    def read_processor(self, stored: dict[str, Any]) -> Any:
        """The fields of its image processor, which itself would need torchvision."""
        return configuration.read_side(stored, self.config)

    @torch.no_grad()
    def try_out(self) -> None:
        """Without numbers: its one size of picture takes half a minute on a CPU."""
        side = self.processor["size"]["height"]
        with torch.device("meta"):
            self.network()(self.config).eval()(pixel_values=torch.zeros(1, 3, side, side))

    def pixels(self, image: Image.Image) -> Tensor:
        """As `NetworkTeacher`: scaled, normalised, then resized without a filter, as its image processor does."""
        mean, deviation = (torch.tensor(self.processor[name])[:, None, None] for name in ("image_mean", "image_std"))
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
        side = self.processor["size"]["height"]
        return F.interpolate(((pixels - mean) / deviation)[None], (side, side), mode="bilinear")[0]

    def nearness(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """As `NetworkTeacher`."""
        return F.interpolate(predicted[None, None], size[::-1], mode="bilinear")[0, 0]
