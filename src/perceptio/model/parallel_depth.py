"""All codes of a depth span at once: N copies of one learnt query after `<DEPTH_START>`, each at its code's position.

A query sees what `<DEPTH_START>` sees, `<DEPTH_START>` itself and the other queries of its span; nobody else sees a
query. The codes are then committed as any others, so that the answer reads discrete codes. But the span is no longer
p(c_i | c_<i): each code is chosen without knowing which of the likely codes its neighbours took.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.tokens import DepthDecoding


def query_positions(start_B: Tensor, cells_BN: Tensor | None, count: int) -> Tensor:
    """Rotary positions (B, N) int64 of the queries of one span a row.

    Args:
        start_B: (B,) int64, position of <DEPTH_START> as it is counted in the sequence.
        cells_BN: (B, N) int64, positions of the cells (`positions.positions_of_cells`), where `depth_positions` is
            "image"; None: where it is "sequence", and queries stand where their codes would.
        count: N.
    """
    if cells_BN is not None:
        return cells_BN
    return start_B[:, None] + torch.arange(1, count + 1, device=start_B.device)


def set_depth_decoding(model: PerceptioForConditionalGeneration, how: DepthDecoding) -> None:
    """Let a model find its depth codes so by default, in place: it gets a query that must be trained, or loses its."""
    model.config.depth_decoding = how
    if how != "parallel":
        model.depth_query = None
    elif model.depth_query is None:
        model.depth_query = fresh_query(model)


@torch.no_grad()
def fresh_query(model: PerceptioForConditionalGeneration) -> nn.Parameter:
    """An untrained query (D,): the mean embedding of the depth codes, as if the code before were any."""
    ids_K = torch.tensor(model.config.depth_code_token_ids, device=model.device)
    rows_KD: Tensor = model.get_input_embeddings()(ids_K)
    return nn.Parameter(rows_KD.float().mean(0).to(rows_KD.dtype))
