"""Samples and test questions of a scene."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from perceptio.data.marks import HARDBLINK_PROMPT
from perceptio.data.schema import ABSENT, IdMap
from perceptio.data.supervision import choose_spans
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.scenes.language.mixture import Mixture
from perceptio.scenes.samples import MAX_DEPTH_TURNS, TASKS, UNSCORED, build_sample, corpus, scene_test_turns
from perceptio.scenes.tabletop.lexicon import LEXICON
from perceptio.tokens import Switch, extract_phrases, label_segments

from .conftest import PLACES


def consistent(turn, stored) -> None:
    """What every turn must be, whatever it asks."""
    phrases = extract_phrases(turn.answer)[1]
    if turn.masks:
        assert None not in label_segments(phrases, len(turn.masks)), turn
    if not turn.masks:
        assert not phrases, turn
    assert "<p>" not in turn.question
    assert turn.question[0].isupper()
    assert turn.answer
    views = {view.index: view for view in stored.views}
    for number in set(turn.masks) - {ABSENT}:
        assert views[number].pixels >= 60
        assert views[number].visible >= 0.35
        assert (stored.ids == number).sum() == views[number].pixels


def test_samples_are_consistent(scenes):
    rng = np.random.default_rng(0)
    tasks, marked = Counter(), 0
    for stored in scenes * 3:
        sample = build_sample(stored, rng)
        assert sample.key == f"test/{stored.scene.seed}"
        assert 1 <= len(sample.turns) <= 7
        assert sum(turn.depth for turn in sample.turns) <= MAX_DEPTH_TURNS
        assert len({turn.question for turn in sample.turns if turn.task != "marks_cell"}) == sum(
            turn.task != "marks_cell" for turn in sample.turns
        )
        names = [turn.task for turn in sample.turns]
        if "marks" in names:
            marked += 1
            assert sample.image.shape == (336, 336, 3)
            assert names.count("marks") == 1
            assert 1 <= names.count("marks_cell") <= 2
        else:
            assert sample.image is stored.rgb
            assert "marks_cell" not in names
        for turn in sample.turns:
            consistent(turn, stored)
        tasks.update(names)
        assert isinstance(sample.masks, IdMap)
        np.testing.assert_array_equal(sample.masks.ids, stored.ids)
        np.testing.assert_array_equal(sample.depth, inverse_depth_from_metric(stored.depth))
    parts = {"naming", "more"}  # of referring and comparison
    assert set(tasks) == {"marks", "marks_cell", *LEXICON.tasks} - parts
    assert {task for task, _ in tasks.most_common(2)} == {"referring", "inventory"}
    assert abs(marked / 120 - Mixture().marked) < 0.2


def test_further_questions_about_depth_are_asked_without_a_span(scenes):
    bare = [
        turn
        for number, stored in enumerate(scenes)
        for turn in build_sample(stored, np.random.default_rng(number), mixture=Mixture(nearer=20.0)).turns
        if " nearness " in turn.answer and turn.task != "marks_cell" and not turn.depth
    ]
    assert len(bare) > len(scenes)
    assert {turn.supervise for turn in bare} == {("seg", "text")}
    assert all(choose_spans(turn, np.random.default_rng(0), 0.0).depth is Switch.OFF for turn in bare)


def test_same_draws_give_the_same_sample(scenes):
    first, second = (build_sample(scenes[3], np.random.default_rng(5)) for _ in range(2))
    assert first.turns == second.turns
    np.testing.assert_array_equal(first.image, second.image)


def test_marks_on_request(scenes):
    for stored in scenes[:8]:
        clean = build_sample(stored, np.random.default_rng(0), marks=False, questions=4)
        assert len(clean.turns) <= 4
        assert all(turn.task not in ("marks", "marks_cell") for turn in clean.turns)
    marked = [build_sample(stored, np.random.default_rng(0), marks=True) for stored in scenes[:8]]
    assert sum(sample.turns[0].task == "marks" for sample in marked) >= 7


def test_chain_reads_the_depth_map_and_settles_on_the_nearest(scenes):
    for stored in scenes:
        turn = build_sample(stored, np.random.default_rng(1), marks=True).turns[0]
        if turn.task != "marks":
            continue
        assert turn.question == HARDBLINK_PROMPT
        assert turn.depth
        assert not turn.masks
        chain, conclusion = turn.answer.removesuffix(".").split(". ")
        nearness = inverse_depth_from_metric(stored.depth)
        said = {}
        for step in chain.split("; "):
            letter, _, cell, _, value = step.split()
            row, column = (int(part) for part in cell.split(","))
            said[letter] = int(value)
            block = nearness[int(row * 22.4) : int(np.ceil((row + 1) * 22.4)), int(column * 22.4) :]
            block = block[:, : int(np.ceil(22.4)) + 1]
            scale = 99 * (block + 1) / 2
            assert scale.min() - 1 <= int(value) <= scale.max() + 1
        assert list(said) == list("ABCDE"[: len(said)])
        assert conclusion == f"Point {turn.target}"
        assert said[turn.target] == max(said.values())
        assert sorted(said.values())[-1] - sorted(said.values())[-2] >= 7  # 20 of 255, rounded


def test_poor_scene_still_gives_a_sample(build):
    sample = build_sample(build([("small", "red", "matte", "cube", 100, 100, 1, 3.0)]), np.random.default_rng(0))
    assert sample.turns
    assert all(set(turn.masks) <= {ABSENT} for turn in sample.turns)


def test_test_questions(scenes):
    tasks = Counter()
    for stored in scenes:
        asked = scene_test_turns(stored, np.random.default_rng(stored.scene.seed))
        for image, turn in asked:
            consistent(turn, stored)
            assert (image is stored.rgb) != turn.task.startswith("marks")
            if turn.task.startswith("marks"):
                assert turn.answer.count("nearness") == int(turn.task[-1])
                assert image.shape == (336, 336, 3)
        tasks.update(turn.task for _, turn in asked)
        again = scene_test_turns(stored, np.random.default_rng(stored.scene.seed))
        assert [turn for _, turn in asked] == [turn for _, turn in again]
    assert set(tasks) == {"marks3", "marks4", "marks5", *(LEXICON.tasks - set(UNSCORED))}
    assert tasks["referring"] >= 70
    assert min(tasks.values()) >= 30


def test_a_mixture_of_nothing_that_the_world_knows_is_refused(build, furnish):
    nothing = dict.fromkeys(TASKS, 0.0)
    only_places = Mixture(**{**nothing, "place": 1.0})
    with pytest.raises(ValueError, match="asks nothing of this world"):
        build_sample(build([]), np.random.default_rng(0), mixture=only_places)
    asked = build_sample(furnish([], "street"), np.random.default_rng(0), marks=False, mixture=only_places).turns
    assert {turn.task for turn in asked} == {"place"}


def test_every_task_has_a_weight_and_a_world():
    assert set(TASKS) == {field.name for field in fields(Mixture)} - {"marked"}
    assert PLACES.lexicon.tasks == set(TASKS)
    assert set(TASKS) - LEXICON.tasks == {"beside", "place"}


def test_draws_of_the_table_top_stay_what_they_are(build):
    """Questions and answers of hand-made scenes, to the letter: models are trained on these."""
    blocks = [
        ("large", "red", "metal", "cube", 40, 120, 20, 2.0),
        ("small", "red", "matte", "sphere", 100, 130, 12, 3.0),
        ("small", "blue", "striped", "sphere", 150, 100, 12, 4.0),
        ("medium", "green", "dotted", "torus", 200, 110, 15, 5.0),
    ]
    said = []
    for number in range(1, len(blocks) + 1):
        for seed in range(12):
            stored, rng = build(blocks[:number]), np.random.default_rng((number, seed))
            turns = [*build_sample(stored, rng).turns, *(turn for _, turn in scene_test_turns(stored, rng))]
            said += [[turn.question, turn.answer, turn.task, turn.masks, turn.depth, turn.target] for turn in turns]
    assert len(said) == 903
    assert (
        hashlib.sha256(json.dumps(said).encode()).hexdigest()
        == "e57a3e257129f2e3422d0552766cfe3b09db61252e18f14d1ca6ca19bd89f135"
    )


def test_corpus_is_questions_and_answers(scenes):
    texts = list(corpus(scenes, np.random.default_rng(0), 5))
    assert len(texts) >= 40
    assert len(texts) % 2 == 0
    assert HARDBLINK_PROMPT in list(corpus(scenes, np.random.default_rng(0), 20))
    assert texts == list(corpus(scenes, np.random.default_rng(0), 5))
