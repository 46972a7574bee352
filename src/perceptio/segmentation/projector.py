"""From a `[SEG]` state to a sparse prompt of SAM 2's mask decoder: a projection, and a soft click.

LISA (arXiv 2308.00692) projects the state alone, which therefore has to hold the place of its object in SAM's random
Fourier features: far from the right place there is no gradient that leads to it. Here the state also points: its
likeness to the states of the visual tokens is a distribution over their cells, under which SAM's own embeddings of a
click at each cell are averaged. The projection is added, and refines. [ours], measured in docs/experiments.md.

How far the best cell stands out says whether the object is there at all: a search that ends with nothing in particular
has found nothing. [ours], measured in docs/experiments.md.

Whether another `[SEG]` follows is asked of the picture in the same way: a second query looks for what may come next,
and how far its best cell stands out is added to the logit of the token. [ours], measured in docs/experiments.md.

Both searches count what an answer has marked already for less, see `rounds`: one map of all that a phrase names, or a
numbered list holds, serves every `[SEG]` of it. How much less, each state says: one that looks for a part of what is
marked may learn to let it be.

After a `[SEG]` the model is told what it pointed at: the visual tokens there, which say where they are, too, half as
loud as in the picture. As loud as a word they would drown in what the first layer adds. Of an absent object it is told
nothing. [ours], measured in docs/experiments.md.

Without pointing the projector is LISA's and Sa2VA's: the projection of the state is the prompt, and nothing is told.

Shapes: M masks, V visual tokens, D the language model's width, C width of SAM's prompts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Sam2Model

# In use attention keeps to the surroundings of its best cell: a click between two objects is a click on neither.
# Training needs the gradient of all cells. Measured in docs/experiments.md.
REACH = 2  # cells from the best one, in rows and in columns
SEARCHES = OWN, NEXT = range(2)  # for what a [SEG] marks itself, and for what may come after it
INHIBITION = 8.0  # at first: what the logit of a cell loses that is marked


class SegmentationProjector(nn.Module):
    """Linear-ReLU-Linear of the state, plus the mean of the cells' clicks under the state's attention to the picture.

    Args:
        input_size: D.
        output_size: C.
        pointing: whether states point; without, there is only the projection.
    """

    def __init__(self, input_size: int, output_size: int, pointing: bool = True) -> None:
        super().__init__()
        self.pointing = pointing
        self.layers = nn.Sequential(nn.Linear(input_size, input_size), nn.ReLU(), nn.Linear(input_size, output_size))
        if not pointing:
            return
        self.query = nn.Linear(input_size, output_size, bias=False)
        self.key = nn.Linear(input_size, output_size, bias=False)
        nn.init.orthogonal_(self.query.weight)
        with torch.no_grad():  # equal at first: a state points at what is like it
            self.key.weight.copy_(self.query.weight)
        self.loudness = nn.Parameter(torch.tensor(0.5))  # of what is told after a [SEG], in that of the visual tokens
        # scale and threshold of how far the best cell stands out: at first half as far as a state's own double
        self.presence = nn.Parameter(torch.tensor([1.0, output_size**0.5 / 2]))
        self.next_query = nn.Linear(input_size, output_size, bias=False)
        self.next_query.load_state_dict(self.query.state_dict())
        self.more = nn.Parameter(self.presence.detach().clone())  # likewise, of what may come next
        # how much less marked cells count in the two searches
        self.inhibition = nn.Linear(input_size, len(SEARCHES))
        nn.init.zeros_(self.inhibition.weight)
        nn.init.constant_(self.inhibition.bias, INHIBITION)

    def forward(self, states: Tensor, visual: Tensor, marked: Tensor) -> Tensor:
        """Logits (M, V) of the cells that the states point at, all equal without pointing.

        Args:
            states: (M, D) at `[SEG]`.
            visual: (M, V, D) at the visual tokens of each mask's picture.
            marked: (M, V) how much of each cell the answer's masks before each `[SEG]` cover, 0 to 1.
        """
        if not self.pointing:
            return states.new_zeros(visual.shape[:2])
        return self._search(self.query, OWN, states, visual, marked)

    def next_cells(self, states: Tensor, visual: Tensor, marked: Tensor) -> Tensor:
        """Logits (M, V) of the cells of what may come after each `[SEG]`; as `forward`, its own mask `marked` too."""
        return self._search(self.next_query, NEXT, states, visual, marked)

    def _search(self, query: nn.Linear, which: int, states: Tensor, visual: Tensor, marked: Tensor) -> Tensor:
        width = states.shape[-1:]
        states = F.rms_norm(states, width)
        key = self.key(F.rms_norm(visual, width))  # (M, V, C)
        found = torch.einsum("mc,mvc->mv", query(states), key) * key.shape[-1] ** -0.5
        return found - F.softplus(self.inhibition(states)[:, which, None]) * marked.to(found.dtype)

    def prompts(self, states: Tensor, weights: Tensor, clicks: Tensor) -> Tensor:
        """Prompts (M, C).

        Args:
            states: (M, D) at `[SEG]`.
            weights: (M, V) of the cells, see `attention`.
            clicks: (V, C) SAM's embeddings of a click at each cell, see `cell_clicks`.
        """
        projected: Tensor = self.layers(states)
        return projected + weights @ clicks.to(weights.dtype) if self.pointing else projected

    def attention(self, logits: Tensor, others: Tensor | None = None) -> Tensor:
        """Weights (M, V) of the cells: in training of all, in use of those round the best one.

        Args:
            logits: (M, V).
            others: (M, V) how much of each cell is covered by what a state may point at, but whose mask is not the one
                that it is taught (`Rounds.others`); they are left out. None in use.
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

    def presence_logits(self, logits: Tensor) -> Tensor:
        """Whether what each state points at is there, (M,): positive if the best of its cells (M, V) stands out.

        Infinite without pointing.
        """
        if not self.pointing:
            return logits.new_full(logits.shape[:1], torch.inf)
        return _standing_out(logits, self.presence)

    def more_logits(self, logits: Tensor) -> Tensor:
        """Whether another `[SEG]` follows, (M,), from `next_cells` (M, V): a term of that token's logit."""
        return _standing_out(logits, self.more)

    def told(self, weights: Tensor, visual: Tensor) -> Tensor:
        """What the input after each `[SEG]` carries: (M, D), the mean visual token there at `loudness` times the root
        mean square of all of the picture; zeros without pointing.

        Args:
            weights: (M, V) of the cells; all zero where nothing is pointed at, which tells nothing.
            visual: (M, V, D) embeddings of the visual tokens.
        """
        if not self.pointing:
            return visual.new_zeros(len(visual), visual.shape[-1])
        mean = torch.einsum("mv,mvd->md", weights.to(visual.dtype), visual)
        size = visual.float().square().mean((1, 2)).sqrt()  # (M,)
        return (self.loudness * size[:, None] * F.rms_norm(mean.float(), mean.shape[-1:])).to(visual.dtype)


