"""What pointing gives in use: referring expressions and questions in test scenes, where `[SEG]` states point at more or
less of the surroundings of their best cell, where nothing carries a region feature, where nothing is added to the logit
of another `[SEG]`, and where what is covered is not looked past.

python research/pointing.py [--model nano] [--split test] [--scenes FOLDER] [--count 48]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from _common import load, opened, probe_parser, show_head, show_row

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.cli.options import Split
from perceptio.evaluation.judged import Overlap
from perceptio.evaluation.metrics import MaskScore
from perceptio.scenes.language.scoring import is_correct
from perceptio.scenes.samples import scene_test_turns
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation.pointing import pointer as pointing
from perceptio.tokens import Switch

REACHES = (0, 1, 2, 3, 100)  # cells; the last reaches everywhere
TASKS = ("attribute", "counting", "comparison")
CHANGES = {  # variant -> the parameter of the pointer that it changes, and to what
    "no region feature": ("region_gain", 0.0),
    "no continue logit": ("continuation", 0.0),
    "what is covered is not looked past": ("inhibition.bias", -100.0),
}


@contextmanager
def reaching(reach: int) -> Iterator[None]:
    """Have states point at the cells so far from their best one."""
    own = pointing.REACH
    pointing.REACH = reach
    try:
        yield
    finally:
        pointing.REACH = own


@contextmanager
def changed(module: torch.nn.Module, name: str, value: float) -> Iterator[None]:
    """Have a parameter hold one value."""
    parameter = module.get_parameter(name)
    own = parameter.detach().clone()
    with torch.no_grad():
        parameter.fill_(value)
    try:
        yield
    finally:
        with torch.no_grad():
            parameter.copy_(own)


def measure(model: Perceptio, store: SceneStore) -> list[str]:
    """cIoU of referring expressions and of plurals, and how many answers of each of the tasks are right."""
    scores = {"referring": MaskScore(), "plural": MaskScore()}
    right: dict[str, list[bool]] = {task: [] for task in TASKS}
    for unit in range(len(store)):
        stored = store[unit]
        turns = scene_test_turns(stored, np.random.default_rng((0, unit)))
        asked = [(image, turn) for image, turn in turns if turn.task in (*scores, *TASKS)]
        answers = model.ask_batch(
            [image for image, _ in asked], [turn.question for _, turn in asked], seg=Switch.ON, depth=Switch.OFF
        )
        for (_, turn), answer in zip(asked, answers, strict=True):
            if turn.task in TASKS:
                right[turn.task].append(is_correct(turn, answer.text, stored.lexicon))
            else:
                found = np.zeros_like(stored.ids, dtype=bool)
                for mask in answer.masks:
                    found |= mask.array
                overlap = Overlap.of(found, np.isin(stored.ids, turn.masks))
                scores[turn.task].add(overlap.intersection, overlap.union)
    return [
        *(f"{score.ciou:.3f}" for score in scores.values()),
        *(f"{np.mean(found):.1%} of {len(found)}" for found in right.values()),
    ]


@reporting()
def main() -> None:
    """Print a table."""
    options = probe_parser(__doc__, count=48, split=Split.test).parse_args()
    model = load(options)
    pointer = model.model.pointer
    if pointer is None:
        raise ValueError(f"{options.model} has no pointer: give a model that was made with pointing")
    with opened(options) as store:
        show_head("variant", "referring cIoU", "plural cIoU", *TASKS)
        for reach in REACHES:
            with reaching(reach):
                show_row(f"reach {reach}", *measure(model, store))
        for variant, (name, value) in CHANGES.items():
            with changed(pointer, name, value):
                show_row(variant, *measure(model, store))


if __name__ == "__main__":
    main()
