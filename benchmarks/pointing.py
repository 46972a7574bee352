"""What pointing gives in use: referring expressions and questions in test scenes, where `[SEG]` states point more or
less sharply, where nothing of what they point at is told to the words that follow, and where nothing looks for the next
object.

python benchmarks/pointing.py [--model nano] [--scenes FOLDER] [--count 48]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from perceptio import Perceptio
from perceptio.cli.options import Split, open_split
from perceptio.evaluation.metrics import MaskScore
from perceptio.evaluation.samples import Overlap
from perceptio.scenes.language.scoring import is_correct
from perceptio.scenes.record import scene_test_turns
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation import projector
from perceptio.tokens import Mode

TASKS = ("attribute", "counting", "comparison")
SILENT = {"nothing told": "loudness", "no search for the next": "more"}  # variant -> what it sets to zero


def measure(model: Perceptio, store: SceneStore) -> str:
    """cIoU of referring expressions, and how many answers of each of the tasks are right, as cells of a table."""
    score = MaskScore()
    right: dict[str, list[bool]] = {task: [] for task in TASKS}
    for unit in range(len(store)):
        stored = store[unit]
        turns = scene_test_turns(stored, np.random.default_rng((0, unit)))
        asked = [(image, turn) for image, turn in turns if turn.task in ("referring", *TASKS)]
        answers = model.ask_batch(
            [image for image, _ in asked], [turn.question for _, turn in asked], seg="on", depth=Mode.OFF
        )
        for (_, turn), answer in zip(asked, answers, strict=True):
            if turn.task in TASKS:
                right[turn.task].append(is_correct(turn, answer.text))
            else:
                found = np.zeros_like(stored.ids, dtype=bool)
                for mask in answer.masks:
                    found |= mask.array
                overlap = Overlap.of(found, np.isin(stored.ids, turn.referents))
                score.add(overlap.intersection, overlap.union)
    return " | ".join([f"{score.ciou:.3f}", *(f"{np.mean(found):.1%} of {len(found)}" for found in right.values())])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--scenes", type=Path, help="folder with the rendered split test; rendered afresh by default")
    parser.add_argument("--count", type=int, default=48, help="scenes")
    options = parser.parse_args()
    with open_split(options.scenes, Split.test, options.count) as store:
        print(f"| variant | referring cIoU | {' | '.join(TASKS)} |\n|---|{'---:|' * (1 + len(TASKS))}")
        for sharpness in (1.0, 2.0, 4.0, 8.0):
            projector.SHARPNESS = sharpness
            print(
                f"| sharpness {sharpness:g} | {measure(Perceptio.from_pretrained(options.model), store)} |", flush=True
            )
        projector.SHARPNESS = 4.0
        for variant, silent in SILENT.items():
            model = Perceptio.from_pretrained(options.model)
            with torch.no_grad():
                model.model.projector.get_parameter(silent).zero_()
            print(f"| sharpness 4, {variant} | {measure(model, store)} |", flush=True)


if __name__ == "__main__":
    main()
