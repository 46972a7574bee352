"""The projection of a `[SEG]` state, by hand."""

from __future__ import annotations

import torch

from perceptio.segmentation.projector import SegmentationProjector


def test_it_is_linear_relu_linear_and_nothing_else() -> None:
    projector = SegmentationProjector(6, 4)
    assert sorted(name for name, _ in projector.named_parameters()) == [
        f"layers.{layer}.{kind}" for layer in (0, 2) for kind in ("bias", "weight")
    ]
    states = torch.randn(3, 6)
    first, second = projector.layers[0], projector.layers[2]
    expected = (states @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias
    torch.testing.assert_close(projector(states), expected)
