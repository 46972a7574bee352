"""Expressions and answers against the truth of the scene, found again here by other means than the generator's."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from perceptio.data.schema import ABSENT, Turn
from perceptio.data.templates import capital
from perceptio.scenes.language import choices, describe, grounding, questions, wording
from perceptio.scenes.language.facts import Facts, Kind
from perceptio.scenes.storage import StoredScene
from perceptio.scenes.tabletop.world import COLORS, HELD_OUT, MATERIALS, SHAPES, SIZES, SceneObject
from perceptio.scenes.views import ObjectView
from perceptio.tokens import extract_phrases

DRAWS = 40  # draws from each scene
NOUN = {**{shape: shape for shape in SHAPES}, "ring": "torus"}
Pair = tuple[SceneObject, ObjectView]


def pairs_of(stored: StoredScene) -> list[Pair]:
    return list(zip(stored.scene.objects, stored.views, strict=True))


def select(words: str, pairs: list[Pair]) -> list[Pair]:
    """The objects of a bare description such as "large red metal cubes", word by word."""
    for word in words.split():
        noun = word.removesuffix("s")
        if noun in NOUN:
            pairs = [pair for pair in pairs if pair[0].shape == NOUN[noun]]
        elif noun != "object":
            assert word in COLORS or word in MATERIALS or word in SIZES, word
            pairs = [pair for pair in pairs if word in (pair[0].color, pair[0].material, pair[0].size)]
    return pairs


def resolve(text: str, pairs: list[Pair]) -> list[Pair]:
    """Everything that "the ..." can mean."""
    text = text.lower().removeprefix("the ")
    if found := re.fullmatch(r"(.+?) (?:to the )?(left of|right of|in front of|behind) the (.+)", text):
        (anchor,) = select(found[3], pairs)
        test = {
            "left of": lambda view: view.center[0] < anchor[1].center[0],
            "right of": lambda view: view.center[0] > anchor[1].center[0],
            "in front of": lambda view: view.depth < anchor[1].depth,
            "behind": lambda view: view.depth > anchor[1].depth,
        }[found[2]]
        return [pair for pair in select(found[1], pairs) if test(pair[1])]
    if found := re.fullmatch(r"(first|second|third|fourth|fifth) (.+) from the (left|right)", text):
        place = ("first", "second", "third", "fourth", "fifth").index(found[1])
        row = sorted(select(found[2], pairs), key=lambda pair: pair[1].center[0], reverse=found[3] == "right")
        return [row[place]]
    if found := re.fullmatch(r"(nearest|closest|farthest|most distant|leftmost|rightmost) (.+)", text):
        chosen = select(found[2], pairs)
        if found[1] in ("leftmost", "rightmost"):
            row = sorted(chosen, key=lambda pair: pair[1].center[0])
            return [row[0 if found[1] == "leftmost" else -1]]
        row = sorted(chosen, key=lambda pair: pair[1].depth)
        return [row[0 if found[1] in ("nearest", "closest") else -1]]
    return select(text, pairs)


def draw(scenes: list[StoredScene], ask, count: int = DRAWS) -> list[tuple[StoredScene, Turn]]:
    """Many turns of one task."""
    rng = np.random.default_rng(7)
    asked = [(stored, ask(facts, rng)) for stored in scenes for facts in [Facts(stored)] for _ in range(count)]
    turns = [(stored, turn) for stored, turn in asked if turn is not None]
    assert len(turns) > len(scenes)
    return turns


def test_referring_expressions_fit_one_object_alone(scenes):
    styles = Counter()
    for stored, turn in draw(scenes, grounding.referring):
        (phrase,) = extract_phrases(turn.answer)[1]
        assert phrase in turn.question
        meant = resolve(phrase, pairs_of(stored))
        assert [thing.index for thing, _ in meant] == list(turn.masks), phrase
        view = meant[0][1]
        assert view.pixels >= 60
        assert view.visible >= 0.35
        styles[("left of", "right of", "front", "behind", "from the", "most", "est ")[_style(phrase)]] += 1
    assert len(styles) == 7, styles  # every style occurs


def _style(phrase: str) -> int:
    marks = ("left of", "right of", "front", "behind", "from the", "most", "est ")
    return next((number for number, mark in enumerate(marks) if mark in phrase), 6)


def test_plural_names_all_of_a_kind_from_left_to_right(scenes):
    for stored, turn in draw(scenes, grounding.plural):
        (phrase,) = extract_phrases(turn.answer)[1]
        group = select(phrase.removeprefix("all ").removeprefix("the "), pairs_of(stored))
        group.sort(key=lambda pair: pair[1].center[0])
        assert [thing.index for thing, _ in group] == list(turn.masks)
        assert len(group) >= 2


def test_absent_objects_are_absent_and_never_a_held_out_pair(scenes):
    for stored, turn in draw(scenes, grounding.absent):
        text, (words,) = extract_phrases(turn.answer)
        assert text == f"There is no {words}."
        assert not select(words, pairs_of(stored))
        assert turn.masks == (ABSENT,)
        assert not any({color, noun} <= set(words.split()) for color, shape in HELD_OUT for noun in _nouns(shape))


def _nouns(shape: str) -> list[str]:
    return [noun for noun, other in NOUN.items() if other == shape]


def test_the_number_of_words_does_not_tell_what_is_absent(scenes):
    """As many words name what is there: "the red object", "the small metal cube"."""
    lengths = {
        ask: Counter(
            len(extract_phrases(turn.answer)[1][0].removeprefix("the ").split()) for _, turn in draw(scenes, ask)
        )
        for ask in (grounding.absent, grounding.naming)
    }
    shares = {ask: np.array([count[k] for k in (1, 2, 3)]) / count.total() for ask, count in lengths.items()}
    assert shares[grounding.absent].min() > 0.02
    assert np.abs(shares[grounding.absent] - shares[grounding.naming]).max() < 0.25


def test_captions_are_true(scenes):
    for stored, turn in draw(scenes, grounding.caption):
        text, phrases = extract_phrases(turn.answer)
        assert len(phrases) == len(turn.masks) in (2, 4)
        pairs = pairs_of(stored)
        for phrase, number in zip(phrases, turn.masks, strict=True):
            assert [thing.index for thing, _ in resolve(phrase, pairs)] == [number]
        for sentence in text.removesuffix(".").split(". "):
            assert holds(sentence.lower(), pairs), sentence


def test_lists_name_every_clear_object_from_left_to_right(scenes):
    for stored, turn in draw(scenes, grounding.inventory):
        facts = Facts(stored)
        _, phrases = extract_phrases(turn.answer)
        assert list(turn.masks) == [thing.index for thing in facts.clear]
        assert len(phrases) == len(turn.masks) > 0
        pairs = pairs_of(stored)
        lefts = []
        for phrase, number in zip(phrases, turn.masks, strict=True):
            named = select(phrase.lower(), pairs)
            (view,) = [view for thing, view in named if thing.index == number]
            lefts.append(view.center[0])
            assert len(phrase.split()) == 4
        assert lefts == sorted(lefts)


def holds(claim: str, pairs: list[Pair]) -> bool:
    """Whether "x is <relation> y" is true."""
    x, words, y = re.fullmatch(
        r"(.+?) is (to the left of|to the right of|in front of|behind|larger than|smaller than) (.+)", claim
    ).groups()
    ((a, seen_a),), ((b, seen_b),) = resolve(x, pairs), resolve(y, pairs)
    return {
        "to the left of": seen_a.center[0] < seen_b.center[0],
        "to the right of": seen_a.center[0] > seen_b.center[0],
        "in front of": seen_a.depth < seen_b.depth,
        "behind": seen_a.depth > seen_b.depth,
        "larger than": a.scale > b.scale,
        "smaller than": a.scale < b.scale,
    }[words]


READ = r"(.+?) at (\d,\d)(?: nearness (\d\d))?"  # an object and what is read off it


def test_nearer_keeps_its_margin(scenes):
    for stored, turn in draw(scenes, questions.is_nearer):
        text, phrases = extract_phrases(turn.answer)
        pairs = pairs_of(stored)
        ((first, seen),), ((second, other),) = (resolve(phrase, pairs) for phrase in phrases)
        assert (first.index, second.index) == turn.masks
        assert turn.depth
        low, high = sorted((seen.depth, other.depth))
        assert high >= 1.12 * low - 1e-6
        assert turn.target == phrases[0 if seen.depth < other.depth else 1].lower()
        read_off = rf"{READ}; {READ}\. {re.escape(capital(turn.target))} is nearer\."
        x, _, near, y, _, far = re.fullmatch(read_off, text).groups()
        assert (x, y) == phrases
        assert (int(near) > int(far)) == (seen.depth < other.depth)


def test_readings_say_where_and_how_near_each_object_is(scenes):
    seen = Counter()
    for stored, turn in draw(scenes, grounding.reading):
        text, phrases = extract_phrases(turn.answer)
        clauses = [re.fullmatch(READ, clause).groups() for clause in text.removesuffix(".").split("; ")]
        pairs = pairs_of(stored)
        named = [resolve(phrase, pairs)[0] for phrase in phrases]
        assert turn.masks == tuple(thing.index for thing, _ in named)
        assert len(clauses) == len(phrases) == len(set(phrases)) <= grounding.MAX_READ
        assert all(phrase in turn.question.lower() for phrase in map(str.lower, phrases))
        assert {near is not None for *_, near in clauses} == {turn.depth}
        for (_, seen_of), (_, place, _) in zip(named, clauses, strict=True):
            x, y = (int(10 * value / stored.ids.shape[0]) for value in seen_of.center)
            assert place == f"{y},{x}"
        ranked = sorted(zip(named, clauses, strict=True), key=lambda pair: -pair[0][1].depth)
        assert not turn.depth or [near for _, (*_, near) in ranked] == sorted(near for *_, near in clauses)
        seen[turn.depth, len(phrases)] += 1
    assert len(seen) == 2 * grounding.MAX_READ


def test_places_are_the_cells_of_the_centers(build):
    cubes = [("small", "red", "matte", "cube", 60, 120, 12, 2.0), ("small", "blue", "matte", "cube", 223, 0, 9, 3.0)]
    turn = questions.is_nearer(Facts(build(cubes)), np.random.default_rng(0))
    assert sorted(re.findall(r"(red|blue)[^<]*</p> at (\d,\d) nearness", turn.answer)) == [
        ("blue", "0,9"),
        ("red", "5,2"),
    ]


def test_counts_are_right_and_name_what_they_count(scenes):
    seen = Counter()
    for stored, turn in draw(scenes, questions.counting):
        text, phrases = extract_phrases(turn.answer)
        number, words = re.fullmatch(r"There (?:is|are) (\d) (.+)\.", text).groups()
        group = sorted(select(words, pairs_of(stored)), key=lambda pair: pair[1].center[0])
        assert tuple(thing.index for thing, _ in group) == (turn.masks if group else ())
        assert group or turn.masks == (ABSENT,)
        assert turn.target == number == str(len(group))
        assert phrases == (words,)
        seen[number] += 1
    assert {"0", "1", "2", "3", "4"} <= set(seen)


def test_attributes_are_right_and_not_in_the_question(scenes):
    for stored, turn in draw(scenes, questions.attribute):
        text, (phrase,) = extract_phrases(turn.answer)
        ((thing, _),) = resolve(phrase, pairs_of(stored))
        assert (thing.index,) == turn.masks
        assert NOUN.get(turn.target, turn.target) in (thing.color, thing.shape, thing.material, thing.size)
        assert turn.target not in phrase.lower().split()
        assert text.endswith(f" {turn.target}.")


def test_existence_is_right_and_balanced(scenes):
    answers = Counter()
    for stored, turn in draw(scenes, questions.existence):
        words = re.search(r"\ban? (?:<p>)?(\w+ \w+)", turn.question)[1]
        group = select(words, pairs_of(stored))
        assert (turn.target == "yes") == bool(group)
        assert ({thing.index for thing, _ in group} or {ABSENT}) == set(turn.masks)
        answers[turn.target] += 1
    assert 0.4 < answers["yes"] / answers.total() < 0.6


def test_comparisons_are_true_and_balanced(scenes):
    answers, counts = Counter(), 0
    for stored, turn in draw(scenes, questions.comparison):
        text = extract_phrases(turn.answer)[0]
        pairs = pairs_of(stored)
        answers[turn.target] += 1
        assert text.endswith(f", so {turn.target}.")
        if found := re.fullmatch(r"There are (.+); (\d) (.+) and (\d) (.+), so (?:yes|no)\.", text):
            groups = [sorted(select(found[k], pairs), key=lambda pair: pair[1].center[0]) for k in (3, 5)]
            assert [len(group) for group in groups] == [int(found[2]), int(found[4])]
            assert (len(groups[0]) > len(groups[1])) == (turn.target == "yes")
            kinds = [words.removesuffix("s") for words in (found[3], found[5])]
            listed = [
                item
                for kind, group in zip(kinds, groups, strict=True)
                for item in ([f"{kind} {number + 1}" for number in range(len(group))] or [f"no {kind}"])
            ]
            assert found[1] == ", ".join(listed)
            assert turn.masks == tuple(
                index for group in groups for index in ([thing.index for thing, _ in group] or [ABSENT])
            )
            counts += 1
            continue
        if found := re.match(r"(.+) is (\w+) and (.+) is (\w+),", text):
            first, second = (resolve(found[k].lower(), pairs)[0][0] for k in (1, 3))
            assert (first.size, second.size) == (found[2], found[4])
            larger = first.scale > second.scale
            assert (larger == (" larger than " in turn.question)) == (turn.target == "yes")
            continue
        x, _, near, y, _, far, said = re.match(rf"{READ}; {READ}\. The first is ([a-z ]+),", text).groups()
        x = x[0].lower() + x[1:]
        words = said if said == "behind" else f"{said} of"
        assert holds(f"{x} is {words} {y}", pairs), text
        # what is said is what was asked if and only if the answer is yes
        assert (f"{words} {y}" in turn.question) == (turn.target == "yes")
        assert turn.depth == (near is not None) == (far is not None)
    assert 0.4 < answers["yes"] / answers.total() < 0.6
    assert 0 < counts < 0.4 * answers.total()


def test_choices_have_one_right_option_among_four(scenes):
    letters = Counter()
    for stored, turn in draw(scenes, choices.choice):
        asked, *options, tail = turn.question.split("\n")
        assert tail == "Answer with the option's letter from the given choices directly."
        assert [option[:3] for option in options] == ["A. ", "B. ", "C. ", "D. "]
        values = [option[3:] for option in options]
        assert len(set(values)) == 4
        right = values["ABCD".index(turn.target)]
        text, phrases = extract_phrases(turn.answer)
        assert text.endswith(f". Option {turn.target}.")
        pairs = pairs_of(stored)
        if asked in wording.NEAREST:
            named = [resolve(value, pairs)[0] for value in values]
            assert values[int(np.argmin([seen.depth for _, seen in named]))] == right
            assert turn.masks == tuple(thing.index for thing, _ in named)
            assert phrases == tuple("ABCD")
            nearness = [int(read[3]) for read in re.finditer(READ, text)]
            assert "ABCD"[int(np.argmax(nearness))] == turn.target
            letters[turn.target] += 1
            continue
        assert right in text.split(". ")[0].split()
        if right.isdigit():
            assert len(turn.masks) == max(int(right), 1)
            assert (right == "0") == (turn.masks == (ABSENT,))
        else:
            (number,) = turn.masks
            thing = pairs[number - 1][0]
            assert NOUN.get(right, right) in (thing.color, thing.shape, thing.material)
        letters[turn.target] += 1
    assert min(letters[letter] for letter in "ABCD") > 0.2 * letters.total()


def test_hidden_twin_makes_an_expression_ambiguous(build):
    red_cube = ("small", "red", "matte", "cube", 60, 120, 12, 3.0)
    alone = Facts(build([red_cube]))
    assert describe.by_attributes(alone, alone.clear[0], np.random.default_rng(0))
    for twin in (("small", "red", "matte", "cube", 150, 120, 2, 4.0), ("small", "red", "matte", "cube", 0, 0, 0, 0.0)):
        facts = Facts(build([red_cube, twin]))  # 25 pixels and none at all
        assert [thing.index for thing in facts.clear] == [1]
        assert facts.matches(Kind(color="red", noun="cube")) is None
        assert all(describe.describe(facts, facts.clear[0], np.random.default_rng(seed)) is None for seed in range(40))


def test_relations_are_not_called_when_close(build):
    facts = Facts(
        build(
            [
                ("small", "red", "matte", "cube", 60, 120, 10, 3.0),
                ("small", "blue", "matte", "cube", 67, 60, 10, 3.3),
                ("small", "green", "matte", "cube", 70, 180, 10, 3.4),
            ]
        )
    )
    red, blue, green = sorted(facts.clear, key=lambda thing: thing.index)
    assert facts.relation(red, blue, "left") is None  # 7 px apart
    assert facts.relation(red, green, "left") is True
    assert facts.relation(green, red, "left") is False
    assert facts.relation(green, red, "right") is True
    assert facts.nearer(red, blue) is None  # 10 % apart
    assert facts.relation(red, green, "front") is True
    assert facts.relation(red, green, "behind") is False


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("orange cube", "an orange cube"),
        ("red ring", "a red ring"),
        ("umbrella", "an umbrella"),
        ("urinal", "a urinal"),
        ("utensil rack", "a utensil rack"),
        ("TV set", "a TV set"),
        ("AC unit", "an AC unit"),
    ],
)
def test_article(words, expected):
    assert wording.a(words) == expected
