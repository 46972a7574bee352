"""What `Perceptio.stream` yields while an answer is being written."""

from __future__ import annotations

from dataclasses import dataclass

from perceptio.results import Answer, DepthMap, Mask


@dataclass(frozen=True)
class SegmentFound:
    """A `[SEG]` was written and its mask drawn. Its phrase is known only in the final answer."""

    index: int  # position among the answer's masks
    mask: Mask


@dataclass(frozen=True)
class DepthProgress:
    """More codes of the depth span are certain: one, or as many as one call has found."""

    codes: tuple[int, ...]  # those that are certain, entries of the codebook in raster order
    total: int

    @property
    def written(self) -> int:
        """How many are certain."""
        return len(self.codes)


@dataclass(frozen=True)
class DepthReady:
    """The depth span is complete."""

    depth: DepthMap


@dataclass(frozen=True)
class TextDelta:
    """The next piece of the answer text; all pieces joined are `Answer.text`."""

    text: str


@dataclass(frozen=True)
class Done:
    """The answer, whole; always the last event."""

    answer: Answer


Event = SegmentFound | DepthProgress | DepthReady | TextDelta | Done
