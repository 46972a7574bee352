"""What a visitor asked, and how the browser shows it."""

from __future__ import annotations

import numpy as np

from perceptio.results import Answer, Mask, Trace
from perceptio.serving.page.talk import TURNS, Talk, pieces_of


def mask(phrase: str | None = None) -> Mask:
    array = np.zeros((8, 8), dtype=bool)
    array[2:6, 3:5] = True
    return Mask(array, 0.9, phrase)


def texts(pieces: list[dict]) -> list[tuple[str, list[int] | None]]:
    return [(piece["text"], piece.get("masks")) for piece in pieces]


def named(*phrases: str | None) -> list[tuple[str | None, float]]:
    return [(phrase, 0.9) for phrase in phrases]


def test_phrases_are_tied_to_their_masks() -> None:
    pieces = pieces_of("The cube is left of the ball.", named("The cube", "the ball"))
    assert texts(pieces) == [("The cube", [0]), (" is left of ", None), ("the ball", [1]), (".", None)]
    assert pieces[0]["color"] != pieces[2]["color"]


def test_a_phrase_of_several_masks_stands_for_all() -> None:
    assert texts(pieces_of("2 cubes.", named("cubes", "cubes"))) == [
        ("2 ", None),
        ("cubes", [0, 1]),
        (".", None),
    ]


def test_masks_without_words_follow_the_text() -> None:
    assert texts(pieces_of("Yes.", named(None, "a ball"))) == [
        ("Yes.", None),
        (" ", None),
        ("object 1", [0]),
        (" ", None),
        ("a ball", [1]),
    ]
    assert texts(pieces_of("", named(None))) == [("object 1", [0])]
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


def test_an_answer_takes_the_place_of_what_came_before_it() -> None:
    talk = Talk()
    turn = talk.begin("One?")
    turn.add(mask())
    talk.finish(turn, Answer("A ball.", [mask("A ball")], None, Trace(raw="[SEG]A ball.")))
    talk.end(turn, "")
    _, conversation = talk.views()
    assert texts(conversation["turns"][0]["pieces"]) == [("A ball", [0]), (".", None)]
    assert "[SEG]" in (talk.tokens or "")
    talk.end(talk.begin("Point at 1, 2"), "")
    assert talk.history == (("One?", "A ball."),)


def test_another_picture_begins_anew() -> None:
    talk = Talk(files={"answer.json": "x"}, tokens="x", depth={"src": "x"}, busy=True)
    talk.begin("One?")
    talk.open("img_2", {"src": "y"}, ())
    assert (talk.turns, talk.files, talk.tokens, talk.depth, talk.busy) == ([], {}, None, None, False)


def test_old_turns_go() -> None:
    talk = Talk()
    for number in range(TURNS + 3):
        talk.end(talk.begin(str(number)), "")
    assert [turn.question for turn in talk.turns] == [str(number) for number in range(3, TURNS + 3)]
