"""A `[SEG]` state that points at visual tokens, and what follows from where it points. [ours], docs/experiments.md.

LISA (arXiv 2308.00692) projects the state alone, which therefore has to hold the place of its object in SAM's random
Fourier features: far from the right place there is no gradient that leads to it. A pointer adds:

- *cells*: the state's likeness to the states of the visual tokens is a distribution over their cells. SAM's embeddings
  of a click at each cell, averaged under it, are added to the projected prompt.
- *coverage*: the logits of cells that earlier masks of the answer cover are lowered; by how much is predicted from the
  state. So every `[SEG]` of "all cubes" may point at any cube that is left.
- *objectness*: a (max - mean - b) of the cells' logits, a and b learnt, says whether the object is there at all.
- *continue logit*: the same of a second search, for what may come next, is added to the logit of another `[SEG]`.
- *region feature*: the mean visual token where a `[SEG]` points is added to the next input, so that the words that
  follow need not search the picture again. For an absent object nothing is added.

Shapes: B rows, M masks, V visual tokens of the whole picture (a square grid), D the language model's width, C width of
SAM's prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.coverage import cell_cover

# In use attention keeps to the surroundings of its best cell: a click between two objects is a click on neither.
# Training needs the gradient of all cells. Measured in docs/experiments.md.
REACH = 2  # cells from the best one, in rows and in columns
SEARCHES = OWN, NEXT = range(2)  # for what a [SEG] marks itself, and for what may come after it
INHIBITION = 8.0  # at first: what the logit of a covered cell loses; inhibition of return, as in visual search


@dataclass(frozen=True)
class Pointed:
    """What some `[SEG]` states point at."""

    cells: Tensor  # (M, V) logits of the cells
    clicks: Tensor  # (M, C) to add to the projected prompts
    objectness: Tensor  # (M,) logits; positive where the object is there


# rows (M,) int64 that have just written a [SEG], their states (M, D), what they point at -> their masks
Draw = Callable[[Tensor, Tensor, Pointed | None], MaskPrediction]


class Pointer(nn.Module):
    """The two searches and their read-outs.

    Args:
        input_size: D.
        output_size: C.
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(input_size, output_size, bias=False)
        self.key = nn.Linear(input_size, output_size, bias=False)
        nn.init.orthogonal_(self.query.weight)
        with torch.no_grad():  # equal at first: a state points at what is like it
            self.key.weight.copy_(self.query.weight)
        self.region_gain = nn.Parameter(torch.tensor(0.5))  # size of the region feature, in that of visual tokens
        # scale and threshold of how far the best cell stands out: at first half as far as a state's own double
        self.objectness = nn.Parameter(torch.tensor([1.0, output_size**0.5 / 2]))
        self.next_query = nn.Linear(input_size, output_size, bias=False)
        self.next_query.load_state_dict(self.query.state_dict())
        self.continuation = nn.Parameter(self.objectness.detach().clone())  # likewise, of what may come next
        # how much less covered cells count in the two searches
        self.inhibition = nn.Linear(input_size, len(SEARCHES))
        nn.init.zeros_(self.inhibition.weight)
        nn.init.constant_(self.inhibition.bias, INHIBITION)

    def cells(self, states: Tensor, visual: Tensor, covered: Tensor) -> Tensor:
        """Logits (M, V) of the cells that the states point at.

        Args:
            states: (M, D) at `[SEG]`.
            visual: (M, V, D) states at the visual tokens of each one's picture.
            covered: (M, V) share of each cell that the answer's masks before each `[SEG]` cover, 0 to 1.
        """
        return self._search(self.query, OWN, states, visual, covered)

    def next_cells(self, states: Tensor, visual: Tensor, covered: Tensor) -> Tensor:
        """Logits (M, V) of the cells of what may come after each `[SEG]`; as `cells`, its own mask `covered` too."""
        return self._search(self.next_query, NEXT, states, visual, covered)

    def _search(self, query: nn.Linear, which: int, states: Tensor, visual: Tensor, covered: Tensor) -> Tensor:
        states, visual = states.float(), visual.float()
        width = states.shape[-1:]
        states = F.rms_norm(states, width)
        key = self.key(F.rms_norm(visual, width))  # (M, V, C)
        found = torch.einsum("mc,mvc->mv", query(states), key) * key.shape[-1] ** -0.5
        return found - F.softplus(self.inhibition(states)[:, which, None]) * covered.to(found.dtype)

    def pointed(self, cells: Tensor, clicks: Tensor, others: Tensor | None = None) -> Pointed:
        """What states point at, from the logits (M, V) of their cells.

        Args:
            cells: as from `cells`.
            clicks: (V, C) SAM's embeddings of a click at each cell, see `clicks.cell_clicks`.
            others: as in `attention`.
        """
        weights = self.attention(cells, others)
        return Pointed(cells, weights @ clicks.to(weights.dtype), self.objectness_logits(cells))

    def attention(self, logits: Tensor, others: Tensor | None = None) -> Tensor:
        """Weights (M, V) of the cells: in training of all, in use of those round the best one.

        Args:
            logits: (M, V).
            others: (M, V) share of each cell that is covered by what a state may point at, but whose mask is not the
                one that it is taught (`Coverage.others`); they are left out. None in use.
        """
        if others is not None:
            logits = logits + (1 - others).clamp(min=1e-4).log()
        if self.training:
            return logits.softmax(-1)
        grid = round(logits.shape[-1] ** 0.5)
        assert grid**2 == logits.shape[-1], "visual tokens form a square grid"
        cells = torch.arange(logits.shape[-1], device=logits.device)
        best = logits.argmax(-1, keepdim=True)
        rows, columns = (cells // grid - best // grid).abs(), (cells % grid - best % grid).abs()
        return logits.masked_fill(torch.maximum(rows, columns) > REACH, -torch.inf).softmax(-1)

    def objectness_logits(self, cells: Tensor) -> Tensor:
        """Whether what each state points at is there, (M,): positive if the best of its cells (M, V) stands out."""
        return _standing_out(cells, self.objectness)

    def continue_logits(self, next_cells: Tensor) -> Tensor:
        """What is added (M,) to the logit of another `[SEG]`, from `next_cells` (M, V)."""
        return _standing_out(next_cells, self.continuation)

    def region_features(self, weights: Tensor, visual: Tensor) -> Tensor:
        """What the input after each `[SEG]` carries: (M, D), the mean visual token where it points, at `region_gain`
        times the root mean square of all tokens of the picture.

        Args:
            weights: (M, V) of the cells; all zero for an absent object, which gives zeros.
            visual: (M, V, D) embeddings of the visual tokens.
        """
        mean = torch.einsum("mv,mvd->md", weights.to(visual.dtype), visual)
        size = visual.float().square().mean((1, 2)).sqrt()  # (M,)
        return (self.region_gain * size[:, None] * F.rms_norm(mean.float(), mean.shape[-1:])).to(visual.dtype)

    def start(self, visual: Tensor, visual_states: Tensor, clicks: Tensor) -> PointerSteps:
        """Begin to decode a batch.

        Args:
            visual: (B, V, D) embeddings of the visual tokens of each row's whole picture.
            visual_states: (B, V, D) states at them.
            clicks: (V, C) as in `pointed`.
        """
        return PointerSteps(self, visual, visual_states, clicks)


class PointerSteps:
    """Where the `[SEG]` tokens of a batch have pointed while it is decoded; see `Pointer.start`."""

    def __init__(self, pointer: Pointer, visual: Tensor, visual_states: Tensor, clicks: Tensor) -> None:
        self.pointer, self.visual, self.visual_states, self.clicks = pointer, visual, visual_states, clicks
        self.covered = torch.zeros(visual.shape[:2], device=visual.device)  # (B, V) share that masks cover

    def continue_logits(self, rows: Tensor, states: Tensor) -> Tensor:
        """What is added (M,) to the logit of another `[SEG]` in rows (M,) whose last token is one with state (M, D)."""
        cells = self.pointer.next_cells(states, self.visual_states[rows], self.covered[rows])
        return self.pointer.continue_logits(cells)

    def segment(self, rows: Tensor, states: Tensor, draw: Draw | None) -> tuple[MaskPrediction | None, Tensor]:
        """Point once, in rows (M,) that have just written a `[SEG]` with state (M, D).

        Args:
            rows: of the batch.
            states: at each `[SEG]`.
            draw: draws their masks; without, a later `[SEG]` avoids only the cells that those before it pointed at.

        Returns:
            the masks, if they are drawn, and what the next input of each row carries (M, D).
        """
        pointer = self.pointer
        cells = pointer.cells(states, self.visual_states[rows], self.covered[rows])
        pointed = pointer.pointed(cells, self.clicks)
        there = pointed.objectness > 0
        carried = pointer.region_features(pointer.attention(cells) * there[:, None], self.visual[rows])
        drawn = None if draw is None else draw(rows, states, pointed)
        # the best cell too, or a poor mask would have the same object marked for ever; an absent one covers nothing
        covered = F.one_hot(cells.argmax(-1), cells.shape[1]) * there[:, None]
        if drawn is not None:
            covered = covered + cell_cover((drawn.logits > 0) & (drawn.object_logit > 0)[:, None, None], cells.shape[1])
        self.covered[rows] = (self.covered[rows] + covered).clamp(max=1)
        return drawn, carried


def _standing_out(logits: Tensor, scale_and_threshold: Tensor) -> Tensor:
    """How far the best of the cells (M, V) stands out from all, scaled, over a threshold: (M,)."""
    scale, threshold = scale_and_threshold
    logits = logits.float()  # autocast's bfloat16 has steps of 0.1 where thresholds come to lie
    return scale * (logits.amax(-1) - logits.mean(-1) - threshold)
