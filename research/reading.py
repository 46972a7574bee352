"""What answers read off a picture, against the truth, and whether they conclude what they have read: marked points, two
objects, the nearest of four.

python research/reading.py [--model nano] [--split val] [--scenes FOLDER] [--count 48]
"""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
from _common import load, opened, probe_parser, show_head, show_row

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.data.schema import Turn
from perceptio.scenes.language.scoring import extract_choice, is_correct
from perceptio.scenes.samples import scene_test_turns
from perceptio.scenes.storage import SceneStore
from perceptio.scenes.tabletop.lexicon import LEXICON
from perceptio.tokens import extract_phrases

READ = re.compile(r"(?:^|; )(.+?) at (\d),(\d)(?: nearness (\d\d))?")
SIDES = {"to the left": -1, "to the right": 1, "behind": -1, "in front": 1}  # of the first, of two


def follows(turn: Turn, text: str) -> bool | None:
    """Whether the conclusion is that of what was read; None where that allows any."""
    reads = [(name.lower(), int(column), int(near or -1)) for name, _, column, near in READ.findall(text)]
    if turn.task == "comparison":
        said = re.search(r"The first is ([a-z ]+),", text)
        if len(reads) != 2 or said is None or said[1] not in SIDES:
            return False
        (_, *first), (_, *second) = reads
        values = [near if turn.depth else column for column, near in (first, second)]
        difference = values[0] - values[1]
        return None if difference == 0 else (difference > 0) == (SIDES[said[1]] > 0)
    nearest = [name for name, _, near in reads if near == max(near for *_, near in reads)]
    chosen = extract_choice(text, turn.task, LEXICON)
    return None if len(nearest) > 1 else chosen is not None and [chosen.lower()] == nearest


def measure(model: Perceptio, store: SceneStore) -> dict[str, dict[str, list[float]]]:
    """Kind of question -> figure -> its values."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for unit in range(len(store)):
        turns = scene_test_turns(store[unit], np.random.default_rng((0, unit)))
        asked = [(image, turn) for image, turn in turns if READ.match(extract_phrases(turn.answer)[0])]
        answers = model.ask_batch([image for image, _ in asked], [turn.question for _, turn in asked])
        for (_, turn), answer in zip(asked, answers, strict=True):
            figures = found["marked points" if turn.task.startswith("marks") else turn.task]
            truth, reads = (READ.findall(text) for text in (extract_phrases(turn.answer)[0], answer.text))
            figures["right"].append(is_correct(turn, answer.text, LEXICON))
            figures["reads as many"].append(len(truth) == len(reads))
            if len(truth) != len(reads):
                continue
            for (name, *place, near), (own_name, *own, own_near) in zip(truth, reads, strict=True):
                figures["named right"].append(name == own_name)
                figures["cell right"].append(place == own)
                if near and own_near:
                    figures["nearness off by"].append(abs(int(near) - int(own_near)))
            follow = follows(turn, answer.text)
            if follow is not None:
                figures["concludes what it read"].append(follow)
    return found


@reporting()
def main() -> None:
    """Print a table."""
    options = probe_parser(__doc__, count=48).parse_args()
    model = load(options)
    with opened(options) as store:
        found = measure(model, store)
    names = ("reads as many", "named right", "cell right", "nearness off by", "concludes what it read", "right")
    show_head("question", "n", *names)
    for kind, figures in found.items():
        cells = (f"{np.mean(figures[name]):.2f}" if figures[name] else "" for name in names)
        show_row(kind, str(len(figures["right"])), *cells)


if __name__ == "__main__":
    main()
