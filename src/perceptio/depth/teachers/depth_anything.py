"""Depth Anything V2 (2406.09414) through transformers.

Licences of its weights: Small is Apache-2.0; Base and Large are CC-BY-NC-4.0 (no commercial use).
"""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from perceptio.depth.teachers.depth_anything_configuration import read_teacher_config, read_teacher_processor
from perceptio.depth.teachers.network import NetworkTeacher, keeps_shape


class DepthAnything(NetworkTeacher):
    """It predicts relative inverse depth; its metric variants are refused."""

    unused = "neck.fusion_stage.layers.0.residual_layer1."  # the first fusion has nothing to add

    def network(self) -> type[Any]:
        """As `NetworkTeacher`."""
        from transformers import DepthAnythingForDepthEstimation

        kind: type[Any] = DepthAnythingForDepthEstimation
        return kind

    def read_config(self, stored: dict[str, Any]) -> Any:
        """As `NetworkTeacher`."""
        return read_teacher_config(stored)

    def read_processor(self, stored: dict[str, Any]) -> Any:
        """As `NetworkTeacher`."""
        return read_teacher_processor(stored)

    def pixels(self, image: Image.Image) -> Tensor:
        """As `NetworkTeacher`."""
        keep = self.processor.keep_aspect_ratio and keeps_shape(image)
        pixels: Tensor = self.processor(images=image, keep_aspect_ratio=keep, return_tensors="pt")["pixel_values"][0]
        return pixels

    def nearness(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """As `NetworkTeacher`."""
        return F.interpolate(predicted[None, None], size[::-1], mode="bilinear")[0, 0]
