"""What is said of scenes of the second world, against the truth of the scene, found again here by other means."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from perceptio.data.marks import HARDBLINK, keep_law
from perceptio.data.schema import ABSENT, Turn
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.scenes.language import choices, describe, grounding, questions, space
from perceptio.scenes.language.entities import Entity
from perceptio.scenes.language.facts import Facts, Kind, Thing
from perceptio.scenes.language.scoring import is_correct
from perceptio.scenes.places.lexicon import COLOR_WORDS
from perceptio.scenes.rendering.drawing import NEVER_MARKED
from perceptio.scenes.samples import UNSCORED, build_sample, points_in, scene_test_turns
from perceptio.scenes.storage import StoredScene
from perceptio.tokens import extract_phrases

from .conftest import CLASSES, PLACES

# what a thing of a class is called too, and what somebody might call it
WIDER = {"armchair": ["chair"], "coffee table": ["table"], "woman": ["person"], "man": ["person"]}
PERHAPS = {"sofa": ["armchair"], "stool": ["chair"]}
# every form of every noun -> the noun
NAMES = {
    form: each.noun
    for each in CLASSES
    for form in (each.noun, each.plural, *(form for pair in each.synonyms for form in pair))
}
UNSCORED_TASKS = {"referring", "plural", "absent", "depth", *UNSCORED}


def chair(index: int, x: float, color: str | None = None, noun: str = "chair", y: float = 4.0) -> Entity:
    return Entity(index, noun, color, center=(x, y, 0.5), extent=(0.6, 0.6, 1.0))


def parse(words: str) -> tuple[str, str]:
    """Colour, or nothing, and noun of a bare description."""
    color, _, rest = words.partition(" ")
    color, rest = (color, rest) if color in COLOR_WORDS else ("", words)
    return color, NAMES[rest]


def select(words: str, stored: StoredScene) -> tuple[list[int], bool]:
    """The things of a bare description, and whether others might be meant too."""
    color, noun = parse(words)
    seen = {view.index: view.pixels for view in stored.views}
    surely, perhaps = [], []
    for thing in stored.entities:
        named, called = noun in (thing.noun, *WIDER.get(thing.noun, ())), noun in PERHAPS.get(thing.noun, ())
        if seen[thing.index] >= 12 and (named or called) and (not color or thing.color in (color, None)):
            sure = named and (not color or thing.color == color)
            (surely if sure else perhaps).append(thing.index)
    return surely, bool(perhaps)


def resolve(text: str, stored: StoredScene) -> list[int]:
    """Everything that "the ..." can mean."""
    text = text.lower().removeprefix("the ")
    things = {thing.index: thing for thing in stored.entities}
    views = {view.index: view for view in stored.views}
    words = "|".join(form for forms in describe.RELATION_WORDS.values() for form in forms)
    if found := re.fullmatch(rf"(.+?) ({words}) the (.+)", text):
        group, unsure = select(found[1], stored)
        ((anchor,), unsure_anchor) = select(found[3], stored)
        assert not unsure
        assert not unsure_anchor
        name = next(name for name, forms in describe.RELATION_WORDS.items() if found[2] in forms)
        if name == "nearest":
            return sorted(group, key=lambda one: space.distance(things[one], things[anchor]))[:1]
        test = {
            "left": lambda one: views[one].center[0] < views[anchor].center[0],
            "right": lambda one: views[one].center[0] > views[anchor].center[0],
            "front": lambda one: views[one].depth < views[anchor].depth,
            "behind": lambda one: views[one].depth > views[anchor].depth,
            "on": lambda one: things[one].on == anchor,
            "under": lambda one: space.is_under(things[one], things[anchor]),
            "next": lambda one: space.is_next_to(things[one], things[anchor]),
        }[name]
        return [one for one in group if test(one)]
    if found := re.fullmatch(r"(first|second|third|fourth|fifth) (.+) from the (left|right)", text):
        row = sorted(select(found[2], stored)[0], key=lambda one: views[one].center[0], reverse=found[3] == "right")
        return [row[("first", "second", "third", "fourth", "fifth").index(found[1])]]
    if found := re.fullmatch(r"(nearest|closest|farthest|most distant|leftmost|rightmost) (.+)", text):
        key = (lambda one: views[one].center[0]) if found[1].endswith("tmost") else (lambda one: views[one].depth)
        row = sorted(select(found[2], stored)[0], key=key)
        return [row[0 if found[1] in ("nearest", "closest", "leftmost") else -1]]
    group, unsure = select(text, stored)
    return [] if unsure else group


def draw(rooms: list[StoredScene], ask, count: int = 20) -> list[tuple[StoredScene, Turn]]:
    """Many turns of one task, each in fresh words."""
    rng = np.random.default_rng(7)
    asked = [(stored, ask(facts.reworded(rng), rng)) for stored in rooms for facts in [Facts(stored)] * count]
    turns = [(stored, turn) for stored, turn in asked if turn is not None]
    assert len(turns) > len(rooms)
    return turns


def things(stored: StoredScene) -> list[Thing]:
    return sorted(Facts(stored).things, key=lambda thing: thing.index)


def test_referring_expressions_fit_one_thing_alone(rooms):
    styles = Counter()
    for stored, turn in draw(rooms, grounding.referring):
        (phrase,) = extract_phrases(turn.answer)[1]
        assert phrase in turn.question
        assert resolve(phrase, stored) == list(turn.masks), phrase
        forms = describe.RELATION_WORDS.items()
        styles.update(name for name, words in forms if any(f" {form} the " in phrase for form in words))
    assert set(styles) == set(describe.RELATION_WORDS)


def test_plurals_and_counts_name_wider_kinds_too(rooms):
    words = Counter()
    for stored, turn in draw(rooms, grounding.plural):
        (phrase,) = extract_phrases(turn.answer)[1]
        noun = phrase.removeprefix("all ").removeprefix("the ")
        group, unsure = select(noun, stored)
        assert not unsure
        assert set(group) == set(turn.masks)
        words[noun] += 1
    assert words["people"] > 5
    assert words["chairs"] > 5
    for stored, turn in draw(rooms, questions.counting):
        noun = re.fullmatch(r"There (?:is|are) \d (.+)\.", extract_phrases(turn.answer)[0])[1]
        group, unsure = select(noun, stored)
        assert not unsure
        assert turn.target == str(len(group))
        assert turn.masks == ((ABSENT,) if not group else turn.masks)
        assert not group or set(group) == set(turn.masks)


def test_absent_things_are_not_there_and_nothing_there_might_be_called_so(rooms):
    changed = Counter()
    for stored, turn in [*draw(rooms, grounding.absent), *draw(rooms, questions.existence)]:
        if turn.masks != (ABSENT,):
            continue
        (words,) = extract_phrases(turn.answer)[1]
        color, noun = parse(words)
        assert noun not in ("bookcase", "sea")
        assert not (color and noun in ("man", "woman"))
        assert select(words, stored) == ([], False)
        narrower = {noun, *WIDER.get(noun, ()), *PERHAPS.get(noun, ())}  # a chair might be an armchair
        for thing in stored.entities:
            assert thing.noun not in narrower or (color and thing.color not in (None, color))
        changed[bool(color)] += 1
    assert min(changed.values()) > 20


def test_existence_is_balanced_although_colors_are_unknown(rooms):
    answers = Counter(turn.target for _, turn in draw(rooms, questions.existence))
    assert 0.4 < answers["yes"] / answers.total() < 0.6


def test_a_chair_beside_an_armchair_is_ambiguous_and_the_armchair_is_not(furnish):
    stored = furnish([chair(1, -1.0), chair(2, 1.0, noun="armchair")])
    facts, (plain, arm), rng = Facts(stored), things(stored), np.random.default_rng(0)
    assert describe.by_attributes(facts, plain, rng) is None
    assert {describe.by_attributes(facts, arm, rng) for _ in range(20)} == {"the armchair"}
    assert facts.matches(Kind(noun="chair")) == [plain, arm]
    assert facts.matches(Kind(noun="stool")) is None  # the chair might be one
    assert facts.matches(Kind(noun="table")) == []
    alone = Facts(furnish([chair(1, 1.0, noun="armchair")]))
    named = Counter(describe.by_attributes(alone, alone.clear[0], rng) for _ in range(200))
    assert set(named) == {"the armchair", "the chair"}
    assert named["the armchair"] > 2 * named["the chair"]
    assert {describe.by_attributes(alone, alone.clear[0], rng, wider=False) for _ in range(20)} == {"the armchair"}


def test_what_might_be_called_a_chair_makes_chairs_uncertain_and_is_never_called_so(furnish):
    stored = furnish([chair(1, -1.0), chair(2, 1.0, noun="stool")])
    facts, (plain, stool), rng = Facts(stored), things(stored), np.random.default_rng(0)
    assert facts.fits(Kind(noun="chair"), stool) is None
    assert facts.matches(Kind(noun="chair")) is None
    assert {describe.describe(facts, plain, rng) for _ in range(40)} == {None}
    assert {describe.by_attributes(facts, stool, rng) for _ in range(40)} == {"the stool"}


def test_a_thing_without_a_color_word_might_have_any(furnish):
    red, unknown, blue = chair(1, -1.5, "red"), chair(2, 0.0), chair(3, 1.5, "blue")
    rng = np.random.default_rng(0)
    clear, unclear = Facts(furnish([red, blue])), Facts(furnish([red, unknown, blue]))
    assert {describe.by_attributes(clear, clear.clear[0], rng) for _ in range(40)} == {"the red chair"}
    assert describe.by_attributes(unclear, unclear.clear[0], rng) is None
    assert unclear.fits(Kind(color="red", noun="chair"), unclear.clear[1]) is None
    assert unclear.fits(Kind(color="red", noun="sofa"), unclear.clear[1]) is False
    assert unclear.matches(Kind(color="green", noun="chair")) is None
    assert clear.matches(Kind(color="green", noun="chair")) == []
    assert all(questions.attribute(Facts(furnish([unknown])), rng) is None for _ in range(20))


def test_people_have_no_color(furnish):
    facts = Facts(furnish([chair(1, -1.0, "white", "man"), chair(2, 1.0, "blue", "woman")]))
    assert [thing.what.color for thing in facts.things] == [None, None]
    said = [grounding.referring(facts, np.random.default_rng(seed)) for seed in range(30)]
    assert all("white" not in turn.question and "blue" not in turn.question for turn in said if turn)


def test_what_nobody_sees_does_not_exist(furnish):
    """Half a square millimetre of a chair makes nothing ambiguous; some twenty pixels of it do."""
    near = chair(1, -1.0, "red")
    for size, known in ((0.04, 1), (0.12, 2)):
        far = Entity(2, "chair", "red", center=(2.0, 8.0, 1.5), extent=(size, 0.1, 4 * size))
        facts = Facts(furnish([near, far]))
        assert len(facts.things) == known
        assert (facts.matches(Kind(noun="chair")) is None) == (known == 2)


def test_one_turn_calls_a_thing_by_one_word(rooms):
    together = {frozenset({"sofa", "couch"}), frozenset({"sofa", "settee"}), frozenset({"couch", "settee"})}
    seen = Counter()
    for ask in (grounding.referring, grounding.caption, grounding.inventory, grounding.reading, questions.is_nearer):
        for _, turn in draw(rooms, ask, 6):
            words = set(re.findall(r"sofa|couch|settee", f"{turn.question} {turn.answer}".lower()))
            assert not any(pair <= words for pair in together)
            seen.update(words)
    assert len(seen) == 3


def test_captions_say_where_it_is(furnish, rooms):
    for stored, turn in draw(rooms, grounding.caption, 8):
        text, phrases = extract_phrases(turn.answer)
        assert text.startswith("A living room. ")
        assert len(phrases) == len(turn.masks)
        assert [resolve(phrase, stored) for phrase in phrases] == [[index] for index in turn.masks]
    pair = [chair(1, -1.0, "red"), chair(2, 1.0, "blue")]
    office = grounding.caption(Facts(furnish(pair, "office")), np.random.default_rng(0))
    assert office.answer.startswith("An office. <p>The ")
    assert grounding.caption(Facts(furnish(pair)), np.random.default_rng(0)).answer.startswith("<p>The ")


def test_lists_end_where_nobody_would_go_on(furnish):
    many = [chair(index, 0.62 * (index - 7), y=8.0) for index in range(1, 15)]
    assert grounding.inventory(Facts(furnish(many)), np.random.default_rng(0)) is None
    few = grounding.inventory(Facts(furnish(many[1:13])), np.random.default_rng(0))
    assert few.masks == tuple(range(2, 14))
    assert few.answer == f"<p>Chair</p>; {'; '.join(['<p>chair</p>'] * 11)}."


def test_places_are_multiple_choice(furnish):
    rng = np.random.default_rng(0)
    street = Facts(furnish([chair(1, 0.0, noun="car")], "street"))
    letters = Counter()
    for _ in range(60):
        turn = choices.place(street, rng)
        _, *options, tail = turn.question.split("\n")
        assert tail == "Answer with the option's letter from the given choices directly."
        assert len({option[3:] for option in options}) == 4
        assert options["ABCD".index(turn.target)] == f"{turn.target}. street"
        assert turn.answer == f"It is a street. Option {turn.target}."
        assert (turn.task, turn.masks, turn.depth) == ("place", (), False)
        assert is_correct(turn, turn.answer, PLACES.lexicon)
        letters[turn.target] += 1
    assert set(letters) == set("ABCD")
    assert choices.place(Facts(furnish([chair(1, 0.0)])), rng) is None


BED = Entity(1, "bed", "white", center=(0.0, 4.0, 0.3), extent=(1.4, 0.6, 0.6))


def beside(stored: StoredScene, side: str) -> int | None:
    facts = Facts(stored)
    anchor = next(thing for thing in facts.clear if thing.index == 1)
    thing = facts.only_one_on(anchor) if side == "on" else facts.neighbour(anchor, side)
    return None if thing is None else thing.index


def test_what_is_left_of_the_bed(furnish):
    table = Entity(2, "table", "red", center=(-1.2, 4.0, 0.3), extent=(0.5, 0.5, 0.6))
    assert [beside(furnish([BED, table]), side) for side in ("left", "right", "front", "behind")] == [
        2,
        None,
        None,
        None,
    ]
    two = [table, Entity(3, "chair", center=(-1.3, 3.2, 0.3), extent=(0.5, 0.5, 0.6))]
    assert beside(furnish([BED, *two]), "left") is None  # two as near as each other
    farther = Entity(3, "chair", center=(-2.2, 4.4, 0.3), extent=(0.3, 0.3, 0.6))
    assert beside(furnish([BED, table, farther]), "left") == 2
    assert beside(furnish([BED, farther]), "left") == 3
    assert beside(furnish([BED, Entity(3, "chair", center=(-3.5, 7.0, 0.3), extent=(0.5, 0.5, 0.6))]), "left") is None
    hidden = Entity(3, "woman", center=(-0.9, 3.9, 0.3), extent=(0.08, 0.1, 0.16))  # nearer, and not clear
    assert beside(furnish([BED, table, hidden]), "left") is None


def test_what_is_behind_is_seen_over_the_other_and_what_is_left_beside_it(furnish):
    behind = Entity(2, "lamp", center=(-0.1, 5.2, 0.9), extent=(0.4, 0.4, 1.8))
    assert [beside(furnish([BED, behind]), side) for side in ("left", "right", "front", "behind")] == [
        *[None] * 3,
        2,
    ]
    before = Entity(2, "stool", center=(0.4, 3.0, 0.2), extent=(0.3, 0.3, 0.4))
    assert [beside(furnish([BED, before]), side) for side in ("right", "front", "behind")] == [None, 2, None]


def test_what_stands_on_a_neighbour_or_hangs_above_is_none(furnish):
    table = Entity(2, "table", "red", center=(-1.2, 4.0, 0.2), extent=(0.5, 0.5, 0.4))
    lamp = Entity(3, "lamp", center=(-1.1, 4.0, 0.5), extent=(0.2, 0.2, 0.3), on=2)
    window = Entity(4, "window", center=(-1.0, 4.3, 2.0), extent=(0.5, 0.1, 0.5))
    assert beside(furnish([BED, table, lamp, window]), "left") == 2
    assert beside(furnish([BED, window]), "left") is None


def test_what_is_on_the_bed(furnish):
    one = Entity(2, "lamp", center=(0.3, 4.0, 0.8), extent=(0.3, 0.3, 0.4), on=1)
    two = Entity(3, "woman", center=(-0.3, 4.0, 0.8), extent=(0.3, 0.3, 0.4), on=1)
    assert beside(furnish([BED, one]), "on") == 2
    assert beside(furnish([BED, one, two]), "on") is None
    assert beside(furnish([BED]), "on") is None
    turn = questions.beside(Facts(furnish([BED, one])), np.random.default_rng(0))
    assert turn.answer in ("On <p>the bed</p> is <p>the lamp</p>.", "On <p>the white bed</p> is <p>the lamp</p>.")
    assert (turn.masks, turn.target, turn.task) == ((1, 2), "lamp", "beside")


def test_questions_of_what_is_beside_name_both_things(rooms):
    sides = Counter()
    for stored, turn in draw(rooms, questions.beside, 4):
        _, phrases = extract_phrases(turn.answer)
        assert [resolve(phrase, stored) for phrase in phrases] == [[index] for index in turn.masks]
        assert phrases[0] in turn.question
        assert phrases[1].endswith(turn.target)
        sides[turn.answer.partition(" <p>")[0]] += 1
    assert {"To the left of", "To the right of", "In front of", "On"} <= set(sides)


def test_what_carries_a_thing_is_not_said_to_be_under_it(furnish):
    lamp = Entity(2, "lamp", center=(0.0, 4.0, 0.8), extent=(0.3, 0.3, 0.4), on=1)
    hanging = Entity(3, "lamp", center=(0.0, 4.0, 2.0), extent=(0.3, 0.3, 0.4))
    stored = furnish([BED, lamp, hanging])
    bed, standing, above = things(stored)
    facts = Facts(stored)
    assert facts.relation(bed, standing, "under") is None
    assert facts.relation(bed, above, "under") is True
    assert facts.relation(standing, bed, "on") is True
    assert facts.relation(above, bed, "on") is False


def test_questions_of_number_are_seldom_about_one(furnish):
    rng = np.random.default_rng(0)
    asked = [questions.counting(Facts(furnish([chair(1, 0.0)])), rng) for _ in range(400)]
    assert 0.15 < sum(turn is not None and turn.target == "1" for turn in asked) / 400 < 0.35
    pair = Facts(furnish([chair(1, -1.0), chair(2, 1.0)]))
    asked = [questions.counting(pair, rng) for _ in range(100)]
    assert sum(turn is not None and turn.target == "2" for turn in asked) > 60


def test_nearness_that_is_read_off_tells_what_is_nearer(furnish):
    far = [chair(1, -3.0, "red", y=9.0), chair(2, 3.0, "blue", y=10.5)]  # 18 % apart, yet both far
    assert Facts(furnish(far)).nearer(*things(furnish(far))) is True
    close = Entity(3, "sofa", center=(0.0, 0.3, 1.5), extent=(0.1, 0.1, 0.1))
    stored = furnish([*far, close])
    first, second = things(stored)[:2]
    assert Facts(stored).nearer(first, second) is None


def test_samples_and_test_questions_are_consistent_and_score_as_right(rooms):
    rng = np.random.default_rng(0)
    drawn, tested, words = Counter(), Counter(), Counter()
    for stored in rooms:
        sample = build_sample(stored, rng)
        assert sample.key == f"test/{stored.seed}"
        test_turns = [turn for _, turn in scene_test_turns(stored, rng)]
        views = {view.index: view for view in stored.views}
        for turn in (*sample.turns, *test_turns):
            text, phrases = extract_phrases(turn.answer)
            assert bool(phrases) == bool(turn.masks)
            assert all(views[index].pixels >= 60 for index in turn.masks if index != ABSENT)
            assert turn.task in UNSCORED_TASKS or is_correct(turn, text, PLACES.lexicon), turn
            words.update(re.findall("sofa|couch|settee|lamp|light", turn.answer))
        drawn.update(turn.task for turn in sample.turns)
        tested.update(turn.task for turn in test_turns)
    parts = {"naming", "more"}  # of referring and comparison
    assert set(drawn) == {"marks", "marks_cell", *PLACES.lexicon.tasks} - parts
    assert {"beside", "place", "existence", "marks3"} <= set(tested)
    assert set(words) == {"sofa", "couch", "settee", "lamp", "light"}  # synonyms are drawn for every turn


def test_marks_keep_hardblinks_law_and_stay_off_the_sky(furnish):
    entities = [chair(index, 1.5 * index - 4.5, y=2.5 + 0.9 * index) for index in range(1, 6)]
    plain = furnish(entities)
    ids = plain.ids.copy()
    ids[:90] = NEVER_MARKED
    stored = StoredScene(plain.scene, plain.rgb, plain.depth, ids, plain.views, plain.world)
    nearness, lowest = inverse_depth_from_metric(stored.depth), []
    for seed in range(60):
        points = points_in(stored, nearness, 3, np.random.default_rng(seed))
        assert keep_law(points, HARDBLINK)
        assert all(ids[int(point.y / 1.5), int(point.x / 1.5)] != NEVER_MARKED for point in points)
        if points:
            lowest.append(max(points, key=lambda one: one.y) == max(points, key=lambda one: one.nearness))
    assert len(lowest) > 30
    assert np.mean(lowest) < 0.45
    sample = build_sample(stored, np.random.default_rng(0))
    assert sample.masks.ids.max() == 5  # the sky is no mask


def test_no_point_is_marked_on_glass(furnish):
    things = [chair(index, 1.5 * index - 4.5, y=2.5 + 0.9 * index) for index in range(1, 6)]
    panes = [replace(thing, noun="window") if thing.index in (2, 4) else thing for thing in things]
    marked = [set[int](), set[int]()]
    for number, entities in enumerate((things, panes)):
        stored = furnish(entities)
        nearness = inverse_depth_from_metric(stored.depth)
        for seed in range(40):
            for point in points_in(stored, nearness, 2, np.random.default_rng(seed)):
                marked[number].add(int(stored.ids[int(point.y / 1.5), int(point.x / 1.5)]))
    assert {2, 4} <= marked[0]
    assert not marked[1] & {2, 4}
    assert marked[1] & {1, 3, 5}


@pytest.mark.parametrize("count", [0, 1])
def test_poor_scenes_still_give_a_sample(furnish, count):
    sample = build_sample(furnish([chair(1, 0.0)][:count]), np.random.default_rng(0))
    assert sample.turns
