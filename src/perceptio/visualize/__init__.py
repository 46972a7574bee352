"""Pictures for people: masks on their image, coloured depth, contact sheets. Arrays and Pillow images in and out."""

from __future__ import annotations

from perceptio.visualize.depth import color_depth
from perceptio.visualize.masks import draw_masks
from perceptio.visualize.sheet import contact_sheet

__all__ = ["color_depth", "contact_sheet", "draw_masks"]
