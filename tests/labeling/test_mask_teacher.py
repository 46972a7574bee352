"""SAM 2 as a teacher, against `Sam2Model.forward` itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from torch.nn import functional as F
from transformers import Sam2Model

from perceptio.images import WorkingImage
from perceptio.labeling.errors import UnusableError
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


def picture(width: int, height: int, seed: int) -> WorkingImage:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return WorkingImage(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), (width, height))


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
        expected = [
            by_hand(sam, image.image, input_boxes=torch.tensor(box)[None, None].float()) for box in prompts.boxes
        ]
        expected += [
            by_hand(sam, image.image, input_points=torch.tensor(p)[None, None, None].float()) for p in prompts.points
        ]
        for mask, (array, score) in zip(masks, expected, strict=True):
            assert mask.rle["size"] == list(image.size[::-1])
            assert (coco.decode(mask.rle) != array).mean() < 1e-3
            assert mask.score == pytest.approx(score, abs=1e-4)
    areas = [coco.decode(mask.rle).mean() for masks in found for mask in masks]
    assert 0.01 < np.mean(areas) < 0.99  # neither empty nor full: there is something to compare
    assert len(set(areas)) > 10


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((10, 5, 50.02, 40.02), (10, 5, 50, 40)),
        ((-1, -1, 51, 41), (0, 0, 50, 40)),
        ((10, 5, 50, 40), (10, 5, 50, 40)),
    ],
)
def test_boxes_are_cut_at_the_border(box: tuple[float, ...], cut: tuple[float, ...]) -> None:
    assert MaskPrompts(boxes=(box,)).inside(50, 40) == MaskPrompts(boxes=(cut,))


def test_points_are_moved_to_the_border() -> None:
    assert MaskPrompts(points=((-0.5, 40.5),)).inside(50, 40) == MaskPrompts(points=((0, 40),))


@pytest.mark.parametrize(
    "box", [(0, 0, 51 + 1e-6, 10), (-1.01, 0, 5, 5), (50, 3, 51, 9), (3, -1, 9, 0), (-9, -9, 99, 99)]
)
def test_boxes_outside_their_picture_are_refused(sam: Sam2Model, box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"the box \[.*\] lies outside the picture of 50 x 40"):
        SamTeacher(sam).masks([picture(50, 40, 0)], [MaskPrompts(boxes=(box,))])


def test_points_outside_their_picture_are_refused(sam: Sam2Model) -> None:
    with pytest.raises(ValueError, match=r"the point \[10, 41.5\] lies outside"):
        SamTeacher(sam).masks([picture(50, 40, 0)], [MaskPrompts(points=((10, 41.5),))])


def test_masks_of_a_reduced_picture_are_of_the_original_s_size(sam: Sam2Model) -> None:
    whole = picture(60, 40, 0)
    reduced = WorkingImage(whole.image, (180, 119))
    prompts = MaskPrompts(boxes=((6, 4, 40, 30),))
    scaled = MaskPrompts(boxes=((6 * 3, 4 * 119 / 40, 40 * 3, 30 * 119 / 40),))
    ((small,),) = SamTeacher(sam).masks([whole], [prompts])
    ((large,),) = SamTeacher(sam).masks([reduced], [scaled])
    assert large.rle["size"] == [119, 180]
    enlarged = coco.decode(small.rle).repeat(3, 0).repeat(3, 1)[:119]
    assert 0 < enlarged.mean() < 1
    assert (coco.decode(large.rle) != enlarged).mean() < 0.02


def test_values_that_are_not_finite_are_refused(sam: Sam2Model) -> None:
    broken = copy.deepcopy(sam)
    with torch.no_grad():
        next(broken.mask_decoder.parameters()).fill_(torch.nan)
    with pytest.raises(UnusableError, match="not finite"):
        SamTeacher(broken).masks([picture(50, 40, 0)], [MaskPrompts(points=((3, 5),))])


def test_no_prompts_no_masks(sam: Sam2Model) -> None:
    assert SamTeacher(sam).masks([picture(50, 40, 0)], [MaskPrompts()]) == [[]]
    assert SamTeacher(sam).masks([], []) == []
