"""Words of an answer, tied to its masks."""

from __future__ import annotations

from perceptio.results.phrases import tied


def test_phrases_are_tied_to_their_masks_in_order() -> None:
    text = "Here are all cubes beside the cone, the cone."
    assert tied(text, ["all cubes", "the cone", "all cubes", "the moon", None, ""]) == [
        ("Here are ", ()),
        ("all cubes", (0, 2)),
        (" beside ", ()),
        ("the cone", (1,)),
        (", the cone.", ()),
    ]


def test_a_phrase_before_the_one_of_an_earlier_mask_is_not_found() -> None:
    assert tied("a b", ["b", "a"]) == [("a ", ()), ("b", (0,))]


def test_text_without_masks_is_one_piece() -> None:
    assert tied("Yes.", []) == [("Yes.", ())]
    assert tied("", ["a cube"]) == []
