"""Three objects under one phrase can be learnt without a pointer, since their masks go from left to right.

[SEG] k learns from mask k. Where the masks of "the cubes" come in any order, no state can know which is its own: then
the mask losses stay where they were and the mean IoU at 0.01, in place of 0.99 (`data/interchangeable.py`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.loading import load
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.processing import PerceptioProcessor
from perceptio.nano.build import Sizes, build_model, build_processor
from perceptio.nano.text_tokenizer import train_tokenizer
from perceptio.segmentation.cache import FeatureCache
from perceptio.segmentation.losses import intersection_over_union

SIDE, CUBE = 224, 56  # px
TURN = Turn("Segment the cubes.", "Here are <p>the cubes</p>.", "plural", masks=(1, 2, 3))
SIZES = Sizes(
    image=SIDE,
    vision_width=32,
    vision_layers=1,
    vision_heads=2,
    text_width=64,
    text_layers=2,
    text_heads=2,
    text_mlp=96,
)
STEPS, RATE, WARMUP = 200, 1e-3, 10


def picture(number: int) -> Sample:
    """Three yellow squares on grey, each in a column of its own; their numbers say nothing of their places."""
    rng = np.random.default_rng((7, number))
    image, ids = np.full((SIDE, SIDE, 3), 60, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    for value, column in enumerate(rng.permutation(3), 1):
        x = column * (SIDE // 3) + int(rng.integers(0, SIDE // 3 - CUBE + 1))
        y = int(rng.integers(0, SIDE - CUBE))
        ids[y : y + CUBE, x : x + CUBE] = value
        image[y : y + CUBE, x : x + CUBE] = (230, 220, 60)
    return Sample(image, (TURN,), f"cubes/{number}", IdMap(ids))


def from_left(sample: Sample) -> Tensor:
    """(3, SIDE, SIDE) bool, the truth: each square by its left edge."""
    masks = [sample.mask(number, SIDE) for number in (1, 2, 3)]
    return torch.from_numpy(np.stack(sorted(masks, key=lambda mask: int(mask.any(0).argmax()))))


def build(seed: int) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor]:
    """A small model that knows nothing but SAM 2's part, which comes trained as the published one does."""
    torch.manual_seed(seed)
    tokenizer = train_tokenizer([TURN.question, TURN.answer], 300)
    depth = DepthTokenizerConfig(image_size=32, downsample=8, codes=16, code_dim=8, width=16, blocks=1)
    model = build_model(tokenizer, depth, SIZES)
    assert model.pointer is None
    model.sam.load_state_dict(load("nano", device="cpu", dtype=torch.float32)[0].sam.state_dict())
    with torch.no_grad():  # large enough that the states of one [SEG] after the other differ
        for weight in model.vlm.model.language_model.layers.parameters():
            if weight.dim() == 2:
                weight.normal_(std=0.25)
    return model, build_processor(tokenizer, SIZES)


@torch.no_grad()
def mean_iou(model: PerceptioForConditionalGeneration, batch: dict[str, Tensor], truth: Tensor) -> float:
    """Mean over the pictures, and their squares, of the IoU of each [SEG] with the square of its rank from the left."""
    model.eval()
    packed = PackedBatch(**batch)
    rows, positions = packed.segments.unbind(1)
    states = PackedObjective(model).read(packed)[rows, positions]
    drawn = model.segment(states, rows, model.image_features(packed.sam_pixel_values))
    return float(intersection_over_union(drawn.logits, truth).mean())


@pytest.mark.slow
def test_three_objects_under_one_phrase_are_learnt_without_a_pointer(tmp_path: Path) -> None:
    model, processor = build(seed=0)
    samples = [picture(number) for number in range(4)]

    def batch_of(step: int) -> dict[str, Tensor]:
        rows = []
        for number, sample in enumerate(samples):
            rng = np.random.default_rng((step, number))
            masks = tuple(rng.permutation(TURN.masks).tolist())  # as a data set may list them
            shuffled = replace(sample, turns=(replace(TURN, masks=masks),))
            rows.append(pack_sample(shuffled, processor, model.config, rng))
        return collate(rows, processor.tokenizer.pad_token_id)

    # the encoder is frozen, and the pictures are four
    objective = PackedObjective(model, feature_cache=FeatureCache(tmp_path, model.sam.vision_encoder)).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, RATE, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * min(1, 2 * (1 - step / STEPS))
        optimizer.zero_grad()
        objective(**batch_of(step))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    found = mean_iou(model, batch_of(STEPS), torch.cat([from_left(sample) for sample in samples]))
    print(f"mean IoU of the training pictures: {found:.3f}")
    assert found > 0.9
