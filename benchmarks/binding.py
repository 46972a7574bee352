"""What binds words to the picture: the stage `words` whole, and with one of its three aids left out at a time, same
seed and steps, two processes at a time on one core each.

    python benchmarks/binding.py recipes/nano.yaml RUN --scenes FOLDER --out FOLDER [--steps 250]
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader

from perceptio.data.packing import TELLING, collate, pack_record
from perceptio.model import modeling
from perceptio.model.modeling import PackedBatch, PerceptioForConditionalGeneration
from perceptio.scenes.record import build_record
from perceptio.segmentation.guide import cell_shares
from perceptio.training.recipe import load_recipe
from perceptio.training.stages import Run
from perceptio.training.visits import Visits


def whole(_: Run) -> None:
    """Nothing left out."""


def no_alignment(run: Run) -> None:
    """Start from the vision tower as its own stage left it, and a fresh projector."""
    start = run.folder / "align" / "final"
    model = PerceptioForConditionalGeneration.from_pretrained(start)
    torch.manual_seed(run.recipe.seed)
    fresh = run.fresh_model()
    fresh.vlm.model.vision_tower.load_state_dict(load_file(run.folder / "vision" / "model.safetensors"))
    for part in ("vision_tower", "multi_modal_projector"):
        getattr(model.vlm.model, part).load_state_dict(getattr(fresh.vlm.model, part).state_dict())
    model.save_pretrained(start)


def no_pointing(_: Run) -> None:
    """`[SEG]` states are projected, as in LISA, and point at nothing."""
    clicks = modeling.cell_clicks
    modeling.cell_clicks = lambda sam, cells: torch.zeros_like(clicks(sam, cells))
    modeling.point_loss = lambda logits, masks: logits.sum() * 0.0


def nothing_back(_: Run) -> None:
    """The input after `[SEG]` carries nothing."""
    shares = modeling.cell_shares
    modeling.cell_shares = lambda masks, cells: torch.zeros_like(shares(masks, cells))


VARIANTS: dict[str, Callable[[Run], None]] = {
    "whole": whole,
    "no alignment": no_alignment,
    "no pointing": no_pointing,
    "nothing given back": nothing_back,
}


def train(name: str, path: Path, steps: int, run: Path, scenes: Path, out: Path) -> str:
    """Train a variant and describe it in a row of the table."""
    torch.set_num_threads(1)
    folder = out / name.replace(" ", "-")
    for stage in ("tokenizer", "vision", "align"):
        files = shutil.ignore_patterns("checkpoint-*", "runs")
        shutil.copytree(run / stage, folder / stage, ignore=files, dirs_exist_ok=True)
    recipe = load_recipe(path)
    words = replace(recipe.words, steps=steps, decay=0.3, evaluate_every=steps, workers=0)
    task = Run(replace(recipe, words=words), folder, scenes)
    VARIANTS[name](task)
    task.run(("words",))
    figures = measure(task)
    return f"| {name} | " + " | ".join(figures) + " |"


@torch.no_grad()
def measure(run: Run) -> list[str]:
    """Over the val split: click loss, pointing hits, telling words right."""
    model = PerceptioForConditionalGeneration.from_pretrained(run.folder / "words" / "final").eval()
    model.loss_weights = run.recipe.words.losses
    processor, store = run.processor(), run.store("val")

    def make(index: int, rng: np.random.Generator) -> object:
        record = build_record(store[index], rng, questions=8, mixture=run.recipe.words.mixture)
        return pack_record(
            record, processor, model.config.vocabulary, rng, depth_size=model.config.depth.image_size, explicit=0.0
        )

    batches = DataLoader(
        Visits(make, len(store), len(store), seed=1),
        batch_size=8,
        collate_fn=partial(collate, padding=processor.tokenizer.pad_token_id),
    )
    clicks: list[float] = []
    hits: list[Tensor] = []
    right: list[Tensor] = []
    for batch in batches:
        packed = PackedBatch(**batch)
        clicks.append(float(model(**batch)["losses"]["prompt"]))
        states = model._read(packed)
        rows, places = packed.segments.unbind(1)
        _, cells = model.prompts(states[rows, places], model.visual_states(states, packed.input_ids)[rows])
        covered = cell_shares(packed.masks, cells.shape[1])
        share = covered.gather(1, cells.argmax(1, keepdim=True))[:, 0]
        hits.append((share > 0.25 * covered.amax(1))[covered.any(1)])
        telling = (packed.targets != -100) & (packed.weights == TELLING)
        right.append(model.vlm.lm_head(states[telling]).argmax(-1) == packed.targets[telling])
    return [
        f"{np.mean(clicks):.3f}",
        f"{torch.cat(hits).float().mean():.1%}",
        f"{torch.cat(right).float().mean():.1%}",
    ]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("run", type=Path, help="folder of a run whose stages up to `align` are done")
    parser.add_argument("--scenes", type=Path, required=True, help="folder with the rendered splits train and val")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the runs")
    parser.add_argument("--steps", type=int, default=250)
    options = parser.parse_args()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        shared = (options.recipe, options.steps, options.run, options.scenes, options.out)
        rows = [pool.submit(train, name, *shared) for name in VARIANTS]
        print("| variant | click loss | points at the object | telling words right |\n|---|---:|---:|---:|")
        for row in rows:
            print(row.result(), flush=True)


if __name__ == "__main__":
    main()
