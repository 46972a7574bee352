"""From a `[SEG]` state to a sparse prompt of SAM 2's mask decoder: LISA's projection (arXiv 2308.00692).

Shapes: M masks, D the language model's width, C width of SAM's prompts.
"""

from __future__ import annotations

from torch import Tensor, nn


class SegmentationProjector(nn.Module):
    """Linear-ReLU-Linear, as in LISA and Sa2VA (2501.04001).

    Args:
        input_size: D.
        output_size: C.
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_size, input_size), nn.ReLU(), nn.Linear(input_size, output_size))

    def forward(self, states: Tensor) -> Tensor:
        """Prompts (M, C) of the states (M, D) at `[SEG]`."""
        prompts: Tensor = self.layers(states)
        return prompts
