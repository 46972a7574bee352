"""Marked points: where they are, how they are drawn, and that height in the picture does not give them away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from perceptio.data.marks import (
    HARDBLINK,
    HARDBLINK_PROMPT,
    MARKED_SIZE,
    PointLaw,
    cell_of,
    cell_words,
    choose_points,
    draw_marks,
    in_marked_picture,
    in_picture,
    keep_law,
    marked_turn,
    scaled_law,
    two_digits,
)
from perceptio.data.schema import Mark
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.scenes.contact_sheet import fresh_scenes


@pytest.fixture(scope="module")
def maps():
    """Nearness and instances of forty scenes: floors and walls, as in photos, make what is low near."""
    return [(inverse_depth_from_metric(stored.depth), stored.ids) for stored in fresh_scenes("test", 40)]


def test_prompt_is_hardblinks():
    assert HARDBLINK_PROMPT == (
        "Multiple points are circled on the image, labeled by letters beside each circle. "
        "Which point is the closest to the camera?"
    )


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_points_keep_their_distances(maps, count):
    rng = np.random.default_rng(count)
    winners = Counter()
    for nearness, ids in maps:
        marks = choose_points(nearness, ids, count, rng)
        if not marks:
            continue
        assert [mark.letter for mark in marks] == list("ABCDE"[:count])
        for k, mark in enumerate(marks):
            assert 0.2 * 336 - 1 <= mark.y <= 0.8 * 336 + 1  # rounded to pixels
            assert 12 <= mark.x <= 324
            for other in marks[:k]:
                assert np.hypot(mark.x - other.x, mark.y - other.y) >= 20
                assert abs(mark.nearness - other.nearness) >= 0.03
                for a, b in ((mark, other), (other, mark)):  # no letter lies on another point
                    assert np.hypot(a.x - b.x, a.y - 25 - b.y) > 8 + 4
            row, column = int(mark.y / 1.5), int(mark.x / 1.5)  # on the 224 px map
            around = nearness[row - 1 : row + 2, column - 1 : column + 2]
            assert np.abs(around - mark.nearness).max() < 0.06  # unambiguous a pixel away too
        order = sorted(marks, key=lambda mark: mark.nearness)
        assert order[-1].nearness - order[-2].nearness >= 0.156
        winners[order[-1].letter] += 1
    assert winners.total() >= 30
    assert max(winners.values()) <= 0.75 * winners.total()  # labels are shuffled


@pytest.mark.parametrize("count", [3, 4, 5])
def test_hardblinks_points_keep_its_law(maps, count):
    """x 10 to 324, y 95 to 224, 20 px and 20 of 255 steps apart, none at depth 0 (2605.21642)."""
    rng = np.random.default_rng(count)
    found = 0
    for nearness, _ in maps:
        marks = choose_points(resize_nearest(nearness, 336), None, count, rng, HARDBLINK)
        found += bool(marks)
        assert keep_law(marks, HARDBLINK)
        for k, mark in enumerate(marks):
            assert 10 <= mark.x <= 324
            assert 95 <= mark.y <= 224
            assert round(255 * (mark.nearness + 1) / 2) > 0
            for other in marks[:k]:
                assert np.hypot(mark.x - other.x, mark.y - other.y) >= 20
                assert abs(mark.nearness - other.nearness) >= 2 * 20 / 255
    assert found >= 20


@pytest.mark.parametrize(
    "marks",
    [
        (Mark("A", 9, 100, 0.0),),
        (Mark("A", 325, 100, 0.0),),
        (Mark("A", 10, 94, 0.0),),
        (Mark("A", 10, 225, 0.0),),
        (Mark("A", 10, 100, -1.0),),
        (Mark("A", 10, 100, 0.0), Mark("B", 29, 100, 1.0)),
        (Mark("A", 10, 100, 0.0), Mark("B", 200, 100, 0.15)),
        (Mark("A", 100, 100, 0.0), Mark("B", 110, 124, 1.0)),  # beside the other's letter
    ],
)
def test_what_breaks_the_law_is_seen(marks):
    assert not keep_law(marks, HARDBLINK)
    assert keep_law((Mark("A", 10, 95, 0.0), Mark("B", 324, 224, 0.16)), HARDBLINK)


@pytest.mark.parametrize(("width", "height"), [(336, 336), (640, 480), (1000, 337)])
def test_marks_of_larger_pictures_are_drawn_where_they_were_chosen(width, height):
    for x in range(MARKED_SIZE):
        mark = Mark("A", x, MARKED_SIZE - 1 - x)
        assert in_marked_picture(in_picture(mark, width, height), width, height) == mark


def test_lowest_point_is_not_the_rule(maps):
    rng = np.random.default_rng(0)
    shares, on_object = [], []
    for count in (3, 4, 5):
        right = []
        for nearness, ids in maps * 4:
            marks = choose_points(nearness, ids, count, rng)
            if marks:
                right.append(max(marks, key=lambda m: m.y) == max(marks, key=lambda m: m.nearness))
                on_object += [ids[int(m.y / 1.5), int(m.x / 1.5)] > 0 for m in marks]
        shares.append(np.mean(right))
    assert np.mean(shares) < 0.45
    assert 0.35 < np.mean(on_object) < 0.75


def test_hardblinks_law_holds_for_maps_of_any_side(maps):
    """x 10 to 324, y 95 to 224 of 336, whatever the side of the map."""
    rng, places = np.random.default_rng(0), []
    for side in (224, 160):
        law = scaled_law(HARDBLINK, side)
        assert law.margins == {224: (7, 8), 160: (5, 6)}[side]
        for nearness, ids in maps:
            marks = choose_points(resize_nearest(nearness, side), resize_nearest(ids, side), 3, rng, law)
            assert keep_law(marks, HARDBLINK)
            places += [(mark.x, mark.y) for mark in marks]
    assert scaled_law(HARDBLINK, MARKED_SIZE) == HARDBLINK
    assert np.min(places, 0).tolist() <= [30, 100]
    assert np.max(places, 0).tolist() >= [305, 215]


def test_no_point_lies_where_none_is_allowed(maps):
    rng, found = np.random.default_rng(0), 0
    for nearness, ids in maps:
        allowed = np.zeros_like(ids, bool)
        allowed[:, 60:150] = True
        marks = choose_points(nearness, ids, 3, rng, allowed=allowed)
        found += bool(marks)
        assert all(62 <= int(mark.x / 1.5) <= 147 for mark in marks)  # 2 px inside
    assert found >= 20
    assert choose_points(nearness, ids, 3, rng, allowed=np.zeros_like(allowed)) == ()
    same = [choose_points(nearness, ids, 3, np.random.default_rng(5), allowed=where) for where in (None, ids < 256)]
    assert same[0] == same[1]


def test_the_lowest_point_is_the_nearest_as_rarely_as_a_law_wants(maps):
    shares = {}
    for contrary in (0.0, 0.6, 1.0):
        law, rng, right = PointLaw(keep_lowest=1.0, contrary=contrary), np.random.default_rng(0), []
        for nearness, ids in maps * 2:
            marks = choose_points(nearness, ids, 3, rng, law)
            if marks:
                right.append(max(marks, key=lambda m: m.y) == max(marks, key=lambda m: m.nearness))
        assert len(right) > 50
        shares[contrary] = np.mean(right)
    assert shares[1.0] == 0
    assert shares[0.6] < 0.6 * shares[0.0]
    assert choose_points(maps[0][0], maps[0][1], 3, np.random.default_rng(0), replace(PointLaw(), contrary=0.0)) == (
        choose_points(maps[0][0], maps[0][1], 3, np.random.default_rng(0))
    )


def test_choice_is_repeatable_and_bad_counts_are_refused(maps):
    nearness, ids = maps[0]
    assert choose_points(nearness, ids, 3, np.random.default_rng(1)) == choose_points(
        nearness, ids, 3, np.random.default_rng(1)
    )
    for count in (1, 6):
        with pytest.raises(ValueError, match=f"not {count}"):
            choose_points(nearness, ids, count, np.random.default_rng(0))


def test_flat_map_has_no_points():
    flat = np.zeros((224, 224), np.float32)
    assert choose_points(flat, np.zeros((224, 224), np.uint8), 3, np.random.default_rng(0)) == ()


def test_circle_and_letter_are_where_they_belong():
    grey = np.full((224, 224, 3), 120, np.uint8)
    x, y = 200, 150
    picture = draw_marks(grey, [Mark("B", x, y, 0.5)])
    assert picture.shape == (336, 336, 3)
    assert picture.dtype == np.uint8
    rows, columns = np.mgrid[:336, :336]
    distance = np.hypot(rows - y, columns - x)
    red = (picture == (255, 0, 0)).all(2)
    assert red.any()
    assert distance[red].min() >= 2
    assert distance[red].max() <= 4.6
    for dy, dx in ((0, 4), (0, -4), (4, 0), (-4, 0)):
        assert red[y + dy, x + dx]
    assert (picture[y, x] == 120).all()  # the point itself stays visible
    ink = picture.min(2) > 200  # the letter's white strokes, in a black box
    black = picture.max(2) < 40
    for part in (ink, black):
        assert abs(rows[part].mean() - (y - 25)) <= 1
        assert abs(columns[part].mean() - x) <= 1
    assert 7 <= np.ptp(rows[ink]) + 1 <= 10
    assert np.ptp(rows[black]) <= 14
    assert np.ptp(columns[black]) <= 14
    elsewhere = (distance > 6) & (np.abs(rows - y + 25) > 8)
    assert (picture[elsewhere] == 120).all()


def test_cells_and_digits():
    assert cell_words(0, 335, MARKED_SIZE) == "9,0"
    assert cell_words(34, 33, MARKED_SIZE) == "0,1"  # cells are 33.6 px wide
    assert cell_words(MARKED_SIZE, 0.5, MARKED_SIZE) == "0,9"
    assert [two_digits(value) for value in (-1.0, -0.9, 0.0, 1.0)] == ["00", "05", "50", "99"]
    assert cell_of(Mark("A", 335, 34)) == "1,9"


def test_the_answer_reads_every_mark_off_and_settles_on_the_nearest():
    turn = marked_turn([Mark("A", 34, 0, -1.0), Mark("B", 335, 170, 1.0), Mark("C", 100, 100, 0.0)])
    assert turn.question == HARDBLINK_PROMPT
    assert turn.answer == "A at 0,1 nearness 00; B at 5,9 nearness 99; C at 2,2 nearness 50. Point B."
    assert (turn.task, turn.target, turn.depth, turn.masks) == ("marks", "B", True, ())
