"""ZoeDepth (2302.12288) through transformers. Licence of its weights: MIT."""

from __future__ import annotations

import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from perceptio.depth.teachers import zoe_depth_configuration as configuration
from perceptio.depth.teachers.network import NetworkTeacher, keeps_shape

_NEAREST = 1e-3  # m: enlarging the prediction may overshoot to zero and below
_TRIED = 64  # px


class ZoeDepth(NetworkTeacher):
    """It predicts metric depth, which is inverted here."""

    unused = "neck.fusion_stage.layers.0.residual_layer1."  # the first fusion has nothing to add

    def network(self) -> type[Any]:
        """As `NetworkTeacher`."""
        from transformers import ZoeDepthForDepthEstimation

        kind: type[Any] = ZoeDepthForDepthEstimation
        return kind

    def read_config(self, stored: dict[str, Any]) -> Any:
        """As `NetworkTeacher`."""
        return configuration.read_config(stored)

    def read_processor(self, stored: dict[str, Any]) -> Any:
        """As `NetworkTeacher`; whole patches must fit into what is read."""
        processor = configuration.read_processor(stored)
        patch = self.config.backbone_config.patch_size
        if processor.ensure_multiple_of % patch:
            raise ValueError(
                f"ensure_multiple_of must be a multiple of the patch_size {patch}, not {processor.ensure_multiple_of}"
            )
        return processor

    @torch.no_grad()
    def try_out(self) -> None:
        """As `NetworkTeacher`."""
        side = math.ceil(_TRIED / self.processor.ensure_multiple_of) * self.processor.ensure_multiple_of
        self.model(pixel_values=torch.zeros(1, 3, side, side))

    def pixels(self, image: Image.Image) -> Tensor:
        """As `NetworkTeacher`; the picture is mirrored beyond its borders."""
        keep = self.processor.keep_aspect_ratio and keeps_shape(image)
        pixels: Tensor = self.processor(images=image, keep_aspect_ratio=keep, return_tensors="pt")["pixel_values"][0]
        return pixels

    def batch_key(self, pixels: Tensor, number: int) -> tuple[int, ...]:
        """Of several heads the whole batch votes for one: then pictures must not be read together."""
        alone = (number,) if len(self.config.bin_configurations) > 1 else ()
        return (*pixels.shape, *alone)

    def nearness(self, predicted: Tensor, size: tuple[int, int]) -> Tensor:
        """As `NetworkTeacher`; the mirrored border, as wide as the processor makes it, is cut off."""
        width, height = size
        x, y = (int(math.sqrt(side / 2) * 3) for side in size)
        depth = F.interpolate(predicted[None, None], (height + 2 * y, width + 2 * x), mode="bicubic")[0, 0]
        return 1 / depth[y : y + height, x : x + width].clamp(min=_NEAREST)
