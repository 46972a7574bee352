"""The training objective of a model made from nothing: the packed one, with three supervisions that parents' weights
make needless. [ours], docs/experiments.md.

- *Dense targets.* Questions reach a small tower through six layers of language model, weakly: left to them it forgets
  much of what its own stage taught it. One linear layer over states that are computed anyway keeps its targets on.
- *Attention targets.* Some attention heads are taught where to look (`nano/attention.py`).
- *Self-generated depth.* Some answers read the depth codes that the model itself wrote
  (`nano/self_generated_depth.py`); the targets stay the truth.

Each is there where the batch brings its targets (`with_supervision`) and has a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import LossWeights
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.shares import Shares
from perceptio.nano.attention import KINDS, attention_losses, call_arguments, taught_layers
from perceptio.nano.dense import DenseHead, dense_counts
from perceptio.nano.parts import load_part
from perceptio.segmentation.pointing.pointer_losses import PointerWeights

HEAD_FILE = "head.safetensors"  # in a stage's folder: a fresh head would first teach the tower its own random values
_DENSE = "dense_"  # of dense targets in a batch, and of their losses


class NanoObjective(PackedObjective):
    """A `PackedObjective` with a dense head, which is left behind when training ends.

    Args:
        model: to be trained.
        weights: of the losses of the paper and its parents.
        pointer_weights: of the losses of a pointer.
        dense: weight of the sum of the dense losses; 0: there is no head.
        attention: weight of the loss of attention targets.
        head: file of the dense head that an earlier stage left; a fresh one by default.
    """

    def __init__(
        self,
        model: PerceptioForConditionalGeneration,
        weights: LossWeights | None = None,
        pointer_weights: PointerWeights | None = None,
        *,
        dense: float = 0.0,
        attention: float = 0.0,
        head: Path | None = None,
    ) -> None:
        super().__init__(model, weights, pointer_weights)
        self.dense, self.attention = dense, attention
        self.head = DenseHead(model.config.vlm.vision_config.hidden_size) if dense else None
        if self.head is not None and head is not None:
            load_part(self.head, head)

    @property
    def loss_weights(self) -> dict[str, float]:
        return super().loss_weights | {"attention": self.attention, "dense": self.dense}

    def forward(self, counts: Mapping[str, Tensor] | None = None, **batch: Tensor) -> dict[str, Any]:
        """As of `PackedObjective`; the dense losses are reported apart, as `dense_shape` and so on."""
        self._report: dict[str, Tensor] = {}
        outputs = super().forward(counts, **batch)
        outputs["losses"] |= self._report
        return outputs

    @torch.no_grad()
    def counts(self, **batch: Tensor) -> dict[str, Tensor]:
        found = super().counts(**batch)
        if self.attention:
            kinds = batch["attention_targets"][:, 0]
            found |= {f"attention_{kind}": (kinds == kind).sum().float() for kind in KINDS}
        if self.head is not None:
            found |= {f"{_DENSE}{name}": number for name, number in dense_counts(_dense_targets(batch)).items()}
        return found

    def supervise(self, packed: PackedBatch, shares: Shares, extra: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if "self_generated" in extra:
            self._read_self_generated(packed, extra["self_generated"])
        attention = taught_layers(self.model.vlm.model.language_model.layers) if self.attention else ()
        with ExitStack() as stack:
            calls = stack.enter_context(call_arguments(attention))
            tower_states: list[Tensor] = []
            handle = self.model.vlm.model.vision_tower.register_forward_hook(
                lambda _, __, output: tower_states.append(output.last_hidden_state)
            )
            stack.callback(handle.remove)
            losses = super().supervise(packed, shares, {})
        if self.attention:
            found = attention_losses(attention, calls, extra["attention_targets"])
            parts = [value * shares[f"attention_{kind}"] for kind, value in zip(KINDS, found, strict=True)]
            losses["attention"] = torch.stack(parts).sum()
        if self.head is not None:
            losses["dense"], report = self.head.losses(
                tower_states[0], _dense_targets(extra), lambda name: shares[f"{_DENSE}{name}"]
            )
            self._report = {f"{_DENSE}{name}": value for name, value in report.items()}
        return losses

    def _read_self_generated(self, packed: PackedBatch, codes_BN: Tensor) -> None:
        """Read the codes that the model wrote, in rows that have them, in place of the taught ones."""
        rows_R, starts_R = packed.spans.unbind(1)
        here_R = codes_BN[rows_R, 0] >= 0
        rows_R, starts_R = rows_R[here_R], starts_R[here_R]
        ids_K = torch.tensor(self.model.config.depth_code_token_ids, device=codes_BN.device)
        places_RN = starts_R[:, None] + 1 + torch.arange(codes_BN.shape[1], device=starts_R.device)
        packed.input_ids = packed.input_ids.index_put((rows_R[:, None], places_RN), ids_K[codes_BN[rows_R]])


def _dense_targets(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(_DENSE): value for name, value in batch.items() if name.startswith(_DENSE)}


def with_supervision(
    batch: dict[str, Tensor],
    attention: Sequence[Sequence[tuple[int, int, int]]],
    dense: Sequence[Mapping[str, Tensor]],
    self_generated: Sequence[Sequence[int] | None],
) -> dict[str, Tensor]:
    """A collated batch with what `NanoObjective` asks for.

    Args:
        batch: of B rows.
        attention: of each row, see `attention_targets.attention_targets`.
        dense: of each row, see `dense.dense_targets`; empty where they are not wanted.
        self_generated: of each row, the N codes that are read in place of the taught ones, or None.
    """
    targets = [(kind, row, *places) for row, found in enumerate(attention) for kind, *places in found]
    codes = torch.full((len(self_generated), batch["codes"].shape[1]), -1)
    for row, written in enumerate(self_generated):
        if written is not None:
            codes[row] = torch.tensor(written)
    return batch | {
        "attention_targets": torch.tensor(targets, dtype=torch.int64).reshape(-1, 4),
        "self_generated": codes,
        **{f"{_DENSE}{name}": torch.stack([each[name] for each in dense]) for name in dense[0]},
    }