def _standing_out(logits: Tensor, scale_and_threshold: Tensor) -> Tensor:
    """How far the best of the cells (M, V) stands out from all, scaled, over a threshold: (M,)."""
    scale, threshold = scale_and_threshold
    logits = logits.float()  # autocast's bfloat16 has steps of 0.1 where thresholds come to lie
    return scale * (logits.amax(-1) - logits.mean(-1) - threshold)


@torch.no_grad()
def cell_clicks(sam: Sam2Model, cells: int) -> Tensor:
    """SAM's embeddings (V, C) float32 of a click at the centre of each of V cells, a square grid in raster order."""
    grid = round(cells**0.5)
    assert grid**2 == cells, "visual tokens form a square grid"
    device = sam.device
    places = (torch.arange(grid, device=device) + 0.5) * (sam.config.prompt_encoder_config.image_size / grid)
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    return click_embeddings(sam, torch.stack([columns, rows], -1).flatten(0, 1))


@torch.no_grad()
def click_embeddings(sam: Sam2Model, points: Tensor) -> Tensor:
    """SAM's embeddings (M, C) float32 of one click each at points (M, 2), x before y, in pixels of its input."""
    with torch.autocast(points.device.type, enabled=False):
        labels = torch.ones(len(points), 1, 1, dtype=torch.int64, device=points.device)
        embedded, _ = sam.prompt_encoder(points[:, None, None], labels, None, None)
    return embedded[:, 0, 0].float()  # the token beside it says only that there is no box
