"""A depth map as points in space and as a relief, and how they look from the side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from perceptio import Perceptio
from perceptio.visualize import contact_sheet

PICTURE = Path(__file__).parents[1] / "src" / "perceptio" / "assets" / "sample.png"
OUT = Path("out/examples")
SIDE, FOCAL = 340, 262  # px of the pictures below

answer = Perceptio.from_pretrained("nano").ask(PICTURE, "Show the depth map.", depth="on")
cloud = answer.point_cloud()  # fov_degrees=, near= and far= where you know them
how = "guessed" if cloud.space.guessed else "stated"
print(f"{len(cloud.points)} points, field of view {cloud.space.fov:.0f} degrees ({how})")
OUT.mkdir(parents=True, exist_ok=True)
(OUT / "cloud.ply").write_bytes(cloud.ply())
(OUT / "cloud.glb").write_bytes(cloud.glb())
(OUT / "relief.glb").write_bytes(answer.relief())  # textured, with gaps where depth jumps


def seen_from(degrees: float) -> Image.Image:
    """The points as a camera sees them that has gone around the middle of the scene."""
    middle, angle = np.array([0, 0, -2.2]), np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    x, y, z = ((cloud.points - middle) @ turn.T + middle).T
    columns, rows = (SIDE / 2 + FOCAL * x / -z).astype(int), (SIDE / 2 + FOCAL * y / z).astype(int)
    shown = (z < 0) & (columns >= 0) & (columns < SIDE) & (rows >= 0) & (rows < SIDE)
    picture = np.full((SIDE, SIDE, 3), 24, np.uint8)
    order = np.argsort(z[shown])  # near points are painted over far ones
    picture[rows[shown][order], columns[shown][order]] = cloud.colors[shown][order]
    return Image.fromarray(picture)


tiles = [(seen_from(degrees), f"from {abs(degrees)}° {'left' if degrees > 0 else 'right'}") for degrees in (15, -15)]
contact_sheet([(seen_from(0), "as in the picture"), *tiles], columns=3, width=SIDE).save(
    OUT / "point_cloud.jpg", quality=85
)
