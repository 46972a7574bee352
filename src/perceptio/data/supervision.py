"""What of a sample is taught: which spans its turns write, and how much each token counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from perceptio.data.schema import Turn
from perceptio.tokens import Switch


@dataclass(frozen=True)
class TokenWeights:
    """Weight of a token in the text loss. All 1, the default, is plain cross-entropy, as in the paper's parents.

    Other weights are ours, for models that start from nothing (docs/experiments.md): an answer has one word that
    decides it among a dozen that any answer has.
    """

    word: float = 1.0  # any other
    digit: float = 1.0
    target: float = 1.0  # what scoring looks for (`Turn.target`): the letter, the count, "yes"
    segment: float = 1.0  # [SEG]
    end: float = 1.0  # of the answer


@dataclass(frozen=True)
class Supervision:
    """What of the answers is taught."""

    seg: bool = True  # [SEG] tokens; without them every question says that none are wanted
    depth: bool = True  # depth spans, likewise
    weights: TokenWeights = field(default_factory=TokenWeights)

    def restrict(self, spans: Spans) -> Spans:
        """Spans without those that are not taught."""
        return Spans(
            spans.seg if self.seg else Switch.OFF,
            spans.depth if self.depth else Switch.OFF,
            spans.masks if self.seg else (),
            spans.has_depth and self.depth,
        )


@dataclass(frozen=True)
class Spans:
    """What one turn writes before its answer, and how the question asks for it."""

    seg: Switch
    depth: Switch
    masks: tuple[int, ...]
    has_depth: bool


def choose_spans(turn: Turn, rng: np.random.Generator, explicit: float) -> Spans:
    """Which spans a turn writes: its own, or, in a share `explicit` of the turns, what the question's switches say.

    Of a span that a turn neither has nor supervises nothing is known: the question rules it out, so that its absence
    is not taught.
    """
    if rng.random() >= explicit:
        return _known(turn, Switch.AUTO, Switch.AUTO)
    segs, depths = _switches(turn)
    return _known(turn, segs[rng.integers(len(segs))], depths[rng.integers(len(depths))])


def possible_spans(turn: Turn) -> list[Spans]:
    """Everything that `choose_spans` may choose; what it chooses where no switch is said comes first."""
    segs, depths = _switches(turn)
    automatic = (Switch.AUTO, Switch.AUTO)
    others = [pair for pair in product(segs, depths) if pair != automatic]
    return [_known(turn, *pair) for pair in (automatic, *others)]


def _switches(turn: Turn) -> tuple[list[Switch], list[Switch]]:
    """What a question may say about each span: never that one is due which the turn lacks."""
    segs = [Switch.OFF, Switch.AUTO, *([Switch.ON] if turn.masks else [])]
    return segs, [Switch.OFF, Switch.AUTO, *([Switch.ON] if turn.depth else [])]


def _known(turn: Turn, seg: Switch, depth: Switch) -> Spans:
    masks = () if seg is Switch.OFF else turn.masks
    spans = Spans(seg, depth, masks, turn.depth and depth is not Switch.OFF)
    if "seg" not in turn.supervise and not turn.masks:
        spans = replace(spans, seg=Switch.OFF, masks=())
    if "depth" not in turn.supervise and not turn.depth:
        spans = replace(spans, depth=Switch.OFF)
    return spans
