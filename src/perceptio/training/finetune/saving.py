"""The trainer of fine-tunes: checkpoints hold what trains and nothing else, and sharded models are saved whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from perceptio.training.checkpoint import resuming
from perceptio.training.finetune.lora import load_trained, trained_weights
from perceptio.training.sharding import gather, gather_state, is_sharded, load_state
from perceptio.training.trainer import StageTrainer

TRAINED_FILE = "trained.safetensors"
_STATE_FILE = "optimizer.pt"


class FinetuneTrainer(StageTrainer):
    """Trains a `PackedObjective` and saves what trains, a hundredth of an 8B model; the base's folder has the rest."""

    def _move_model_to_device(self, model: nn.Module, device: torch.device) -> None:
        if not is_sharded(model):  # whose shards are where they belong
            super()._move_model_to_device(model, device)

    def _wrap_model(self, model: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        if is_sharded(model):
            # autocast without DDP, which would replicate what is spread
            prepared: Any = self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
            prepared._is_accelerate_prepared = True
            model = prepared
        return super()._wrap_model(model, *args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the trained weights; every process takes part."""
        folder = Path(output_dir or self.args.output_dir)
        weights = gather(trained_weights(self.accelerator.unwrap_model(self.model).model))
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(weights, folder / TRAINED_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with resuming(resume_from_checkpoint):
            load_trained(self.model.model, load_file(Path(resume_from_checkpoint) / TRAINED_FILE))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        state = {"optimizer": gather_state(self.optimizer.optimizer), "schedule": self.lr_scheduler.state_dict()}
        if self.args.should_save:
            torch.save(state, Path(output_dir) / _STATE_FILE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            with resuming(checkpoint):
                state = torch.load(Path(checkpoint) / _STATE_FILE, map_location="cpu", weights_only=True)
                load_state(self.optimizer.optimizer, state["optimizer"])
                self.lr_scheduler.load_state_dict(state["schedule"])
