"""What the visual tokens of a model hold about objects: a small classifier for each attribute, taught on the mean token
over each object of train scenes and asked about those of val scenes.

python research/seeing.py [--model nano] [--train 1200] [--val 128]
"""

from __future__ import annotations

import tempfile

import torch
from _common import load, model_parser, show_head, show_row
from PIL import Image
from torch import Tensor, nn

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.scenes.language.facts import Facts
from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation.pointing.coverage import as_shares, cell_cover

ATTRIBUTES = ("color", "shape", "material", "size")
BATCH = 16  # pictures
SMALL = 250  # visible pixels


@torch.no_grad()
def objects(model: Perceptio, store: SceneStore) -> tuple[Tensor, list[tuple[str, ...]], Tensor]:
    """Mean visual tokens (n, D) of the objects that can be spoken of, their attributes, and which are small (n,)."""
    tokens: list[Tensor] = []
    attributes: list[tuple[str, ...]] = []
    small: list[bool] = []
    for start in range(0, len(store), BATCH):
        scenes = [store[unit] for unit in range(start, min(start + BATCH, len(store)))]
        pixels, _ = model.processor.pixels([Image.fromarray(stored.rgb) for stored in scenes])
        for stored, seen in zip(scenes, model.model.visual_tokens(pixels), strict=True):
            for thing in Facts(stored).clear:
                mask = torch.from_numpy(stored.ids == thing.index)[None]
                tokens.append((as_shares(cell_cover(mask, len(seen))) @ seen)[0])
                attributes.append(tuple(str(getattr(thing.what, name)) for name in ATTRIBUTES))
                small.append(thing.view.pixels < SMALL)
    return torch.stack(tokens), attributes, torch.tensor(small)


def classifier(tokens: Tensor, classes: Tensor, count: int) -> nn.Module:
    """A hidden layer of 256, taught in twelve passes."""
    head = nn.Sequential(nn.Linear(tokens.shape[1], 256), nn.ReLU(), nn.Linear(256, count))
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3, weight_decay=0.05)
    for _ in range(12):
        for part in torch.randperm(len(tokens)).split(128):
            loss = nn.functional.cross_entropy(head(tokens[part]), classes[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return head


@reporting()
def main() -> None:
    """Print a table."""
    parser = model_parser(__doc__)
    parser.add_argument("--train", type=int, default=1200, help="scenes")
    parser.add_argument("--val", type=int, default=128, help="scenes")
    options = parser.parse_args()
    torch.manual_seed(0)
    model = load(options, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        train, val = (render_split(f"{folder}/{split}", split, getattr(options, split)) for split in ("train", "val"))
        (taught, known, _), (asked, truth, small) = objects(model, train), objects(model, val)
    mean, deviation = taught.mean(0), taught.std(0) + 1e-6
    taught, asked = (taught - mean) / deviation, (asked - mean) / deviation
    show_head("attribute", f"all {len(asked)} objects", f"{int(small.sum())} under {SMALL} px")
    for number, name in enumerate(ATTRIBUTES):
        values = sorted({each[number] for each in known})
        right = torch.tensor([values.index(each[number]) for each in known])
        wanted = torch.tensor([values.index(each[number]) if each[number] in values else -1 for each in truth])
        found = classifier(taught, right, len(values))(asked).argmax(1) == wanted
        show_row(name, f"{found.float().mean():.1%}", f"{found[small].float().mean():.1%}")


if __name__ == "__main__":
    main()
