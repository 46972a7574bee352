"""Fine-tune a model on somebody's own data: `Finetune(recipe, folder).run()`, on one process or under torchrun.

The run's folder holds checkpoints and curves while it trains; at the end `adapter/` (a peft folder, with the parts that
train whole beside) and `model/`, the merged model that `Perceptio.from_pretrained` loads.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerBase

from perceptio.data.packing import PackedRow, collate
from perceptio.data.preparation import REPORT
from perceptio.data.schema import Sample
from perceptio.data.supervision import Supervision
from perceptio.files import check_writable_folder, locked, replacing_folder
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.loading import find, load
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.parallel_depth import set_depth_decoding
from perceptio.model.processing import PerceptioProcessor
from perceptio.pretrained.precision import computes_bfloat16
from perceptio.segmentation.cache import FeatureCache
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.beginning import HOW_IT_RUNS, RECIPE_FILE, begin, check_reads, hashes
from perceptio.training.checkpoint import last_checkpoint
from perceptio.training.finetune.lora import adapt, load_trained, merge, new_rows, save_adapter
from perceptio.training.finetune.saving import TRAINED_FILE, FinetuneTrainer
from perceptio.training.finetune.settings import FinetuneRecipe, TuningPlan
from perceptio.training.finetune.tuning_data import TuningData, open_data
from perceptio.training.reporting import check_reporter
from perceptio.training.sharding import shard
from perceptio.training.stage import Stage
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Visits, packer

_PATIENCE = timedelta(hours=2)  # of processes that wait for the one that checks the data

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from accelerate import PartialState
    from peft import PeftModel


class Finetune:
    """One fine-tune in one folder.

    Args:
        recipe: what to train.
        folder: of everything the run writes.
        data: samples to train on in place of the recipe's own.
    """

    def __init__(self, recipe: FinetuneRecipe, folder: str | Path, data: TuningData | None = None) -> None:
        self.recipe = recipe
        self.folder = Path(folder)
        self._data = data

    def run(self) -> None:
        """Train, from the last complete checkpoint if there is one, and export; a finished run is left as it is.

        Raises:
            ValueError: if base, data or batch sizes do not work out, or are not those that the run was begun with; the
                message says what to do.
            OutputError: if the folder cannot be written, or another run holds it.
        """
        from accelerate import PartialState

        for plugin in ("FSDP", "DEEPSPEED"):
            if os.environ.get(f"ACCELERATE_USE_{plugin}") == "true":
                raise ValueError(
                    f"a fine-tune is not sharded by accelerate's {plugin} plugin: launch it with torchrun, and set "
                    "tuning: shard: true in the recipe"
                )
        check_reporter(self.recipe.tuning.report_to)
        place = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
        with locked(self.folder) if place.is_main_process else nullcontext():
            if place.is_main_process:
                self._begin()
            place.wait_for_everyone()
            if (self.folder / "model").is_dir():
                logger.info("%s is finished: its model is left as it is", self.folder)
            else:
                self._train(place)

    def _train(self, place: PartialState) -> None:
        recipe, plan = self.recipe, self.recipe.tuning
        if recipe.sam_cache:
            check_writable_folder(recipe.sam_cache)
        model, processor = self._base()
        if model.pointer is None and recipe.pointer_losses != PointerWeights():
            raise ValueError(f"{recipe.base} has no pointer: take pointer_losses out of the recipe")
        with place.main_process_first():  # it reads every sample once; the others take its word
            data = self._data or open_data(recipe, self.folder, model.config, processor)
            if place.is_main_process:
                passes = {"the number of samples in a pass": data.samples}
                check_reads(self.folder, {**data.digests, **hashes(find(recipe.base), recipe.base), **passes})
        stage = as_stage(plan, data.samples, place.num_processes)
        cache = FeatureCache(Path(recipe.sam_cache), model.sam.vision_encoder) if recipe.sam_cache else None
        torch.manual_seed(recipe.seed)
        prepare(model, processor.tokenizer, recipe)
        objective = PackedObjective(model, recipe.losses, recipe.pointer_losses, cache)
        if plan.shard:
            shard(objective)
        pack = recipe_packer(recipe, model.config, processor)
        train_stage(
            objective,
            Visits(data.training(stage.steps * plan.global_batch), pack, recipe.seed),
            partial(collate, padding=processor.tokenizer.pad_token_id),
            stage,
            self.folder,
            seed=recipe.seed,
            validation=None if data.validation is None else Visits(data.validation, pack, recipe.seed),
            evaluate_every=plan.evaluate_every,
            scales=rates(plan, tied=model.config.tie_word_embeddings, query=model.depth_query is not None),
            trainer=FinetuneTrainer,
            report_to=plan.report_to,
        )
        if place.is_main_process:
            self._export()
        place.wait_for_everyone()

    def _begin(self) -> None:
        """Refuse to go on with another recipe than the folder was begun with; how often it logs may change."""
        checkpoints = any(self.folder.glob("checkpoint-*"))
        if checkpoints and not (self.folder / RECIPE_FILE).is_file():
            raise ValueError(f"{self.folder} holds checkpoints of another trainer: give a folder of its own")
        settings = asdict(self.recipe) | {"name": ""}
        for name in HOW_IT_RUNS:
            settings["tuning"].pop(name)
        under_way = checkpoints or (self.folder / "model").is_dir()
        begin(self.folder, settings, under_way=under_way, ours=(REPORT,))  # as a dry run leaves it

    def _base(self) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor]:
        """The base with what the recipe changes in it."""
        recipe = self.recipe
        half = recipe.tuning.bf16 and computes_bfloat16()
        model, processor = load(recipe.base, device="cpu", dtype=torch.bfloat16 if half else torch.float32)
        processor.switch_words = True  # from now on it is taught them
        model.config.mask_gate |= recipe.mask_gate
        if recipe.order != "base":
            if recipe.order == "interleaved" and model.pointer is not None:
                raise ValueError(
                    f"{recipe.base} has a pointer, whose [SEG] tokens stand together: order cannot be interleaved"
                )
            model.config.order = recipe.order
        if recipe.depth_decoding != "base":
            set_depth_decoding(model, recipe.depth_decoding)
        return model, processor

    def _export(self) -> None:
        """Write the adapter, and the base with the adapter merged into it."""
        checkpoint = last_checkpoint(self.folder)
        assert checkpoint is not None
        model, processor = self._base()
        adapted = prepare(model, processor.tokenizer, self.recipe)
        load_trained(model, load_file(checkpoint / TRAINED_FILE))
        save_adapter(adapted, self.folder / "adapter")
        merged = merge(adapted)
        with replacing_folder(self.folder / "model") as beside:
            merged.save_pretrained(beside)
            processor.save_pretrained(beside)


def prepare(
    model: PerceptioForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, recipe: FinetuneRecipe
) -> PeftModel:
    """Make a base model trainable as the recipe says, in place; see `lora.adapt`."""
    adapted = adapt(model, recipe.lora, new_rows(tokenizer, model.config.vocabulary))
    if recipe.tuning.checkpointing:
        model.vlm.model.language_model.gradient_checkpointing_enable({"use_reentrant": False})
    return adapted


def recipe_packer(
    recipe: FinetuneRecipe, config: PerceptioConfig, processor: PerceptioProcessor
) -> Callable[[Sample, np.random.Generator], PackedRow]:
    """What makes a packed sequence of a sample, as the recipe says."""
    plan = recipe.packing
    supervision = Supervision(weights=plan.weights)
    return packer(config, processor, explicit=plan.explicit, length=plan.length, supervision=supervision)


def as_stage(plan: TuningPlan, samples: int, processes: int) -> Stage:
    """The trainer's own settings for a run over `samples` a pass on so many processes.

    Raises:
        ValueError: if the global batch cannot be split over them.
    """
    steps = plan.total_steps(samples)
    return Stage(
        steps=steps,
        batch=plan.batch,
        accumulate=plan.accumulate(processes),
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        warmup=round(plan.warmup * steps),
        clip=plan.clip,
        beta2=plan.beta2,
        bf16=plan.bf16,
        workers=plan.workers,
        log_every=plan.log_every,
        save_every=plan.save_every,
    )


def rates(plan: TuningPlan, *, tied: bool, query: bool = False) -> dict[str, float]:
    """Factors on the learning rate, by part; a head that is not the embedding has rows of its own.

    Args:
        plan: of the fine-tune.
        tied: the head is the embedding.
        query: the model has a depth query, the row of a token that is never written.
    """
    rows = ["vlm.model.language_model.embed_tokens", *([] if tied else ["vlm.lm_head"]), *["depth_query"] * query]
    scales = {"sam.mask_decoder": plan.decoder_rate, **dict.fromkeys(rows, plan.rows_rate)}
    return {f"model.{name}": scale for name, scale in scales.items()}  # the objective's
