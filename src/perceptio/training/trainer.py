"""transformers' Trainer with two additions: every loss is logged apart, and a resumed run equals an unbroken one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainingArguments

from perceptio.training.checkpoint import MarkComplete, last_checkpoint
from perceptio.training.curves import DrawCurves
from perceptio.training.optimizer import MatrixOptimizer
from perceptio.training.precision import computes_bfloat16
from perceptio.training.recipe import Stage

Collate = Callable[[list[Any]], dict[str, Tensor]]


class StageTrainer(Trainer):
    """Trains a module whose forward returns `loss` and `losses` (each loss apart, detached)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # forward(**batch) looks as if it took Trainer's token count for averaging over accumulated batches; it does not
        self.model_accepts_loss_kwargs = False
        self._sums: dict[str, float] = defaultdict(float)
        self._batches = 0

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        outputs = model(**inputs)
        if model.training:
            self._batches += 1
            for name, value in outputs["losses"].items():
                self._sums[name] += float(value)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._batches:
            logs = logs | {f"loss/{name}": total / self._batches for name, total in self._sums.items()}
            self._sums.clear()
            self._batches = 0
        super().log(logs, start_time)

    @torch.no_grad()
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Mean losses on the evaluation set, logged as `eval_loss/...`."""
        self.model.eval()
        sums: dict[str, float] = defaultdict(float)
        loader = self.get_eval_dataloader()
        for inputs in loader:
            with self.compute_loss_context_manager():
                outputs = self.model(**self._prepare_inputs(inputs))
            for name, value in (outputs["losses"] | {"": outputs["loss"]}).items():
                sums[name] += float(value) / len(loader)
        self.model.train()
        logs = {f"eval_loss/{name}" if name else "eval_loss": value for name, value in sums.items()}
        self.log(logs)
        return logs

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Strictly: Trainer would drop, with a warning only, each weight that `save_pretrained` renames in the file."""
        if not isinstance(self.model, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        stored = type(self.model).from_pretrained(resume_from_checkpoint)
        self.model.load_state_dict(stored.state_dict())

    def _get_train_sampler(self, *_: Any, **__: Any) -> Sampler[int]:
        """In order: the data set itself decides what each visit is (see `Visits`)."""
        return SequentialSampler(self.train_dataset)


def train_stage(
    module: nn.Module,
    samples: Dataset[Any],
    collate: Collate,
    stage: Stage,
    folder: Path,
    *,
    seed: int,
    validation: Dataset[Any] | None = None,
    evaluate_every: int | None = None,
    scales: Mapping[str, float] | None = None,
) -> None:
    """Train a module in place, from the last complete checkpoint in `folder` if there is one.

    Args:
        module: its forward takes what `collate` returns.
        samples: `stage.steps * stage.batch * stage.accumulate` samples, in order.
        collate: samples -> arguments of forward.
        stage: how to optimise.
        folder: of this stage; checkpoints, TensorBoard events and curves go there.
        seed: of everything random in the module.
        validation: samples for `eval_loss`.
        evaluate_every: steps between evaluations.
        scales: factors on the rates of submodules, by name.
    """
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch,
        per_device_eval_batch_size=stage.batch,
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        warmup_steps=stage.warmup,
        max_grad_norm=stage.clip,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={
            "num_decay_steps": round(stage.decay * (stage.steps - stage.warmup)),
            "decay_type": "cosine",
            "min_lr_ratio": 0.02,
        },
        adam_beta2=0.98,
        bf16=stage.bf16 and computes_bfloat16(),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=stage.log_every,
        save_steps=stage.save_every,
        save_total_limit=2,
        eval_strategy="steps" if validation is not None else "no",
        eval_steps=evaluate_every,
        dataloader_num_workers=stage.workers,
        dataloader_persistent_workers=stage.workers > 0,
        remove_unused_columns=False,
        report_to=["tensorboard"],
        seed=seed,
    )
    trainer = StageTrainer(
        model=module,
        args=arguments,
        train_dataset=samples,
        eval_dataset=validation,
        data_collator=collate,
        optimizers=(_optimizer(module, stage, scales), None),
        callbacks=[MarkComplete(), DrawCurves(folder.name)],
    )
    checkpoint = last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def _optimizer(module: nn.Module, stage: Stage, scales: Mapping[str, float] | None) -> MatrixOptimizer | None:
    """Muon with AdamW where the stage asks for it; None lets Trainer make its AdamW."""
    if not stage.muon and not scales:
        return None
    return MatrixOptimizer(module, stage.muon, stage.learning_rate, stage.weight_decay, scales or {})
