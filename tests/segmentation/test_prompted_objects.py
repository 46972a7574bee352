"""Clicks and boxes against `Sam2Model.forward` on the same pixels, object by object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Sam2Model

from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.bridge import ImageFeatures, encode_image
from perceptio.segmentation.prompted_arguments import read_objects
from perceptio.segmentation.prompted_objects import NO_CLICK, segment_objects

SIZE = (60, 90)  # width, height px


@pytest.fixture(scope="module", params=[0, 3])
def sam(request: pytest.FixtureRequest) -> Sam2Model:
    """A small SAM 2 without candidates for ambiguous prompts, as nano's, and one with three, as the published."""
    torch.manual_seed(0)
    config = nano_sam_config(64)
    config.mask_decoder_config.num_multimask_outputs = request.param
    config.mask_decoder_config.dynamic_multimask_via_stability = request.param > 0
    model = build_sam(config).eval()
    with torch.no_grad():  # larger logits, so that a wrong feature shows
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    return model


@pytest.fixture(scope="module")
def pixels(sam: Sam2Model) -> Tensor:
    side = sam.config.prompt_encoder_config.image_size
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def features(sam: Sam2Model, pixels: Tensor) -> ImageFeatures:
    with torch.no_grad():
        return encode_image(sam, pixels)


@torch.no_grad()
def reference(
    sam: Sam2Model, pixels: Tensor, points: list[Any] | None, labels: list[int] | None, box: list[float] | None
) -> tuple[Tensor, Tensor]:
    """Logits (h, w) and estimate of the IoU of one object, by SAM 2 itself."""
    side = sam.config.prompt_encoder_config.image_size
    scale = torch.tensor([side / SIZE[0], side / SIZE[1]])
    candidates = sam.config.mask_decoder_config.num_multimask_outputs
    ambiguous = candidates > 0 and box is None and points is not None and len(points) == 1
    output = sam(
        pixel_values=pixels[None],
        input_points=None if points is None else (torch.tensor(points) * scale)[None, None],
        input_labels=None if points is None else torch.tensor([[labels or [1] * len(points)]]),
        input_boxes=None if box is None else (torch.tensor(box) * scale.repeat(2))[None, None],
        multimask_output=ambiguous,
    )
    best = int(output.iou_scores[0, 0].argmax())
    return output.pred_masks[0, 0, best], output.iou_scores[0, 0, best]


OBJECTS: list[tuple[list[list[float]] | None, list[int] | None, list[float] | None]] = [
    ([[10.0, 20.0]], None, None),
    ([[10.0, 20.0], [50.0, 80.0]], [1, 0], None),
    ([[30.0, 5.0]], None, None),
    ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [1, 1, 0], None),
    (None, None, [5.0, 6.0, 50.0, 70.0]),
    ([[10.0, 20.0]], None, [5.0, 6.0, 50.0, 70.0]),
]


@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("prompt", OBJECTS)
def test_one_object_is_sam_s_own(
    sam: Sam2Model, features: ImageFeatures, pixels: Tensor, prompt: tuple[Any, Any, Any], image: int
) -> None:
    found = segment_objects(sam, features, torch.tensor([image]), read_objects(*prompt, SIZE), SIZE)
    logits, iou = reference(sam, pixels[image], *prompt)
    torch.testing.assert_close(found.logits[0], logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.iou[0], iou, rtol=1e-4, atol=1e-4)


def test_objects_together_are_what_each_is_alone(sam: Sam2Model, features: ImageFeatures) -> None:
    clicked = [(points, labels or [1] * len(points)) for points, labels, box in OBJECTS if points and box is None]
    objects = read_objects([points for points, _ in clicked], [labels for _, labels in clicked], None, SIZE)
    assert objects.labels.tolist()[0] == [1, NO_CLICK, NO_CLICK]
    index = torch.tensor([0, 1, 1, 0])
    together = segment_objects(sam, features, index, objects, SIZE)
    for place, (points, labels) in enumerate(clicked):
        alone = segment_objects(sam, features, index[place : place + 1], read_objects(points, labels, None, SIZE), SIZE)
        torch.testing.assert_close(together.logits[place], alone.logits[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together.object_logit[place], alone.object_logit[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "points",
    [[[1, 2], [3, 4]], ((1, 2), (3, 4)), np.array([[1, 2], [3, 4]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
     [[[1, 2], [3, 4]]], [np.array([1, 2]), np.array([3, 4])]],
)  # fmt: skip
def test_any_kind_of_list_is_read(points: Any) -> None:
    objects = read_objects(points, None, None, SIZE)
    assert objects.points.tolist() == [[[1.0, 2.0], [3.0, 4.0]]]
    assert objects.labels.tolist() == [[1, 1]]
    assert objects.boxes is None
    assert read_objects(None, None, [1, 2, 3, 4], SIZE).boxes.tolist() == [[1.0, 2.0, 3.0, 4.0]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ((None, None, None), ValueError, "nothing to segment"),
        ((None, [1], [0, 0, 1, 1]), ValueError, "no points"),
        (("here", None, None), TypeError, "points"),
        (([1, 2], None, None), ValueError, "points"),
        (([[1, 2, 3]], None, None), ValueError, "points"),
        (([["a", "b"]], None, None), TypeError, "points"),
        (([[61, 2]], None, None), ValueError, r"x = 61 .* 60 x 90"),
        (([[1, -0.5]], None, None), ValueError, r"y = -0\.5"),
        (([[1, float("nan")]], None, None), ValueError, "nan"),
        (([], None, None), ValueError, "point"),
        (([[[1, 2]], []], None, None), ValueError, "object 2"),
        (([[1, 2]], [2], None), ValueError, "not 2"),
        (([[1, 2]], [1, 1], None), ValueError, "1 points"),
        (([[[1, 2]], [[3, 4]]], [[1]], None), ValueError, "labels"),
        ((None, None, [5, 5, 5, 9]), ValueError, "is empty"),
        ((None, None, [5, 9, 8, 5]), ValueError, "is empty"),
        ((None, None, [5, 9, 8]), ValueError, "boxes"),
        ((None, None, [0, 0, 61, 5]), ValueError, "x = 61"),
        ((None, None, 5), TypeError, "boxes"),
        (([[[1, 2]], [[3, 4]]], None, [0, 0, 5, 5]), ValueError, "2 objects but boxes of 1"),
    ],
)
def test_what_is_no_prompt_is_said(arguments: tuple[Any, Any, Any], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        read_objects(*arguments, SIZE)
