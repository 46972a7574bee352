"""What a fine-tune will need, and whether its data can be read, before any weight is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from perceptio.data.packing import IGNORED, PackedRow, pack_record
from perceptio.loading import SHIPPED, find
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.processing import PerceptioProcessor
from perceptio.training.finetune_data import open_data
from perceptio.training.finetune_recipe import FinetuneRecipe
from perceptio.training.lora import new_rows
from perceptio.training.memory import Load, estimate, published, skeleton, to_text

_LOOKED_AT = 32  # records, spread over the mixture, whose sequences give the estimate its load
_TILES = 13  # of a picture that nothing is known of: InternVL's twelve and the thumbnail


def plan_memory(recipe: FinetuneRecipe, devices: int = 1) -> str:
    """Memory by part and time of a step, as a table.

    Where base and data are there, for the largest of some of its sequences; otherwise for the longest that the recipe
    allows, half of whose words are answers.

    Raises:
        ValueError: if neither `base` is a folder nor `sizes` names a published model, or the batch cannot be split.
    """
    if recipe.base in SHIPPED or os.path.isdir(recipe.base):
        folder = find(recipe.base)
        config = PerceptioConfig.from_pretrained(folder)
        processor = PerceptioProcessor.from_pretrained(folder)
        rows = len(new_rows(processor.tokenizer, config.vocabulary))
        load = measured_load(sample_rows(recipe, config, processor))
    elif recipe.sizes:
        config = published(recipe.sizes)
        rows = len(config.depth_code_token_ids) + 5  # [SEG], START, END, <p>, </p>
        load = assumed_load(config, recipe.packing.length)
    else:
        raise ValueError(
            f"{recipe.base} is no folder here: set `sizes` to plan for a published model, such as InternVL3-2B"
        )
    return to_text(estimate(skeleton(config, recipe, rows), recipe, load, devices), load)


def check_data(recipe: FinetuneRecipe) -> str:
    """Open the mixture and read some of its records.

    Raises:
        ValueError: if something is missing or wrong, with file, line and field.
    """
    data = open_data(recipe.data, recipe.seed)
    steps = recipe.tuning.total_steps(data.samples)
    records = data.training(_LOOKED_AT)
    for visit in range(_LOOKED_AT):
        records[visit]
    return f"data: {data.samples} samples a pass, {steps} steps of {recipe.tuning.global_batch}"


def sample_rows(recipe: FinetuneRecipe, config: PerceptioConfig, processor: PerceptioProcessor) -> list[PackedRow]:
    """The first sequences of a run."""
    records = open_data(recipe.data, recipe.seed).training(_LOOKED_AT)
    return [
        pack_record(
            records[visit],
            processor,
            config.vocabulary,
            np.random.default_rng((recipe.seed, visit)),
            depth_size=config.depth.image_size,
            explicit=recipe.packing.explicit,
            length=recipe.packing.length,
        )
        for visit in range(_LOOKED_AT)
    ]


def measured_load(rows: Sequence[PackedRow]) -> Load:
    """The largest of everything that these sequences hold."""
    return Load(
        tiles=max(len(row.pixel_values) for row in rows),
        length=max(len(row.input_ids) for row in rows),
        labels=max(sum(target != IGNORED for target in row.targets) for row in rows),
        masks=max(1, *(len(row.masks) for row in rows)),
    )


def assumed_load(config: PerceptioConfig, length: int) -> Load:
    """The longest sequence of a recipe, with as many tiles as it has room for."""
    visual = config.vlm.image_seq_length
    length = length or config.vlm.text_config.max_position_embeddings
    tiles = max(1, min(_TILES, length // visual - 1))
    return Load(tiles, length, labels=max(1, (length - tiles * visual) // 2))
