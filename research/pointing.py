"""What pointing gives in use: referring expressions and questions in test scenes, where `[SEG]` states point at more or
less of the surroundings of their best cell, where nothing of what they point at is told to the words that follow, where
nothing looks for the next object, and where what is marked is not looked past.

python benchmarks/pointing.py [--model nano] [--scenes FOLDER] [--count 48]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.cli.options import Split, open_split
from perceptio.evaluation.metrics import MaskScore
from perceptio.evaluation.samples import Overlap
from perceptio.scenes.language.scoring import is_correct
from perceptio.scenes.samples import scene_test_turns
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation import projector
from perceptio.tokens import Switch

REACHES = (0, 1, 2, 3, 100)  # cells; the last reaches everywhere
TASKS = ("attribute", "counting", "comparison")
CHANGES = {  # variant -> the parameter that it changes, and to what
    "nothing told": ("loudness", 0.0),
    "no search for the next": ("more", 0.0),
    "what is marked is not looked past": ("inhibition.bias", -100.0),
}


def measure(model: Perceptio, store: SceneStore) -> str:
    """cIoU of referring expressions and of plurals, and how many answers of each of the tasks are right, as cells of a
    table."""
    scores = {"referring": MaskScore(), "plural": MaskScore()}
    right: dict[str, list[bool]] = {task: [] for task in TASKS}
    for unit in range(len(store)):
        stored = store[unit]
        turns = scene_test_turns(stored, np.random.default_rng((0, unit)))
        asked = [(image, turn) for image, turn in turns if turn.task in (*scores, *TASKS)]
        answers = model.ask_batch(
            [image for image, _ in asked], [turn.question for _, turn in asked], seg="on", depth=Switch.OFF
        )
        for (_, turn), answer in zip(asked, answers, strict=True):
            if turn.task in TASKS:
                right[turn.task].append(is_correct(turn, answer.text))
            else:
                found = np.zeros_like(stored.ids, dtype=bool)
                for mask in answer.masks:
                    found |= mask.array
                overlap = Overlap.of(found, np.isin(stored.ids, turn.masks))
                scores[turn.task].add(overlap.intersection, overlap.union)
    return " | ".join(
        [
            *(f"{score.ciou:.3f}" for score in scores.values()),
            *(f"{np.mean(found):.1%} of {len(found)}" for found in right.values()),
        ]
    )


@reporting()
def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--scenes", type=Path, help="folder with the rendered split test; rendered afresh by default")
    parser.add_argument("--count", type=int, default=48, help="scenes")
    options = parser.parse_args()
    with open_split(options.scenes, Split.test, options.count) as store:
        print(f"| variant | referring cIoU | plural cIoU | {' | '.join(TASKS)} |\n|---|{'---:|' * (2 + len(TASKS))}")

        def show(variant: str, model: Perceptio) -> None:
            print(f"| {variant} | {measure(model, store)} |", flush=True)

        own = projector.REACH
        for reach in REACHES:
            projector.REACH = reach
            show(f"reach {reach}", Perceptio.from_pretrained(options.model))
        projector.REACH = own
        for variant, (name, value) in CHANGES.items():
            model = Perceptio.from_pretrained(options.model)
            with torch.no_grad():
                model.model.projector.get_parameter(name).fill_(value)
            show(variant, model)


if __name__ == "__main__":
    main()
