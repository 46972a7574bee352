"""What an engine is asked, and what it tells while it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from perceptio.decoding.events import DepthProgress, DepthReady, SegmentFound, TextDelta
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.perceiving import Turn
from perceptio.results import Answer, Mask
from perceptio.serving.engine.pictures import StoredPicture
from perceptio.tokens import SpatialVocabulary, Switch


@dataclass(frozen=True)
class Query:
    """A question about a picture, or clicks and boxes on it, or both."""

    picture: StoredPicture
    prompt: str | None = None  # None: only clicks and boxes are segmented
    history: tuple[Turn, ...] = ()  # earlier questions about the picture, and the words of their answers
    seg: Switch = Switch.AUTO
    depth: Switch = Switch.AUTO
    max_new_tokens: int | None = None  # of the whole answer, at most; what is on "auto" and does not fit is off
    stop: tuple[str, ...] = ()  # the words end before the first of these
    points: Any = None  # as of `Picture.segment`, as are the next two
    labels: Any = None
    boxes: Any = None

    @property
    def pixels(self) -> int:
        """Of its picture, and so of each mask and map of its answer."""
        width, height = self.picture.size
        return width * height

    @property
    def has_objects(self) -> bool:
        """Whether something is clicked or boxed."""
        return self.points is not None or self.boxes is not None or self.labels is not None

    def options(self, vocabulary: SpatialVocabulary) -> DecodingOptions:
        """How it is decoded.

        Raises:
            ValueError: if what is "on" does not fit into `max_new_tokens`.
        """
        options = DecodingOptions.of(1, self.seg, self.depth, max_new_tokens=self.max_new_tokens)
        most = self.max_new_tokens
        if most is not None and most < options.least_budget(vocabulary) and self.depth is Switch.AUTO:
            options = DecodingOptions.of(1, self.seg, Switch.OFF, max_new_tokens=most)
        if most is not None and most < options.least_budget(vocabulary) and self.seg is Switch.AUTO:
            options = DecodingOptions.of(1, Switch.OFF, options.depth[0], max_new_tokens=most)
        options.budget(vocabulary)
        return options


@dataclass(frozen=True)
class Usage:
    """Tokens of a query."""

    prompt_tokens: int = 0  # its picture included
    completion_tokens: int = 0  # all that were written
    perception_tokens: int = 0  # of these, in segmentation tokens and depth spans


@dataclass(frozen=True)
class Clicked:
    """One mask for each object that was clicked or boxed; it may be empty."""

    masks: list[Mask]


@dataclass(frozen=True)
class Finished:
    """The answer, whole; always the last event."""

    answer: Answer  # without words, masks and depth where there was no question
    clicked: list[Mask] = field(default_factory=list)  # of clicks and boxes
    reason: Literal["stop", "length"] = "stop"  # by itself or at a stop; or its tokens were spent
    usage: Usage = Usage()
    timings_ms: dict[str, float] = field(default_factory=dict)  # by stage of its batch; and its own queue and total


EngineEvent = SegmentFound | DepthProgress | DepthReady | TextDelta | Clicked | Finished
