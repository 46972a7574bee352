"""SAM 2 as a teacher, against `Sam2Model.forward` itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import Sam2Model

from perceptio.labeling.mask_teacher import MaskPrompts, SamTeacher
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.preprocess import preprocess

SIZE = 64
PROMPTS = [
    MaskPrompts(boxes=((10, 5, 60, 40), (0, 0, 90, 60)), points=((30, 20),)),
    MaskPrompts(),
    MaskPrompts(points=((3, 50), (39, 69))),
    MaskPrompts(boxes=tuple((x, x, x + 20, x + 30) for x in range(40))),
]
SIZES = [(90, 60), (50, 50), (40, 70), (70, 90)]


@pytest.fixture(scope="module", params=["nano", "published"])
def sam(request: pytest.FixtureRequest) -> Sam2Model:
    """Random weights; with the heads of the nano model, or those of the published ones, which may pick among three."""
    torch.manual_seed(0)
    config = nano_sam_config(SIZE)
    if request.param == "published":
        config.mask_decoder_config.num_multimask_outputs = 3
        config.mask_decoder_config.dynamic_multimask_via_stability = True
    model = build_sam(config)
    with torch.no_grad():  # larger weights: masks that differ from prompt to prompt
        for weight in model.mask_decoder.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.15)
    return model


def picture(width: int, height: int, seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@torch.no_grad()
def by_hand(sam: Sam2Model, image: Image.Image, **prompt: torch.Tensor) -> tuple[np.ndarray, float]:
    """One prompt in pixels of the picture, through the model's own forward."""
    width, height = image.size
    scale = torch.tensor([SIZE / width, SIZE / height])
    scaled = {name: (value.unflatten(-1, (-1, 2)) * scale).flatten(-2) for name, value in prompt.items()}
    output = sam(pixel_values=preprocess(image, SIZE)[None], multimask_output=False, **scaled)
    logits = F.interpolate(output.pred_masks[0], (height, width), mode="bilinear")[0, 0]
    return (logits > 0).numpy(), float(output.iou_scores[0, 0, 0])


def test_masks_are_those_of_the_model_s_own_forward(sam: Sam2Model) -> None:
    pictures = [picture(*size, seed) for seed, size in enumerate(SIZES)]
    found = SamTeacher(sam).masks(pictures, PROMPTS)
    assert [len(masks) for masks in found] == [3, 0, 2, 40]
    for image, prompts, masks in zip(pictures, PROMPTS, found, strict=True):
        expected = [by_hand(sam, image, input_boxes=torch.tensor(box)[None, None].float()) for box in prompts.boxes]
        expected += [
            by_hand(sam, image, input_points=torch.tensor(p)[None, None, None].float()) for p in prompts.points
        ]
        for mask, (array, score) in zip(masks, expected, strict=True):
            assert mask.array.shape == image.size[::-1]
            assert (mask.array != array).mean() < 1e-3
            assert mask.score == pytest.approx(score, abs=1e-4)
    areas = [mask.array.mean() for masks in found for mask in masks]
    assert 0.01 < np.mean(areas) < 0.99  # neither empty nor full: there is something to compare
    assert len(set(areas)) > 10


def test_prompts_outside_their_picture_are_refused(sam: Sam2Model) -> None:
    teacher = SamTeacher(sam)
    image = picture(50, 40, 0)
    with pytest.raises(ValueError, match=r"the box \[0, 0, 51, 10\] lies outside the picture of 50 x 40"):
        teacher.masks([image], [MaskPrompts(boxes=((0, 0, 51, 10),))])
    with pytest.raises(ValueError, match=r"the point \[10, 41\] lies outside"):
        teacher.masks([image], [MaskPrompts(points=((10, 41),))])


def test_no_prompts_no_masks(sam: Sam2Model) -> None:
    assert SamTeacher(sam).masks([picture(50, 40, 0)], [MaskPrompts()]) == [[]]
    assert SamTeacher(sam).masks([], []) == []
