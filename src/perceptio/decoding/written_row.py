"""What one answer of a batch has come to, while it is being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perceptio.decoding.stop_text import StopText
from perceptio.decoding.text_stream import TextStream
from perceptio.results import DepthMap, Mask


@dataclass
class WrittenRow:
    """An answer that is being written."""

    words: TextStream
    budget: int  # the most tokens that it may have
    stop: StopText
    ids: list[int] = field(default_factory=list)
    masks: list[Mask | None] = field(default_factory=list)  # one for each [SEG], None where nothing was found
    depth: DepthMap | None = None
    said: str = ""  # of the text, so far
    told: bool = False  # `Done` was

    def push(self, tokens: Sequence[int]) -> str:
        """Take more tokens; what is certain to be said after them."""
        self.ids.extend(tokens)
        text = self.stop.push("".join(map(self.words.push, tokens)))
        self.said += text
        return text

    @property
    def found(self) -> int:
        """Masks so far."""
        return sum(mask is not None for mask in self.masks)

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        ended = self.ids[-1] == self.words.reader.vocabulary.end_of_text
        return ended or self.stop.found or len(self.ids) == self.budget

    def new_span(self, due: int) -> tuple[int, ...]:
        """The codes of the first span, if it is complete, has those that are due, and has no map yet."""
        spans = self.words.reader.spans
        return spans[0].codes if spans and self.depth is None and len(spans[0].codes) == due else ()
