"""OpenAI's own client against `perceptio serve`: the answer as always, and masks and depth beside it.

perceptio serve &
OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=unused python examples/openai_client.py
"""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from openai import OpenAI
from pycocotools import mask as coco

from perceptio.images import load_image
from perceptio.visualize import contact_sheet, draw_masks

PICTURE = Path(__file__).parents[1] / "src" / "perceptio" / "assets" / "sample.png"
QUESTION = "Which is nearer, the brown pyramid or the green pyramid?"
OUT = Path("out/examples")

client = OpenAI()
url = f"data:image/png;base64,{base64.b64encode(PICTURE.read_bytes()).decode()}"
content = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
reply = client.chat.completions.create(
    model="nano",
    messages=[{"role": "user", "content": content}],
    extra_body={"perception": {"masks": "on", "depth": "on", "depth_format": "png8"}},
)
message = reply.choices[0].message
seen = message.model_extra["perceptio"]
print(message.content)
print(f"{reply.usage.completion_tokens} tokens, {seen['timings_ms']['total']:.0f} ms")

masks = [coco.decode(mask["rle"]).astype(bool) for mask in seen["masks"]]
labels = [f"{mask['label']} {mask['score']:.2f}" for mask in seen["masks"]]
drawn = draw_masks(load_image(PICTURE), masks, labels)
depth = load_image(base64.b64decode(seen["depth"]["data"]))  # white is near
OUT.mkdir(parents=True, exist_ok=True)
tiles = [(drawn, message.content), (depth, f"depth, from {np.prod(seen['depth']['grid'])} tokens")]
contact_sheet(tiles, columns=2, width=400).save(OUT / "openai_client.jpg", quality=85)
