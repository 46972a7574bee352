"""Ask about a picture; draw the masks and the depth map beside it."""

from __future__ import annotations

from pathlib import Path

from perceptio import Perceptio
from perceptio.images import load_image
from perceptio.visualize import contact_sheet

PICTURE = Path(__file__).parents[1] / "src" / "perceptio" / "assets" / "sample.png"
QUESTION = "Which is nearer, the brown pyramid or the green pyramid?"
OUT = Path("out/examples")

model = Perceptio.from_pretrained("nano")
answer = model.ask(PICTURE, QUESTION, seg="on", depth="on")
print(answer.text)
for mask in answer.masks:
    print(f"{mask.phrase}: score {mask.score:.2f}, box {mask.bbox}")

folder = answer.save(OUT / "answer")  # overlay.png, depth.png, answer.json
tiles = [
    (load_image(PICTURE), QUESTION),
    (load_image(folder / "overlay.png"), answer.text),
    (load_image(folder / "depth.png"), "the depth map"),
]
contact_sheet(tiles, columns=3, width=340).save(OUT / "ask_and_draw.jpg", quality=85)
