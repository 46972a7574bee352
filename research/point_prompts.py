"""How well a model's SAM2 segments validation scenes from points and boxes: what `[SEG]` can hope for.

python benchmarks/point_prompts.py nano --scenes FOLDER
python benchmarks/point_prompts.py runs/nano/sam/model.safetensors --scenes FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import Sam2Model

from perceptio.cli.errors import reporting
from perceptio.model.loading import load
from perceptio.nano.sam_pretraining import SamPretraining, collate, prompted_masks
from perceptio.nano.sam_prompts import draw_prompts
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation.losses import intersection_over_union

BATCH, PROMPTS = 16, 3


def sam_of(name: str) -> Sam2Model:
    """The SAM2 of a model, or of the file that the stage `sam` leaves."""
    if not name.endswith(".safetensors"):
        return load(name, device="cpu")[0].sam
    sam = build_sam(nano_sam_config(224))
    sam.load_state_dict(load_file(name))
    return sam


@reporting()
def main() -> None:
    """Print the mean IoU of points and of boxes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model, or the weights of a SAM2 of nano's size")
    parser.add_argument("--scenes", type=Path, required=True, help="folder with the rendered split val")
    parser.add_argument("--count", type=int, default=64, help="scenes")
    options = parser.parse_args()
    store = SceneStore(options.scenes / "val")
    sam = sam_of(options.model)
    size = sam.config.prompt_encoder_config.image_size
    module = SamPretraining(sam).eval()
    ious: dict[str, list[float]] = {"points": [], "boxes": []}
    for start in range(0, options.count, BATCH):
        pictures = [store.pictures(index) for index in range(start, min(start + BATCH, options.count))]
        batch = collate(
            [
                draw_prompts(rgb, ids, size, prompts=PROMPTS, seed=start + place, mirror=False)
                for place, (rgb, _, ids) in enumerate(pictures)
            ]
        )
        with torch.no_grad():
            found = module.predict(batch["pixels"], batch["points"], batch["boxes"])
        targets = prompted_masks(batch["ids"], batch["point_ids"], batch["box_ids"])
        iou = intersection_over_union(found.logits, targets)
        ious["points"] += iou[: len(iou) // 2].tolist()
        ious["boxes"] += iou[len(iou) // 2 :].tolist()
    for name, values in ious.items():
        print(f"{name}: mean IoU {sum(values) / len(values):.3f} ({len(values)} prompts)")


if __name__ == "__main__":
    main()
