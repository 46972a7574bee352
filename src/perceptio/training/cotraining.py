"""The whole model in training, its vision tower still told what every patch shows.

Questions reach a small tower through six layers of language model, weakly: left to them it forgets much of what its own
stage taught it. One linear layer over states that are computed anyway keeps the dense targets in force. [ours],
docs/experiments.md. A tower that comes pre-trained on photographs needs none of this: the weight is 0 by default.

The layer passes from stage to stage in a file: a fresh one would first teach the tower its own random values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import LossWeights
from perceptio.training.dense import DenseHead
from perceptio.training.parts import load_part

HEAD_FILE = "head.safetensors"  # in a stage's folder
_PREFIX = "dense_"  # of dense targets in a batch


class CotrainedPerceptio(PerceptioForConditionalGeneration):
    """The model with a dense head, which is left behind when training ends.

    Args:
        config: of the model.
        loss_weights: of the model's own losses.
        dense_weight: weight of the sum of the dense losses.
    """

    def __init__(
        self, config: PerceptioConfig, loss_weights: LossWeights | None = None, dense_weight: float = 1.0
    ) -> None:
        super().__init__(config, loss_weights)
        self.dense_weight = dense_weight
        self.head = DenseHead(config.vlm.vision_config.hidden_size)
        self._tower_states: Tensor | None = None

    @classmethod
    def around(
        cls, model: PerceptioForConditionalGeneration, dense_weight: float, head: Path | None = None
    ) -> CotrainedPerceptio:
        """The same weights and losses, with the head in a file, or a fresh one."""
        whole = cls(model.config, model.loss_weights, dense_weight)
        whole.load_state_dict(model.state_dict() | {f"head.{k}": v for k, v in whole.head.state_dict().items()})
        if head is not None:
            load_part(whole.head, head)
        return whole

    def bare(self) -> PerceptioForConditionalGeneration:
        """The model without its head."""
        model = PerceptioForConditionalGeneration(self.config, self.loss_weights)
        model.load_state_dict({k: v for k, v in self.state_dict().items() if not k.startswith("head.")})
        return model

    def _see(self, pixel_values: Tensor) -> Tensor:
        outputs = self.vlm.get_image_features(pixel_values=pixel_values, return_dict=True)
        self._tower_states = outputs.last_hidden_state
        visual: Tensor = outputs.pooler_output
        return visual

    def forward(self, **batch: Tensor) -> dict[str, Any]:
        """As the model's; dense targets (`with_targets`) add their losses, logged as `dense_...`."""
        targets = {name.removeprefix(_PREFIX): batch.pop(name) for name in list(batch) if name.startswith(_PREFIX)}
        outputs = super().forward(**batch)
        assert self._tower_states is not None
        loss, report = self.head.losses(self._tower_states, targets)
        self._tower_states = None
        outputs["loss"] = outputs["loss"] + self.dense_weight * loss
        outputs["losses"] |= {f"{_PREFIX}{name}": value for name, value in report.items()}
        return outputs


def with_targets(batch: dict[str, Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A collated batch with the dense targets of its pictures."""
    return batch | {f"{_PREFIX}{name}": torch.stack([one[name] for one in targets]) for name in targets[0]}
