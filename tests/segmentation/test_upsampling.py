"""A map at a picture's size: part by part it is the same as at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from perceptio.segmentation import upsampling
from perceptio.segmentation.upsampling import upsampled_parts


def gathered(values: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, int]:
    whole = torch.full((height, width), torch.nan)
    largest = 0
    for place, part in upsampled_parts(values, height, width):
        whole[place] = part
        largest = max(largest, part.numel())
    return whole, largest


@pytest.mark.parametrize(("height", "width"), [(90, 60), (1, 1), (7, 300), (300, 7), (20, 30)])
def test_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch, height: int, width: int) -> None:
    values = torch.randn(24, 24, generator=torch.Generator().manual_seed(0)) * 5
    expected = F.interpolate(values[None, None], (height, width), mode="bilinear")[0, 0]
    assert torch.equal(gathered(values, height, width)[0], expected)
    monkeypatch.setattr(upsampling, "_WHOLE", 0)
    monkeypatch.setattr(upsampling, "_PART", 128)
    found, largest = gathered(values, height, width)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert largest <= 128
