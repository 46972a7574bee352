"""Where [SEG] stands in the text of an answer."""

from __future__ import annotations

import pytest

from perceptio.data.interleaved import interleave


@pytest.mark.parametrize(
    ("answer", "segments", "text"),
    [
        ("It is here.", 1, "It is here [SEG]."),
        ("", 1, "[SEG]"),
        ("Yes", 2, "Yes [SEG] [SEG]"),
        ("<p>the dog</p> by <p>a tree</p>!", 2, "<p>the dog</p> [SEG] by <p>a tree</p> [SEG]!"),
        ("Here are <p>all cubes</p>.", 3, "Here are <p>all cubes</p> [SEG] [SEG] [SEG]."),
        ("<p>one</p> and <p>two</p>.", 1, "<p>one</p> and <p>two</p> [SEG]."),
    ],
)
def test_each_stands_after_its_phrase_or_at_the_end(answer: str, segments: int, text: str) -> None:
    found = interleave(answer, segments)
    assert found.text == text
    assert len(found.inserted) == segments
    kept = [k for k in range(len(text)) if not any(begin <= k < end for begin, end in found.inserted)]
    assert "".join(text[k] for k in kept) == answer
    assert [found.place(k) for k in kept] == list(range(len(answer)))
    assert all(found.place(begin) == found.place(end) for begin, end in found.inserted)
