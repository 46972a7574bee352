"""Fine-tuning's speed and memory on one GPU, beside transformers' plain Trainer with the same settings.

    python benchmarks/training.py                  # InternVL3-2B and 8B with LoRA and SAM 2.1 large, random weights
    python benchmarks/training.py --tiny           # a toy on any machine: that it runs, nothing else

*Perceptio*: the questions about a picture packed in one sequence, logits where there are labels only, inputs of LoRA in
bfloat16. *Plain*: InternVL's own forward with logits everywhere; one question a sequence, so that the picture is read,
and SAM 2's encoder run, for each; peft as it comes. Weights, LoRA, checkpointing, precision, AdamW, questions a step
and losses (words and masks) are the same. MFU: operations that the sequences need, without those that checkpointing
adds, over the device's peak.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import GotOcr2ImageProcessorPil, Trainer, TrainingArguments
from transformers.utils import logging

from perceptio.checkpoints.sizes import internvl_config, sam_config
from perceptio.cli.errors import reporting
from perceptio.data.packing import PackedRow, collate
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import LossWeights
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.processing import PerceptioProcessor
from perceptio.model.vocabulary import TURN_END, extend_tokenizer
from perceptio.nano.build import Sizes, build_model, build_processor
from perceptio.nano.text_tokenizer import train_tokenizer
from perceptio.segmentation.losses import mask_loss
from perceptio.training.finetune.dry_run import measured_load
from perceptio.training.finetune.lora import LoraPlan, new_rows
from perceptio.training.finetune.memory import DEVICES, estimate, skeleton
from perceptio.training.finetune.run import as_stage, prepare, rates, recipe_packer
from perceptio.training.finetune.saving import FinetuneTrainer
from perceptio.training.finetune.settings import DataPlan, FinetuneRecipe, PackPlan, TuningPlan
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Visits

QUESTIONS = 8  # about a picture
WARM_UP = 2  # steps
LOSSES = LossWeights(score=0, object=0, marker=0, token=0, count=0, reconstruction=0)
TEXTS = ["Where is the thing that was asked for? Here it is, left of the other one, and there are 3 more of them."]
Rows = Visits[Sample, PackedRow]
SIZES = {"InternVL3-2B": (1344, 896), "InternVL3-8B": (1344, 896)}  # and the picture: six tiles and a thumbnail


class Pictures(Dataset[Sample]):
    """Noise with a square, and questions that ask for its mask.

    Args:
        size: width and height, px.
        questions: about each picture.
        visits: number of pictures.
    """

    def __init__(self, size: tuple[int, int], questions: int, visits: int) -> None:
        self.size, self.questions, self.visits = size, questions, visits

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> Sample:
        width, height = self.size
        image = np.random.default_rng(visit).integers(0, 255, (height, width, 3), np.uint8)
        ids = np.zeros((height, width), np.uint8)
        ids[height // 4 : height // 2, width // 4 : width // 2] = 1
        turn = Turn("Where is the thing that was asked for?", f"Here <p>it</p> is. {TEXTS[0]}", "referring", (1,))
        return Sample(image, (turn,) * self.questions, f"noise/{visit}", IdMap(ids))


class Plain(nn.Module):
    """The same model read by InternVL's own forward, with a loss of every token's logits and that of the masks."""

    def __init__(self, model: PerceptioForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Tensor) -> dict[str, Any]:
        """Losses of unpacked rows."""
        packed = PackedBatch(**batch)
        labels = nn.functional.pad(packed.targets, (1, 0), value=-100)[:, :-1]  # InternVL shifts them itself
        outputs = self.model.vlm(
            input_ids=packed.input_ids,
            pixel_values=packed.pixel_values,
            attention_mask=(packed.branch_ids >= 0).long(),
            labels=labels,
            output_hidden_states=True,
            use_cache=False,
        )
        rows_M, positions_M = packed.segments.unbind(1)
        states_MD = outputs.hidden_states[-1][rows_M, positions_M]
        prediction = self.model.segment(states_MD, rows_M, self.model.image_features(packed.sam_pixel_values))
        masks = mask_loss(prediction, packed.masks)
        return {"loss": outputs.loss + LOSSES.bce * masks["bce"] + LOSSES.dice * masks["dice"]}


class Clock:
    """Notes when each step begins; the first few are not counted."""

    begun: list[float]

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        Clock.begun.append(time.perf_counter())
        step: Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]
        return step


class TimedTuning(Clock, FinetuneTrainer):
    """Ours."""


class TimedPlain(Clock, Trainer):
    """transformers' own."""


@dataclass(frozen=True)
class Result:
    """Of one trainer."""

    questions: float  # a second
    tokens: float  # read, a second
    mfu: float | None
    gigabytes: float | None  # at the fullest
    estimated: float | None = None  # likewise, by the dry run

    def __str__(self) -> str:
        mfu = "-" if self.mfu is None else f"{self.mfu:.1%}"
        peak = "-" if self.gigabytes is None else f"{self.gigabytes:.1f}"
        estimated = "-" if self.estimated is None else f"{self.estimated:.1f}"
        return f"{self.questions:11.2f} {self.tokens:10,.0f} {mfu:>7} {peak:>8} {estimated:>10}"


