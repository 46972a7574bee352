"""Prompts of any origin through SAM 2's decoder, against SAM 2's own forward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import Sam2Model

from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.bridge import decode_masks, encode_image
from perceptio.segmentation.projector import SegmentationProjector

SIDE = 64


@pytest.fixture
def sam() -> Sam2Model:
    torch.manual_seed(0)
    model = build_sam(nano_sam_config(SIDE))
    with torch.no_grad():  # larger logits, so that a wrong feature shows
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    return model


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def prompts(sam: Sam2Model) -> Tensor:
    width = sam.config.mask_decoder_config.hidden_size
    return torch.randn(5, width, generator=torch.Generator().manual_seed(2))


def test_point_prompts_give_what_sam_itself_gives(sam: Sam2Model, pixels: Tensor) -> None:
    points = torch.rand(3, 2, 1, 2) * SIDE
    labels = torch.ones(3, 2, 1, dtype=torch.int64)
    expected = sam(pixels, input_points=points, input_labels=labels, multimask_output=False)
    sparse, _ = sam.prompt_encoder(points, labels, None, None)
    found = decode_masks(sam, encode_image(sam, pixels), torch.arange(3).repeat_interleave(2), sparse.flatten(0, 1))
    assert found.logits.std() > 0.01
    torch.testing.assert_close(found.logits, expected.pred_masks.flatten(0, 2))
    torch.testing.assert_close(found.iou, expected.iou_scores.flatten())
    torch.testing.assert_close(found.object_logit, expected.object_score_logits.flatten())


@torch.no_grad()
def test_padded_prompts_are_sams_own_for_no_click_and_the_best_of_three_counts(pixels: Tensor) -> None:
    torch.manual_seed(0)
    config = nano_sam_config(SIDE)
    config.mask_decoder_config.num_multimask_outputs = 3
    sam = build_sam(config).eval()
    for parameter in sam.parameters():
        parameter.mul_(3 if parameter.dim() > 1 else 1)
    nowhere, unlabelled = torch.zeros(3, 1, 1, 2), torch.full((3, 1, 1), -1)
    expected = sam(pixels, input_points=nowhere, input_labels=unlabelled, multimask_output=True)
    nothing = torch.empty(3, 0, config.mask_decoder_config.hidden_size)
    found = decode_masks(sam, encode_image(sam, pixels), torch.arange(3), nothing, padded=True)
    for row in range(3):
        scores = expected.iou_scores[row, 0]
        assert len(scores) == 3
        torch.testing.assert_close(found.iou[row], scores.max())
        torch.testing.assert_close(found.logits[row], expected.pred_masks[row, 0, scores.argmax()])
    prompts = torch.randn(3, 1, config.mask_decoder_config.hidden_size)
    alone = decode_masks(sam, encode_image(sam, pixels), torch.arange(3), prompts, padded=True)
    assert not torch.allclose(alone.logits, found.logits, atol=1e-2)  # the prompt stands beside them


def test_gradients_reach_prompts_and_decoder_but_not_the_image_encoder(
    sam: Sam2Model, pixels: Tensor, prompts: Tensor
) -> None:
    prompts.requires_grad_(True)
    prediction = decode_masks(sam, encode_image(sam, pixels), torch.tensor([0, 1, 1, 2, 0]), prompts)
    (prediction.logits.square().mean() + prediction.iou.mean() + prediction.object_logit.mean()).backward()
    assert all(parameter.grad is None for parameter in sam.vision_encoder.parameters())
    assert prompts.grad is not None
    assert prompts.grad.abs().sum(1).min() > 0
    for name, parameter in sam.mask_decoder.named_parameters():
        assert parameter.grad is not None, name
    assert sam.mask_decoder.conv_s0.weight.grad.abs().sum() > 0
    assert sam.mask_decoder.conv_s1.weight.grad.abs().sum() > 0


def test_unfrozen_image_encoder_trains(sam: Sam2Model, pixels: Tensor, prompts: Tensor) -> None:
    features = encode_image(sam, pixels, frozen=False)
    decode_masks(sam, features, torch.zeros(5, dtype=torch.int64), prompts).logits.square().mean().backward()
    assert sam.vision_encoder.backbone.patch_embed.projection.weight.grad.abs().sum() > 0


def test_no_gradients_under_no_grad_even_if_unfrozen(sam: Sam2Model, pixels: Tensor) -> None:
    with torch.no_grad():
        assert not encode_image(sam, pixels, frozen=False).embedding.requires_grad


def test_each_mask_alone_equals_the_batch(sam: Sam2Model, pixels: Tensor, prompts: Tensor) -> None:
    index = torch.tensor([2, 0, 1, 1, 2])
    with torch.no_grad():
        together = decode_masks(sam, encode_image(sam, pixels), index, prompts)
        for row, image in enumerate(index.tolist()):
            features = encode_image(sam, pixels[image : image + 1])
            alone = decode_masks(sam, features, torch.zeros(1, dtype=torch.int64), prompts[row : row + 1])
            torch.testing.assert_close(together.logits[row], alone.logits[0], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(together.iou[row], alone.iou[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together.logits[0], together.logits[4], atol=1e-2)  # same image, other prompt


def test_image_index_chooses_the_image(sam: Sam2Model, pixels: Tensor, prompts: Tensor) -> None:
    same = prompts[:1].expand(3, -1)
    with torch.no_grad():
        features = encode_image(sam, pixels)
        ordered = decode_masks(sam, features, torch.tensor([0, 1, 2]), same).logits
        shuffled = decode_masks(sam, features, torch.tensor([2, 0, 1]), same).logits
    torch.testing.assert_close(shuffled, ordered[[2, 0, 1]])
    assert not torch.allclose(ordered[0], ordered[1], atol=1e-2)


def test_no_prompts_give_no_masks_and_zero_gradients_everywhere(sam: Sam2Model, pixels: Tensor) -> None:
    width = sam.config.mask_decoder_config.hidden_size
    projector = SegmentationProjector(8, width)
    states = torch.zeros(0, 8)
    none = projector(states)
    prediction = decode_masks(sam, encode_image(sam, pixels), torch.zeros(0, dtype=torch.int64), none)
    assert prediction.logits.shape == (0, SIDE // 4, SIDE // 4)
    assert prediction.iou.shape == prediction.object_logit.shape == (0,)
    (prediction.logits.sum() + prediction.iou.sum() + prediction.object_logit.sum()).backward()
    for name, parameter in [*sam.mask_decoder.named_parameters(), *projector.named_parameters()]:
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_no_prompts_at_inference(sam: Sam2Model, pixels: Tensor, prompts: Tensor) -> None:
    with torch.no_grad():
        prediction = decode_masks(sam, encode_image(sam, pixels), torch.zeros(0, dtype=torch.int64), prompts[:0])
    assert prediction.logits.shape == (0, SIDE // 4, SIDE // 4)


def test_autocast_outside_changes_nothing(sam: Sam2Model, pixels: Tensor, prompts: Tensor) -> None:
    index = torch.tensor([0, 1, 1, 2, 0])
    with torch.no_grad():
        expected = decode_masks(sam, encode_image(sam, pixels), index, prompts)
        with torch.autocast("cpu", torch.bfloat16):
            found = decode_masks(sam, encode_image(sam, pixels), index, prompts)
    assert found.logits.dtype == torch.float32
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.iou, expected.iou)


def test_bfloat16_weights_take_float32_prompts(sam: Sam2Model, pixels: Tensor, prompts: Tensor) -> None:
    sam = sam.to(torch.bfloat16)
    with torch.no_grad():
        prediction = decode_masks(sam, encode_image(sam, pixels), torch.tensor([0, 1, 1, 2, 0]), prompts)
    assert prediction.logits.dtype == prediction.iou.dtype == torch.float32
    assert prediction.logits.isfinite().all()


def test_mismatched_index_is_refused(sam: Sam2Model, pixels: Tensor, prompts: Tensor) -> None:
    with pytest.raises(ValueError, match="5 prompts"):
        decode_masks(sam, encode_image(sam, pixels), torch.zeros(4, dtype=torch.int64), prompts)
