"""From a rendered scene to a training sample, to test questions, and to a corpus for the text tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perceptio.data.marks import cell_of, choose_points, draw_marks, marked_turn, two_digits
from perceptio.data.schema import IdMap, Mark, Sample, Turn
from perceptio.data.templates import pick
from perceptio.scenes.language import grounding, questions, wording
from perceptio.scenes.language.facts import Facts
from perceptio.scenes.storage import StoredScene

MAX_DEPTH_TURNS = 1  # depth spans in a sample: each is a hundred tokens, and the same ones; others are asked without
_TRIES = 40  # questions that may fail to find anything to ask about

Ask = Callable[[Facts, np.random.Generator], Turn | None]
TASKS: dict[str, Ask] = {
    "referring": grounding.referring,
    "naming": grounding.naming,
    "plural": grounding.plural,
    "absent": grounding.absent,
    "caption": grounding.caption,
    "inventory": grounding.inventory,
    "depth": grounding.depth,
    "reading": grounding.reading,
    "nearer": questions.is_nearer,
    "counting": questions.counting,
    "attribute": questions.attribute,
    "existence": questions.existence,
    "comparison": questions.comparison,
    "more": questions.is_more,
    "choice": questions.choice,
}
UNSCORED = ("naming", "reading", "caption", "inventory", "more")  # not in the test: part of others, or no one answer


@dataclass(frozen=True)
class Mixture:
    """What training samples ask: weights of the tasks, relative to each other."""

    marked: float = 0.5  # share of pictures with marked points; their one depth span is the marked question's
    referring: float = 3.0
    naming: float = 1.0
    plural: float = 1.0
    absent: float = 0.7
    caption: float = 0.5
    inventory: float = 2.5
    depth: float = 0.6
    reading: float = 1.0
    nearer: float = 1.2
    counting: float = 1.8
    attribute: float = 1.5
    existence: float = 1.0
    comparison: float = 1.5
    more: float = 0.3
    choice: float = 1.5


def build_sample(
    stored: StoredScene,
    rng: np.random.Generator,
    *,
    questions: int = 7,
    marks: bool | None = None,
    mixture: Mixture | None = None,
) -> Sample:
    """A training sample with a fresh mixture of questions.

    Args:
        stored: the scene.
        rng: of every draw.
        questions: turns wanted; a poor scene gives fewer, but at least one.
        marks: draw marked points and ask about them; the mixture decides by default.
        mixture: how often each task is asked.
    """
    mixture = mixture or Mixture()
    facts = Facts(stored)
    nearness = facts.nearness
    image, turns, points = stored.rgb, list[Turn](), tuple[Mark, ...]()
    if rng.random() < mixture.marked if marks is None else marks:
        points = choose_points(nearness, stored.ids, int(rng.integers(2, 6)), rng)
        if points:
            image = draw_marks(image, points)
            turns.append(marked_turn(points))
            turns += [_mark_detail(points, rng) for _ in range(int(rng.integers(1, 3)))]
    names = list(TASKS)
    weights = np.array([getattr(mixture, name) for name in names])
    weights /= weights.sum()
    for name in rng.choice(names, _TRIES, p=weights):
        if len(turns) >= questions:
            break
        turn = TASKS[name](facts, rng)
        if turn is None or any(turn.question == other.question for other in turns):
            continue
        if turn.depth and sum(other.depth for other in turns) >= MAX_DEPTH_TURNS:
            if not turn.masks:
                continue
            # to conclude from what is read can be learnt without the span
            turn = replace(turn, depth=False, supervise=("seg", "text"))
        turns.append(turn)
    if not turns:
        turns.append(grounding.depth(facts, rng))
    key = f"{stored.scene.split}/{stored.scene.seed}"
    return Sample(image, tuple(turns), key, IdMap(stored.ids), nearness, marks=points)


def scene_test_turns(stored: StoredScene, rng: np.random.Generator) -> list[tuple[np.ndarray, Turn]]:
    """The test questions of one scene, each with its picture.

    One picture each with 3, 4 and 5 marked points (tasks `marks3`, `marks4`, `marks5`), and on the clean picture two
    referring expressions, a plural, an absent object, a depth request and one question of each closed type; what the
    scene does not allow is left out.
    """
    facts = Facts(stored)
    asked: list[tuple[np.ndarray, Turn]] = []
    for count in (3, 4, 5):
        points = choose_points(facts.nearness, stored.ids, count, rng)
        if points:
            asked.append((draw_marks(stored.rgb, points), marked_turn(points, f"marks{count}")))
    for name, ask in TASKS.items():
        if name in UNSCORED:
            continue
        seen: set[str] = set()
        for _ in range(12):
            turn = ask(facts, rng)
            if turn is not None and turn.question not in seen:
                seen.add(turn.question)
                asked.append((stored.rgb, turn))
            if len(seen) == (2 if name == "referring" else 1):
                break
    return asked


def corpus(scenes: Sequence[StoredScene], rng: np.random.Generator, count: int) -> Iterator[str]:
    """Questions and answers of `count` random scenes."""
    for index in rng.integers(0, len(scenes), count):
        for turn in build_sample(scenes[int(index)], rng).turns:
            yield turn.question
            yield turn.answer


def _mark_detail(points: Sequence[Mark], rng: np.random.Generator) -> Turn:
    """Where one point is on the depth grid, or how near it is: the steps of the chain, one by one."""
    mark = points[int(rng.integers(len(points)))]
    if rng.random() < 0.6:
        question = pick(wording.CELL, rng, x=mark.letter)
        return Turn(question, f"Point {mark.letter} is at {cell_of(mark)}.", "marks_cell", target=cell_of(mark))
    question = pick(wording.NEARNESS, rng, x=mark.letter)
    value = two_digits(mark.nearness)
    return Turn(question, f"Point {mark.letter} is at {cell_of(mark)} nearness {value}.", "marks_cell", target=value)
