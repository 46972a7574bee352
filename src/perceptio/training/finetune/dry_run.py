"""What a fine-tune will need, and whether its data can be read, before any weight is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from perceptio.data.errors import DataError
from perceptio.data.packing import IGNORED, PackedRow
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.loading import find
from perceptio.model.processing import PerceptioProcessor
from perceptio.pretrained.folder import SHIPPED
from perceptio.training.finetune.lora import new_rows
from perceptio.training.finetune.memory import DEVICES, Estimate, Load, estimate, published, skeleton, to_text
from perceptio.training.finetune.run import recipe_packer
from perceptio.training.finetune.settings import FinetuneRecipe
from perceptio.training.finetune.tuning_data import TuningData, open_data

_LOOKED_AT = 32  # visits whose sequences give the estimate its load
_TILES = 13  # of a picture that nothing is known of: InternVL's twelve and the thumbnail


def dry_run(recipe: FinetuneRecipe, folder: Path, devices: int = 1) -> Iterator[str]:
    """Memory by part and time of a step as a table, then what the data is, and the time of the whole run.

    The table is for the largest of some of the run's sequences where base and data are there; otherwise for the longest
    that the recipe allows, half of whose words are answers.

    Args:
        recipe: of the fine-tune.
        folder: of the run; what is found in the data is kept there.
        devices: that share the work.

    Raises:
        ValueError: if neither `base` is a folder nor `sizes` names a published model, the batch cannot be split, or,
            after the table, something is wrong with the data.
    """
    config, processor, rows = _base(recipe)
    if recipe.depth_decoding != "base":
        config.depth_decoding = recipe.depth_decoding
    queries = config.depth.tokens_per_map if config.depth_decoding == "parallel" else 0
    data: TuningData | None = None
    looked: Sequence[PackedRow] = ()
    problem: DataError | None = None
    load = assumed_load(config, recipe.packing.length).with_queries(queries)
    try:
        data = open_data(recipe, folder, config, processor)
        if processor is not None:
            looked = first_rows(recipe, data, config, processor)
            load = measured_load(looked).with_queries(queries if any(row.spans for row in looked) else 0)
    except DataError as error:  # the table first: it may be why the data is not there yet
        problem = error
    needed = estimate(skeleton(config, recipe, rows), recipe, load, devices)
    yield to_text(needed, load)
    if problem is not None:
        raise problem
    assert data is not None
    steps, batch = recipe.tuning.total_steps(data.samples), recipe.tuning.global_batch
    yield f"data: {data.samples} samples in a pass, {steps} steps of {batch}"
    yield whole_run(needed, steps, batch, devices)
    if left_out := sum(row.left_out for row in looked):
        asked = left_out + sum(len(row.answer_has_span) for row in looked)
        yield f"{left_out} of {asked} questions looked at do not fit into sequences of {recipe.packing.length} tokens"


def whole_run(needed: Estimate, steps: int, batch: int, devices: int) -> str:
    """Hours and samples a second of a run, on each kind of device.

    Args:
        needed: for a step on one device.
        steps: of the run.
        batch: samples a step, over all devices.
        devices: that share the work, at the same speed; what they wait for each other is not in it.
    """
    rates = [
        f"{steps * needed.seconds(device) / 3600:,.2f} h at {batch / needed.seconds(device):,.1f} samples/s on "
        f"{f'{devices} x ' if devices > 1 else ''}{device.name}"
        for device in DEVICES
    ]
    return f"the whole run: {', '.join(rates)}"


def _base(recipe: FinetuneRecipe) -> tuple[PerceptioConfig, PerceptioProcessor | None, int]:
    """Configuration, processor (if the base is there), and number of token rows that train."""
    if recipe.base in SHIPPED or os.path.isdir(recipe.base):
        found = find(recipe.base)
        config, processor = PerceptioConfig.from_pretrained(found), PerceptioProcessor.from_pretrained(found)
        processor.switch_words = True  # as in the run
        return config, processor, len(new_rows(processor.tokenizer, config.vocabulary))
    if not recipe.sizes:
        raise ValueError(
            f"{recipe.base} is no folder here: set `sizes` to plan for a published model, such as InternVL3-2B"
        )
    config = published(recipe.sizes)
    return config, None, config.depth.codes + 5  # [SEG], START, END, <p> and </p> too


def first_rows(
    recipe: FinetuneRecipe, data: TuningData, config: PerceptioConfig, processor: PerceptioProcessor
) -> list[PackedRow]:
    """The first sequences of a run."""
    samples, pack = data.training(_LOOKED_AT), recipe_packer(recipe, config, processor)
    return [pack(samples[visit], np.random.default_rng((recipe.seed, visit))) for visit in range(_LOOKED_AT)]


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
