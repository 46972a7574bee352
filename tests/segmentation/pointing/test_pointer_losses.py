"""The losses of a pointer: where a click goes, what each loss's zero is, and values by hand."""

from __future__ import annotations

import math

import pytest
import torch

from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.bridge import decode_masks, encode_image
from perceptio.segmentation.pointing.pointer_losses import cells_loss, click_loss, click_points, objectness_loss

SIDE = 32


def masks() -> torch.Tensor:
    """A square, a ring whose centroid lies outside it, and nothing."""
    result = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
    result[0, 4:11, 10:13] = True
    result[1, 8:25, 8:25] = True
    result[1, 9:24, 9:24] = False
    return result


def test_a_click_lies_at_the_centroid_or_at_the_nearest_pixel_of_the_mask() -> None:
    points = click_points(masks())
    assert points[0].tolist() == [11, 7]
    x, y = (int(value) for value in points[1])
    assert masks()[1, y, x]
    assert (x - 16) ** 2 + (y - 16) ** 2 == 8**2  # the middle of a side
    assert points[2].tolist() == [0, 0]


def test_the_loss_is_zero_at_sams_own_embedding_of_the_click_and_leaves_empty_masks_out() -> None:
    torch.manual_seed(0)
    sam = build_sam(nano_sam_config(SIDE))
    wanted = masks()
    points = click_points(wanted[:2])
    own, _ = sam.prompt_encoder(points[:, None, None], torch.ones(2, 1, 1, dtype=torch.int64), None, None)
    prompts = torch.cat([own[:, 0, 0], torch.full((1, own.shape[-1]), 7.0)]).detach()
    assert float(click_loss(sam, prompts, wanted)) == 0
    shifted = prompts.clone().requires_grad_()
    loss = click_loss(sam, shifted + 0.5, wanted)
    torch.testing.assert_close(loss, torch.tensor(0.25))
    loss.backward()
    assert shifted.grad is not None
    assert (shifted.grad[:2] != 0).all()
    assert (shifted.grad[2] == 0).all()


def test_without_any_present_mask_it_is_zero_with_a_gradient() -> None:
    sam = build_sam(nano_sam_config(SIDE))
    for count in (0, 2):
        prompts = torch.ones(count, 128, requires_grad=True)
        loss = click_loss(sam, prompts, torch.zeros(count, SIDE, SIDE, dtype=torch.bool))
        assert float(loss.detach()) == 0
        loss.backward()


def test_a_guided_prompt_is_one_that_the_mask_decoder_takes() -> None:
    torch.manual_seed(0)
    sam = build_sam(nano_sam_config(SIDE))
    features = encode_image(sam, torch.rand(1, 3, SIDE, SIDE))
    prediction = decode_masks(sam, features, torch.zeros(2, dtype=torch.int64), torch.zeros(2, 128))
    assert prediction.logits.shape == (2, SIDE // 4, SIDE // 4)


def test_the_point_loss_by_hand() -> None:
    # the first of four cells, whole; a quarter of the second, the whole third; nothing
    covers = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.25, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    logits = torch.log(torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.25, 0.5, 0.125, 0.125], [0.9, 0.1, 0.0, 0.0]]))
    expected = (-math.log(0.7) + 0.2 * -math.log(0.5) + 0.8 * -math.log(0.125)) / 2
    assert float(cells_loss(logits, covers)) == pytest.approx(expected)


def test_the_presence_loss_by_hand() -> None:
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[0, 1, 1] = True
    logits = torch.tensor([0.75, 1.5, -2.0])
    there, no_target, refused = (math.log1p(math.exp(value)) for value in (-0.75, 1.5, -2.0))
    assert float(objectness_loss(logits, masks)) == pytest.approx(5 / 6 * there + 1 / 6 * (no_target + refused) / 2)
    assert float(objectness_loss(logits[:1], masks[:1])) == pytest.approx(there)
    assert float(objectness_loss(logits[1:], masks[1:])) == pytest.approx((no_target + refused) / 2)
    nothing = torch.zeros(0, requires_grad=True)
    objectness_loss(nothing, masks[:0]).backward()
    assert nothing.grad is not None


def test_the_point_loss_without_anything_to_point_at_is_zero_with_a_gradient() -> None:
    for count in (0, 2):
        logits = torch.ones(count, 4, requires_grad=True)
        loss = cells_loss(logits, torch.zeros(count, 4))
        assert float(loss.detach()) == 0
        loss.backward()
