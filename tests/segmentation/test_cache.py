"""Features from the disk are those of the encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import Sam2Model

from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.bridge import encode_image
from perceptio.segmentation.cache import FeatureCache, Levels


@pytest.fixture(scope="module")
def sam() -> Sam2Model:
    torch.manual_seed(0)
    return build_sam(nano_sam_config(128)).eval()


def pictures(count: int) -> Tensor:
    return torch.randn(count, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def test_found_or_not_features_are_the_encoders_but_for_rounding(sam: Sam2Model, tmp_path: Path) -> None:
    cache, pixels = FeatureCache(tmp_path, sam.vision_encoder), pictures(2)
    plain = encode_image(sam, pixels)
    first, second = (encode_image(sam, pixels, cache=cache) for _ in range(2))
    assert torch.equal(first.embedding, second.embedding)
    assert all(map(torch.equal, first.high_resolution, second.high_resolution))
    torch.testing.assert_close(first.embedding, plain.embedding, rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(first.high_resolution[0], plain.high_resolution[0], rtol=2e-3, atol=5e-3)


def test_only_pictures_that_are_not_there_are_encoded(sam: Sam2Model, tmp_path: Path) -> None:
    seen: list[int] = []

    def encode(images: Tensor) -> Levels:
        seen.append(len(images))
        fine, middle, coarse = sam.vision_encoder(images).fpn_hidden_states
        return fine, middle, coarse

    cache, pixels = FeatureCache(tmp_path, sam.vision_encoder), pictures(3)
    cache.levels(pixels[:2], encode)
    mixed = cache.levels(pixels.flip(0), encode)
    assert seen == [2, 1]
    again = cache.levels(pixels, encode)
    assert seen == [2, 1]
    for one, other in zip(mixed, again, strict=True):
        assert torch.equal(one.flip(0), other)


def test_other_weights_have_other_features(sam: Sam2Model, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = build_sam(nano_sam_config(128))
    assert FeatureCache(tmp_path, other.vision_encoder).folder != FeatureCache(tmp_path, sam.vision_encoder).folder


def test_the_decoders_own_convolutions_still_learn(sam: Sam2Model, tmp_path: Path) -> None:
    features = encode_image(sam, pictures(1), cache=FeatureCache(tmp_path, sam.vision_encoder))
    features.high_resolution[0].sum().backward()
    assert sam.mask_decoder.conv_s0.weight.grad is not None
    sam.zero_grad()
