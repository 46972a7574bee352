"""What a visitor asked, and how the browser shows it."""

from __future__ import annotations

import numpy as np

from perceptio.results import Answer, DepthMap, Mask, Trace
from perceptio.serving.page.talk import TURNS, Talk, pieces_of


def mask(phrase: str | None = None) -> Mask:
    array = np.zeros((8, 8), dtype=bool)
    array[2:6, 3:5] = True
    return Mask(array, 0.9, phrase)


def texts(pieces: list[dict]) -> list[tuple[str, list[int] | None]]:
    return [(piece["text"], piece.get("masks")) for piece in pieces]


def answer(text: str, *, depth: bool = False) -> Answer:
    found = DepthMap(np.zeros((8, 8), np.float32), np.zeros((2, 2), np.int64)) if depth else None
    return Answer(text, [mask()], found, Trace(raw=text))


def test_phrases_are_tied_to_their_masks() -> None:
    pieces = pieces_of("The cube is left of the ball.", [mask("The cube"), mask("the ball")])
    assert texts(pieces) == [("The cube", [0]), (" is left of ", None), ("the ball", [1]), (".", None)]
    assert pieces[0]["color"] != pieces[2]["color"]


def test_a_phrase_of_several_masks_stands_for_all() -> None:
    assert texts(pieces_of("2 cubes.", [mask("cubes"), mask("cubes")])) == [
        ("2 ", None),
        ("cubes", [0, 1]),
        (".", None),
    ]


def test_masks_without_words_follow_the_text() -> None:
    assert texts(pieces_of("Yes.", [mask(), mask("a ball")])) == [
        ("Yes.", None),
        (" ", None),
        ("object 1", [0]),
        (" ", None),
        ("a ball", [1]),
    ]
    assert texts(pieces_of("", [mask()])) == [("object 1", [0])]
    assert pieces_of("", []) == []


def test_the_browser_sees_what_is_being_done() -> None:
    talk = Talk(suggested=("One?", "Two?", "One?"))
    turn = talk.begin("One?")
    viewer, conversation = talk.views()
    assert viewer["busy"]
    assert conversation["busy"]
    assert conversation["turns"] == [{"question": "One?", "pieces": [], "progress": "waiting", "note": None}]
    assert conversation["suggested"] == ["Two?"]
    turn.add(mask())
    talk.end(turn, "12 ms")
    viewer, conversation = talk.views()
    assert not viewer["busy"]
    assert len(viewer["turns"][0]) == 1
    assert conversation["turns"][0]["progress"] is None
    assert conversation["turns"][0]["note"] == "12 ms"


def test_a_turn_ends_once_and_can_come_to_nothing() -> None:
    talk = Talk()
    turn = talk.begin("One?")
    talk.end(turn, "stopped")
    talk.end(turn, "12 ms")
    assert turn.note == "stopped"
    dropped = talk.begin("Two?")
    talk.drop(dropped)
    assert talk.turns == [turn]
    assert not talk.busy


def test_the_latest_answer_and_the_latest_depth() -> None:
    talk = Talk()
    assert talk.last is None
    assert talk.last_with_depth is None
    for question, depth in (("One?", True), ("Two?", False)):
        turn = talk.begin(question)
        turn.finish(answer("yes", depth=depth))
        talk.end(turn, "")
    click = talk.begin("Point at 1, 2")
    talk.end(click, "")
    assert talk.last is talk.turns[1]
    assert talk.last_with_depth is talk.turns[0]
    assert talk.history == (("One?", "yes"), ("Two?", "yes"))


def test_old_turns_go() -> None:
    talk = Talk()
    for number in range(TURNS + 3):
        talk.end(talk.begin(str(number)), "")
    assert [turn.question for turn in talk.turns] == [str(number) for number in range(3, TURNS + 3)]
