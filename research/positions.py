"""Depth codes one after the other against codes at the visual token of their cell: two joint stages on depth requests
alone, same seed and steps, at the same time, one process each.

    python research/positions.py recipes/nano.yaml RUN --scenes FOLDER --out FOLDER [--steps 300]
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import torch
from _common import recipe_parser, show_head, show_row

from perceptio.cli.errors import reporting
from perceptio.files import parse_json, read_lines
from perceptio.model.design import DepthPositions
from perceptio.nano.recipe import Recipe
from perceptio.nano.stages import Run
from perceptio.scenes.samples import Mixture
from perceptio.training.recipe import read_recipe

EARLIER = ("tokenizer", "words")
LOG_EVERY = 50


def train(recipe: Recipe, kind: DepthPositions, run: Path, scenes: Path, out: Path) -> None:
    """The joint stage of `recipe` in `out`, on what the earlier stages left in `run`, with this `depth_positions`."""
    torch.set_num_threads(1)
    for stage in EARLIER:
        files = shutil.ignore_patterns("checkpoint-*", "runs")
        shutil.copytree(run / stage, out / stage, ignore=files, dirs_exist_ok=True)
    settings = out / "words" / "final" / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"depth_positions": kind}))
    Run(recipe, out, scenes).run(("joint",))


@reporting()
def main() -> None:
    """Print the cross-entropy of the codes by step."""
    parser = recipe_parser(__doc__, f"stages {' and '.join(EARLIER)}")
    parser.add_argument("--out", type=Path, required=True, help="a folder for both runs")
    options = parser.parse_args()
    for name in EARLIER:
        if not (options.run / name).is_dir():
            raise ValueError(f"{options.run / name} is missing: run the stage `{name}` first")
    recipe = read_recipe(options.recipe, Recipe)
    depth_alone = Mixture(**{task: float(task == "depth") for task in asdict(Mixture())})
    stage = replace(
        recipe.joint,
        steps=options.steps,
        warmup=options.steps // 10,
        decay=0.3,
        questions=1,
        mixture=depth_alone,
        log_every=LOG_EVERY,
        evaluate_every=options.steps,
    )
    kinds = get_args(DepthPositions)
    processes = []
    for kind in kinds:
        arguments = (replace(recipe, joint=stage), kind, options.run, options.scenes, options.out / kind)
        processes.append(get_context("spawn").Process(target=train, args=arguments))
        processes[-1].start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a run failed with exit code {process.exitcode}")

    for kind in kinds:
        log = options.out / kind / "joint" / "log.jsonl"
        lines = [parse_json(text, f"{log}:{number}") for number, text in read_lines(log)]
        losses = {line["step"]: line["loss/token"] for line in lines if "loss/token" in line}
        if kind == kinds[0]:
            show_head("step", *map(str, losses))
        show_row(kind, *(f"{value:.3f}" for value in losses.values()))


if __name__ == "__main__":
    main()
