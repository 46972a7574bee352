"""How well a model's SAM 2 segments scenes from points and boxes: what `[SEG]` can hope for.

python research/point_prompts.py [--model nano] [--split val] [--scenes FOLDER] [--count 64]
python research/point_prompts.py --model runs/nano/sam/model.safetensors
"""

from __future__ import annotations

import torch
from _common import opened, probe_parser
from safetensors.torch import load_file
from transformers import Sam2Model

from perceptio.cli.errors import reporting
from perceptio.model.loading import load
from perceptio.nano.sam_pretraining import SamPretraining, collate, prompted_masks
from perceptio.nano.sam_prompts import draw_prompts
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation.losses import intersection_over_union

BATCH = 16  # scenes
PROMPTS = 3  # points, and boxes, a scene


def sam_of(name: str) -> Sam2Model:
    """The SAM 2 of a model, or of the file that the stage `sam` leaves."""
    if not name.endswith(".safetensors"):
        return load(name, device="cpu")[0].sam
    sam = build_sam(nano_sam_config(224))
    sam.load_state_dict(load_file(name))
    return sam


@torch.no_grad()
def measure(sam: Sam2Model, store: SceneStore) -> dict[str, list[float]]:
    """The IoU of every mask, by the kind of prompt."""
    size = sam.config.prompt_encoder_config.image_size
    module = SamPretraining(sam).eval()
    found: dict[str, list[float]] = {"points": [], "boxes": []}
    for start in range(0, len(store), BATCH):
        items = []
        for index in range(start, min(start + BATCH, len(store))):
            rgb, _, ids = store.pictures(index)
            items.append(draw_prompts(rgb, ids, size, prompts=PROMPTS, seed=index, mirror=False))
        batch = collate(items)
        drawn = module.predict(batch["pixels"], batch["points"], batch["boxes"])
        targets = prompted_masks(batch["ids"], batch["point_ids"], batch["box_ids"])
        iou = intersection_over_union(drawn.logits, targets).tolist()
        found["points"] += iou[: len(iou) // 2]
        found["boxes"] += iou[len(iou) // 2 :]
    return found


@reporting()
def main() -> None:
    """Print the mean IoU of points and of boxes."""
    options = probe_parser(__doc__, count=64).parse_args()
    sam = sam_of(options.model)
    with opened(options) as store:
        found = measure(sam, store)
    for name, values in found.items():
        print(f"{name}: mean IoU {sum(values) / len(values):.3f} ({len(values)} prompts)")


if __name__ == "__main__":
    main()
