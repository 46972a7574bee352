"""From a rendered scene to a training sample, to test questions, and to a corpus for the text tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from perceptio.data.marks import cell_of, choose_points, draw_marks, marked_turn, scaled_law, two_digits
from perceptio.data.schema import IdMap, Mark, Sample, Turn
from perceptio.data.templates import pick
from perceptio.scenes.language import choices, grounding, questions, wording
from perceptio.scenes.language.facts import Facts
from perceptio.scenes.language.lexicon import Lexicon
from perceptio.scenes.language.mixture import Mixture
from perceptio.scenes.rendering.drawing import NEVER_MARKED
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
    "choice": choices.choice,
    "beside": questions.beside,
    "place": choices.place,
}
UNSCORED = ("naming", "reading", "caption", "inventory", "more")  # not in the test: part of others, or no one answer


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
        mixture: how often each task is asked; as the world's lexicon says by default.

    Raises:
        ValueError: if the mixture asks nothing that the world knows.
    """
    mixture = mixture or stored.lexicon.mixture
    names, weights = _weighted(stored.lexicon, mixture)
    facts = Facts(stored)
    nearness = facts.nearness
    image, turns, points = stored.rgb, list[Turn](), tuple[Mark, ...]()
    if rng.random() < mixture.marked if marks is None else marks:
        points = points_in(stored, nearness, int(rng.integers(2, 6)), rng)
        if points:
            image = draw_marks(image, points)
            turns.append(marked_turn(points))
            turns += [_mark_detail(points, rng) for _ in range(int(rng.integers(1, 3)))]
    for name in rng.choice(names, _TRIES, p=weights):
        if len(turns) >= questions:
            break
        turn = TASKS[name](facts.reworded(rng), rng)
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
    masks = IdMap(np.where(stored.ids == NEVER_MARKED, 0, stored.ids))
    return Sample(image, tuple(turns), f"{stored.split}/{stored.seed}", masks, nearness, marks=points)


def points_in(stored: StoredScene, nearness: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Mark, ...]:
    """Points of a scene's picture that may be marked, by its law; see `choose_points`."""
    law, allowed = stored.world.points_of(stored.scene), stored.ids != NEVER_MARKED
    glass = [thing.index for thing in stored.entities if thing.noun in stored.world.glass]
    if glass:
        allowed &= ~np.isin(stored.ids, glass)
    law = None if law is None else scaled_law(law, nearness.shape[0])
    return choose_points(nearness, stored.ids, count, rng, law, None if allowed.all() else allowed)


def scene_test_turns(stored: StoredScene, rng: np.random.Generator) -> list[tuple[np.ndarray, Turn]]:
    """The test questions of one scene, each with its picture.

    One picture each with 3, 4 and 5 marked points (tasks `marks3`, `marks4`, `marks5`), and on the clean picture two
    referring expressions, a plural, an absent object, a depth request and one question of each closed type; what the
    scene does not allow is left out.
    """
    facts = Facts(stored)
    asked: list[tuple[np.ndarray, Turn]] = []
    for count in (3, 4, 5):
        points = points_in(stored, facts.nearness, count, rng)
        if points:
            asked.append((draw_marks(stored.rgb, points), marked_turn(points, f"marks{count}")))
    for name, ask in TASKS.items():
        if name in UNSCORED or name not in stored.lexicon.tasks:
            continue
        seen: set[str] = set()
        for _ in range(12):
            turn = ask(facts.reworded(rng), rng)
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


def _weighted(lexicon: Lexicon, mixture: Mixture) -> tuple[list[str], np.ndarray]:
    """The tasks that a world knows, and how likely each is."""
    names = [name for name in TASKS if name in lexicon.tasks]
    weights = np.array([getattr(mixture, name) for name in names])
    if not weights.any():
        raise ValueError(f"the mixture asks nothing of this world: give one of {', '.join(names)} a weight above 0")
    return names, weights / weights.sum()


def _mark_detail(points: Sequence[Mark], rng: np.random.Generator) -> Turn:
    """Where one point is on the depth grid, or how near it is: the steps of the chain, one by one."""
    mark = points[int(rng.integers(len(points)))]
    if rng.random() < 0.6:
        question = pick(wording.CELL, rng, x=mark.letter)
        return Turn(question, f"Point {mark.letter} is at {cell_of(mark)}.", "marks_cell", target=cell_of(mark))
    question = pick(wording.NEARNESS, rng, x=mark.letter)
    value = two_digits(mark.nearness)
    return Turn(question, f"Point {mark.letter} is at {cell_of(mark)} nearness {value}.", "marks_cell", target=value)
