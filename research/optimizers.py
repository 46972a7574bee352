"""AdamW against Muon on the vision stage of a recipe: the same samples, first weights and number of steps, one after
the other. The rate warms up for 50 steps and falls over the last third.

    python research/optimizers.py recipes/nano.yaml RUN --scenes FOLDER [--steps 300] [--muon 2e-3 5e-3]
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch
from _common import recipe_parser, show_head, show_row
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader, default_collate

from perceptio.cli.errors import reporting
from perceptio.nano.dense import VisionPretraining, dense_sample
from perceptio.nano.recipe import Recipe
from perceptio.nano.stages import Run
from perceptio.training.optimizer import MatrixOptimizer
from perceptio.training.recipe import read_recipe

MEAN_OVER = 50  # last steps whose figures are averaged
SHOWN = ("shape", "material", "letter", "letter_accuracy", "depth", "offset", "mark_offset")


def train(run: Run, recipe: Recipe, steps: int, muon: float) -> tuple[dict[str, float], float]:
    """Mean figures over the last steps, and the seconds it took."""
    store, sizes, stage = run.store("train"), recipe.model, replace(recipe.vision, steps=steps)

    def make(index: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        return dense_sample(store[index], sizes.image, sizes.patch, rng)

    torch.manual_seed(recipe.seed)
    module = VisionPretraining(run.fresh_model().vlm.model.vision_tower, sizes.vision_width)
    optimizer: Optimizer = AdamW(module.parameters(), stage.learning_rate, betas=(0.9, 0.98), weight_decay=0.05)
    if muon:
        optimizer = MatrixOptimizer(module, muon, stage.learning_rate, stage.weight_decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    loader = DataLoader(run.visits(make, len(store), stage), stage.batch, num_workers=1, collate_fn=default_collate)
    sums: dict[str, float] = defaultdict(float)
    averaged = min(steps, MEAN_OVER)
    start = time.perf_counter()
    for step, batch in enumerate(loader):
        share = min(1.0, (step + 1) / 50, max(0.02, 3 * (steps - step) / steps))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = share * rate
        with torch.autocast("cpu", torch.bfloat16):
            outputs = module(**batch)
        optimizer.zero_grad()
        outputs["loss"].backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), stage.clip)
        optimizer.step()
        if step >= steps - averaged:
            for name, value in outputs["losses"].items():
                sums[name] += float(value) / averaged
    return sums, time.perf_counter() - start


@reporting()
def main() -> None:
    """Print one row an optimiser."""
    parser = recipe_parser(__doc__, "stage tokenizer")
    parser.add_argument("--muon", type=float, nargs="+", default=[2e-3, 5e-3], help="rates to try")
    options = parser.parse_args()
    recipe = read_recipe(options.recipe, Recipe)
    run = Run(recipe, options.run, options.scenes)
    show_head("optimiser", *SHOWN, "seconds")
    for muon in (0.0, *options.muon):
        figures, seconds = train(run, recipe, options.steps, muon)
        name = f"Muon {muon:g}" if muon else f"AdamW {recipe.vision.learning_rate:g}"
        show_row(name, *(f"{figures[key]:.3f}" for key in SHOWN), f"{seconds:.0f}")


if __name__ == "__main__":
    main()
