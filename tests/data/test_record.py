"""The record schema: immutable, and empty by default where nothing is asked for."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from perceptio.data.schema import Sample, Turn


def test_a_plain_question_asks_for_no_mask_and_no_depth():
    turn = Turn("What is it?", "A cube.", "attribute")
    assert turn.masks == ()
    assert turn.depth is False
    assert turn.target == ""
    with pytest.raises(FrozenInstanceError):
        turn.answer = "A cone."


def test_turns_compare_by_value():
    assert Turn("a", "b", "c", (1, 2)) == Turn("a", "b", "c", (1, 2)) != Turn("a", "b", "c", (2, 1))


def test_a_picture_needs_no_labels():
    record = Sample("photo", np.zeros((4, 6, 3), np.uint8), (Turn("a", "b", "c"),))
    assert record.masks is None
    assert record.inverse_depth is None
    with pytest.raises(FrozenInstanceError):
        record.key = "other"
