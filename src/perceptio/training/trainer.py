"""transformers' Trainer with three additions: every loss is logged apart; a resumed run equals an unbroken one; and an
optimiser step (and an evaluation) is the same however its samples are cut into batches and processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from perceptio.files import read_json
from perceptio.pretrained.precision import computes_bfloat16
from perceptio.processes import check_workers
from perceptio.training.checkpoint import MarkComplete, last_checkpoint, resuming, saving
from perceptio.training.curves import DrawCurves
from perceptio.training.events import WriteEvents, writing_events
from perceptio.training.optimizer import MatrixOptimizer
from perceptio.training.reporting import Reporter, reporting
from perceptio.training.stage import Stage
from perceptio.training.workers import start_worker

Collate = Callable[[list[Any]], dict[str, Tensor]]

_WEIGHTS = "model.safetensors"  # of a checkpoint


class StageTrainer(Trainer):
    """Trains a module whose forward returns `loss` and `losses` (each loss apart, detached).

    A module may say how many items of each loss a batch holds (`counts(**batch)`) and take those of the whole step
    (`counts=`): then each loss is a mean over the items of all batches and processes of a step. Without, it is a mean
    over batches.

    A batch may hold `seeds`, one for each sample: then dropout depends on the first alone, not on what ran before.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # forward(**batch) looks as if it took Trainer's token count for averaging over accumulated batches; it does not
        self.model_accepts_loss_kwargs = False
        self._counts = getattr(self.model, "counts", None)
        self._evaluation: dict[str, Tensor] | None = None  # counts of the evaluation set
        self._sums: dict[str, Tensor | float] = defaultdict(float)
        self._batches = 0

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The batches of one optimiser step, each with the counts of all of them and of those on other processes."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._counts is not None:
            step = self._sum_counts([self._counts(**batch) for batch in batches])
            batches = [batch | {"counts": step} for batch in batches]
        return batches, items

    def _sum_counts(self, found: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Counts of batches here and on the other processes, added up."""
        summed = {name: torch.stack([each[name] for each in found]).sum() for name in found[0]}
        return dict(zip(summed, self._over_processes(list(summed.values()), "sum").unbind(), strict=True))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        outputs = self._forward(model, inputs)
        loss = outputs["loss"]
        # Trainer averages over the batches of a step, and the processes over each other: a share of a sum is no mean
        parts = 1 if self._counts is None else self.current_gradient_accumulation_steps * self.accelerator.num_processes
        if model.training:
            loss = loss * parts
            self._batches += 1
            for name, value in outputs["losses"].items():
                self._sums[name] += value * parts  # on the device: to read it here would hold up a GPU every step
        return (loss, outputs) if return_outputs else loss

    def _forward(self, model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Any]:
        if "seeds" in inputs:
            torch.manual_seed(int(inputs["seeds"][0]))
        outputs: dict[str, Any] = model(**inputs)
        return outputs

    def _mean_over_processes(self, sums: Mapping[str, float], count: int) -> dict[str, float]:
        """Sums over this process's batches as means over those of all processes; each has the same names and count."""
        values = torch.tensor(list(sums.values()), dtype=torch.float64, device="cpu") / count
        return dict(zip(sums, self._over_processes(list(values), "mean").tolist(), strict=True))

    def _over_processes(self, values: list[Tensor], how: str) -> Tensor:
        """(n,) float32 of n numbers, each reduced over all processes."""
        reduced: Tensor = self.accelerator.reduce(torch.stack(values).to(self.args.device, torch.float32), how)
        return reduced

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._batches:
            sums = {name: float(value) for name, value in self._sums.items()}
            means = self._mean_over_processes(sums, self._batches)
            logs = logs | {f"loss/{name}": value for name, value in means.items()}
            self._sums.clear()
            self._batches = 0
        super().log(logs, start_time)

    @torch.no_grad()
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Losses on the evaluation set as if it were one step, logged as `eval_loss/...`.

        Training goes on with the random numbers that it would have had: a DataLoader draws one when it is first gone
        through, which a resumed run does again.
        """
        device = self.args.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            logs = self._mean_losses()
        self.log(logs)
        # notes that it is done: or Trainer would evaluate once more at the end
        self.callback_handler.on_evaluate(self.args, self.state, self.control, logs)
        return logs

    def _mean_losses(self) -> dict[str, float]:
        self.model.eval()
        sums: dict[str, float] = defaultdict(float)
        loader = self.get_eval_dataloader()
        if self._counts is not None and self._evaluation is None:  # the set stays the same: counted once
            self._evaluation = self._sum_counts([self._counts(**batch) for batch in loader])
        whole = {} if self._evaluation is None else {"counts": self._evaluation}
        for inputs in loader:
            with self.compute_loss_context_manager():
                outputs = self._forward(self.model, self._prepare_inputs(inputs) | whole)
            for name, value in (outputs["losses"] | {"": outputs["loss"]}).items():
                sums[name] += float(value)
        self.model.train()
        parts = 1 if self._counts is None else len(loader) * self.accelerator.num_processes  # see `compute_loss`
        means = {name: mean * parts for name, mean in self._mean_over_processes(sums, len(loader)).items()}
        return {f"eval_loss/{name}" if name else "eval_loss": value for name, value in means.items()}

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Strictly: Trainer would drop a weight that does not fit with a warning only."""
        with resuming(resume_from_checkpoint):
            self.model.load_state_dict(load_file(Path(resume_from_checkpoint) / _WEIGHTS))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with resuming(checkpoint or ""):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with resuming(checkpoint or ""):
            super()._load_rng_state(checkpoint)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Of the run's samples, with workers that end with it."""
        return _with_workers(super().get_train_dataloader())

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader[Any]:
        """Likewise, of the evaluation set."""
        return _with_workers(super().get_eval_dataloader(*args, **kwargs))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with saving(Path(self.args.output_dir)):
            super()._save_checkpoint(model, trial)

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
    trainer: type[StageTrainer] = StageTrainer,
    callbacks: Sequence[TrainerCallback] = (),
    report_to: Reporter = "none",
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
        trainer: what saves and loads the module.
        callbacks: what else is to be done on the way.
        report_to: where losses go beside TensorBoard.
    """
    check_workers(stage.workers)
    arguments = training_arguments(stage, folder, seed, None if validation is None else evaluate_every, report_to)
    running = trainer(
        model=module,
        args=arguments,
        train_dataset=samples,
        eval_dataset=validation,
        data_collator=collate,
        optimizers=(_optimizer(module, stage, scales), None),
        callbacks=[MarkComplete(), DrawCurves(folder.name), WriteEvents(), *callbacks],
    )
    with arguments.main_process_first(local=False):  # it removes what is half-written
        checkpoint = last_checkpoint(folder)
    if checkpoint is not None:
        read_json(checkpoint / TRAINER_STATE_NAME)  # Trainer would not say which file is damaged
    with writing_events(), reporting(report_to):
        running.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def training_arguments(
    stage: Stage, folder: Path, seed: int, evaluate_every: int | None, report_to: Reporter = "none"
) -> TrainingArguments:
    """What Trainer is told of a stage; `evaluate_every` is None where there is nothing to evaluate on."""
    return TrainingArguments(
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
        adam_beta2=stage.beta2,
        bf16=stage.bf16 and computes_bfloat16(),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=stage.log_every,
        save_steps=stage.save_every,
        save_total_limit=2,
        eval_strategy="no" if evaluate_every is None else "steps",
        eval_steps=evaluate_every,
        dataloader_num_workers=stage.workers,
        dataloader_persistent_workers=stage.workers > 0,
        remove_unused_columns=False,
        ddp_find_unused_parameters=True,  # a loss of weight 0 leaves parameters without a gradient
        report_to=report_to,  # TensorBoard's `WriteEvents` is among the callbacks
        run_name=folder.name,
        seed=seed,
    )


def _with_workers(loader: DataLoader[Any]) -> DataLoader[Any]:
    inner = getattr(loader, "base_dataloader", loader)  # accelerate wraps it
    inner.worker_init_fn = start_worker
    return loader


def _optimizer(module: nn.Module, stage: Stage, scales: Mapping[str, float] | None) -> MatrixOptimizer | None:
    """Muon with AdamW where the stage asks for it; None lets Trainer make its AdamW."""
    if not stage.muon and not scales:
        return None
    return MatrixOptimizer(module, stage.muon, stage.learning_rate, stage.weight_decay, scales or {}, stage.beta2)