def build(name: str, device: str) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor]:
    """A model of a published size (or "tiny") with random weights, and a processor with a stand-in vocabulary."""
    tokenizer = train_tokenizer(TEXTS, 300)
    if name == "tiny":
        sizes = Sizes(128, 8, 32, 1, 2, 64, 2, 2, 96)
        model = build_model(tokenizer, DepthTokenizerConfig(32, 8, 16, 8, 16, 1), sizes)
        return model, build_processor(tokenizer, sizes)
    depth, vlm = DepthTokenizerConfig(), internvl_config(name)
    vocabulary = extend_tokenizer(tokenizer, depth.codes, depth.tokens_per_map, TURN_END)
    vlm.image_token_id = tokenizer.context_image_token_id
    config = PerceptioConfig(vlm=vlm, sam=sam_config("large"), depth=depth)
    config.set_vocabulary(vocabulary)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = PerceptioForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    for part in (model.sam, model.projector, model.depth_tokenizer):
        part.float()
    side = vlm.vision_config.image_size[0]
    images = GotOcr2ImageProcessorPil(
        size={"height": side, "width": side}, crop_to_patches=True, min_patches=1, max_patches=12
    )
    processor = PerceptioProcessor(images, tokenizer, vlm.image_seq_length, config.sam.prompt_encoder_config.image_size)
    return model, processor


def run(name: str, plain: bool, options: argparse.Namespace) -> Result:
    """Train for some steps and measure."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size, questions = SIZES.get(name, (128, 128)), 1 if plain else QUESTIONS
    batch = options.pictures * QUESTIONS // questions  # sequences that hold as many questions
    tuning = TuningPlan(steps=WARM_UP + options.steps, global_batch=batch, batch=options.batch if plain else 1)
    tuning = replace(tuning, log_every=10**6, save_every=10**6, workers=0 if name == "tiny" else 8)
    recipe = FinetuneRecipe(name, "", DataPlan({}), packing=PackPlan(0, 0.0), tuning=tuning, losses=LOSSES)
    if name == "tiny":
        recipe = replace(recipe, lora=LoraPlan(4, 8), tuning=replace(tuning, bf16=False))
    torch.manual_seed(0)
    model, processor = build(name, device)
    prepare(model, processor.tokenizer, recipe)
    trained = new_rows(processor.tokenizer, model.config.vocabulary)
    pack = recipe_packer(recipe, model.config, processor)
    rows = Visits(Pictures(size, questions, tuning.steps * batch), pack, 0)
    row = rows[0]
    work = operations(model.config, recipe, row) * batch
    load = measured_load([row])
    foreseen = estimate(skeleton(model.config, recipe, len(trained)), recipe, load).total / 1e9
    Clock.begun = []
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        (train_plain if plain else train_ours)(model, rows, processor.tokenizer.pad_token_id, recipe, Path(folder))
    accumulated = len(Clock.begun) // tuning.steps
    seconds = (Clock.begun[-accumulated] - Clock.begun[WARM_UP * accumulated]) / max(options.steps - 1, 1)
    peak = next((each.bfloat16 for each in DEVICES if device == "cuda" and each.name in gpu_name()), None)
    return Result(
        batch * questions / seconds,
        batch * len(row.input_ids) / seconds,
        None if peak is None else work / seconds / peak,
        torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None,
        None if plain else foreseen,
    )


def train_ours(
    model: PerceptioForConditionalGeneration, rows: Rows, padding: int, recipe: FinetuneRecipe, folder: Path
) -> None:
    """As `perceptio train` does it."""
    train_stage(
        PackedObjective(model, recipe.losses),
        rows,
        partial(collate, padding=padding),
        as_stage(recipe.tuning, 1, 1),
        folder,
        seed=0,
        scales=rates(recipe.tuning, tied=model.config.tie_word_embeddings),
        trainer=TimedTuning,
    )


def train_plain(
    model: PerceptioForConditionalGeneration, rows: Rows, padding: int, recipe: FinetuneRecipe, folder: Path
) -> None:
    """As somebody would who has Trainer and peft."""
    tuned: list[Any] = [part for part in model.modules() if isinstance(part, BaseTunerLayer)]
    for layer in tuned:
        layer.cast_input_dtype_enabled = True  # peft's default
    plan, stage = recipe.tuning, as_stage(recipe.tuning, 1, 1)

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.batch,
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        adam_beta2=plan.beta2,
        bf16=plan.bf16 and torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        dataloader_num_workers=plan.workers,
        remove_unused_columns=False,
        save_strategy="no",
        report_to=[],
    )
    TimedPlain(
        model=Plain(model), args=arguments, train_dataset=rows, data_collator=partial(collate, padding=padding)
    ).train()


def operations(config: PerceptioConfig, recipe: FinetuneRecipe, row: PackedRow) -> int:
    """That one such sequence needs, forward and backward."""
    plan = replace(recipe.tuning, global_batch=1, batch=1, checkpointing=False)
    alone = replace(recipe, tuning=plan)
    found = estimate(skeleton(config, alone, 16), alone, measured_load([row]))
    return found.bfloat16 + found.float32


def gpu_name() -> str:
    """Of the GPU, or the CPU's lack of one."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


@reporting()
def main() -> None:
    """Print a table for each size, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a toy model, two steps")
    parser.add_argument("--steps", type=int, default=8, help="that are measured")
    parser.add_argument("--pictures", type=int, default=4, help="a step")
    parser.add_argument("--batch", type=int, default=1, help="sequences at once of the plain trainer")
    options = parser.parse_args()
    logging.set_verbosity_error()
    if options.tiny:
        options.steps, options.pictures = 2, 1
    print(f"{gpu_name()}, torch {torch.__version__}, {options.pictures} pictures with {QUESTIONS} questions a step")
    for name in ("tiny",) if options.tiny else SIZES:
        print(f"\n{name:12} questions/s   tokens/s     MFU  peak GB  dry run GB")
        results = []
        for plain in (False, True):
            results.append(run(name, plain, options))
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            print(f"{'plain' if plain else 'perceptio':12} {results[-1]}")
        print(f"{'ratio':12} {results[0].questions / results[1].questions:11.2f}")


if __name__ == "__main__":
    main()
