"""SAM 2's own embeddings of a click.

Shapes: M clicks, V cells, C width of SAM's prompts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Sam2Model


@torch.no_grad()
def click_embeddings(sam: Sam2Model, points: Tensor) -> Tensor:
    """Embeddings (M, C) float32 of one click each at points (M, 2), x before y, in pixels of SAM's input."""
    with torch.autocast(points.device.type, enabled=False):
        labels = torch.ones(len(points), 1, 1, dtype=torch.int64, device=points.device)
        embedded, _ = sam.prompt_encoder(points[:, None, None], labels, None, None)
    return embedded[:, 0, 0].float()  # the token beside it says only that there is no box


@torch.no_grad()
def cell_clicks(sam: Sam2Model, cells: int) -> Tensor:
    """Embeddings (V, C) float32 of a click at the centre of each of V cells, a square grid in raster order."""
    grid = round(cells**0.5)
    assert grid**2 == cells, "visual tokens form a square grid"
    device = sam.device
    places = (torch.arange(grid, device=device) + 0.5) * (sam.config.prompt_encoder_config.image_size / grid)
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    return click_embeddings(sam, torch.stack([columns, rows], -1).flatten(0, 1))
