"""Whether there are more objects of one kind than of another: how often it is answered rightly, and with yes.

python research/more.py [--model nano] [--split val] [--scenes FOLDER] [--count 128]
"""

from __future__ import annotations

import numpy as np
from _common import load, opened, probe_parser
from PIL import Image

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.data.schema import Turn
from perceptio.scenes.language.facts import Facts
from perceptio.scenes.language.questions import is_more
from perceptio.scenes.language.scoring import extract_choice
from perceptio.scenes.storage import SceneStore
from perceptio.scenes.tabletop.lexicon import LEXICON

TRIES = 12  # of a scene, which may have no two kinds to compare
QUESTIONS = 2  # of a scene at most


def ask(store: SceneStore, unit: int) -> list[Turn]:
    """Questions about one scene, each once."""
    facts, rng = Facts(store[unit]), np.random.default_rng((78, unit))
    turns = [turn for _ in range(TRIES) if (turn := is_more(facts, rng))]
    return list({turn.question: turn for turn in turns}.values())[:QUESTIONS]


def measure(model: Perceptio, store: SceneStore) -> list[tuple[bool, bool, bool]]:
    """For each question, whether it is answered rightly, with yes, and whether yes is right."""
    rows = []
    for unit in range(len(store)):
        turns = ask(store, unit)
        picture = Image.fromarray(store[unit].rgb)
        answers = model.ask_batch([picture] * len(turns), [turn.question for turn in turns]) if turns else []
        for turn, answer in zip(turns, answers, strict=True):
            said = extract_choice(answer.text, turn.task, LEXICON)
            rows.append((said == turn.target, said == "yes", turn.target == "yes"))
    return rows


@reporting()
def main() -> None:
    """Print the shares of all questions."""
    options = probe_parser(__doc__, count=128).parse_args()
    model = load(options)
    with opened(options) as store:
        rows = measure(model, store)
    if not rows:
        raise ValueError(f"the first {options.count} scenes hold no two kinds to compare: ask about more of them")
    right, yes, due = np.mean(rows, axis=0)
    print(f"of {len(rows)} questions {right:.1%} are answered rightly; {yes:.1%} with yes, as {due:.1%} should be")


if __name__ == "__main__":
    main()
