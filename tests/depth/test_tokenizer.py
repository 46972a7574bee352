"""The VQ-VAE: codes are nearest vectors, decoding is what training reconstructs, files hold all of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.metrics import perplexity
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.depth.vqvae import level_widths

TINY = DepthTokenizerConfig(image_size=32, downsample=8, codes=12, code_dim=6, width=24, blocks=1)


def maps_of(count: int, seed: int = 0) -> Tensor:
    """Smooth random maps (B, 1, 32, 32) in [-1, 1]."""
    noise = torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (32, 32), mode="bicubic").clamp(-1, 1)


@pytest.fixture(scope="module")
def tokenizer() -> DepthTokenizer:
    """Random weights and a codebook that k-means found in one batch; no test may change it."""
    torch.manual_seed(0)
    model = DepthTokenizer(TINY)
    model.train()(maps_of(16))
    return model.eval()


def test_defaults_are_the_parent_s():
    parent = DepthTokenizerConfig()
    assert (parent.image_size, parent.grid, parent.codes, parent.code_dim) == (320, 10, 128, 512)
    assert parent.tokens_per_map == 100


@pytest.mark.parametrize(("size", "downsample"), [(320, 24), (100, 32), (320, 1), (320, 0), (320, -2)])
def test_downsampling_that_does_not_fit_is_refused(size, downsample):
    with pytest.raises(ValueError, match=f"downsample must be .*, not {downsample}"):
        DepthTokenizerConfig(image_size=size, downsample=downsample)


def test_channels_halve_towards_the_fine_end():
    assert level_widths(DepthTokenizerConfig()) == [32, 64, 128, 256, 512]
    assert level_widths(TINY) == [16, 16, 24]


@pytest.mark.parametrize("downsample", [2, 4, 16])
def test_grids_of_any_power_of_two(downsample):
    config = DepthTokenizerConfig(image_size=32, downsample=downsample, codes=5, code_dim=3, width=16, blocks=1)
    model = DepthTokenizer(config).eval()
    model.quantizer._codebook.embed.normal_()
    codes = model.encode(maps_of(2))
    assert codes.shape == (2, (32 // downsample) ** 2)
    assert model.decode(codes).shape == (2, 1, 32, 32)


def test_forward_shapes_and_losses(tokenizer):
    maps = maps_of(3, seed=1)
    found = tokenizer(maps)
    assert found["reconstruction"].shape == (3, 1, 32, 32)
    assert found["codes"].shape == (3, 16)
    error = ((found["reconstruction"] - maps).double() ** 2).mean().item()
    assert found["losses"]["reconstruction"].item() == pytest.approx(error, rel=1e-5)
    total = found["losses"]["reconstruction"] + found["losses"]["commitment"]
    assert found["loss"].item() == pytest.approx(total.item(), rel=1e-6)
    counts = found["codes"].flatten().bincount(minlength=16).numpy()
    assert found["losses"]["perplexity"].item() == pytest.approx(perplexity(counts), rel=1e-5)


def test_commitment_is_a_quarter_of_the_distance_to_the_codes():
    torch.manual_seed(1)
    model = DepthTokenizer(TINY).train()
    model(maps_of(16))  # k-means
    maps = maps_of(4, seed=2)
    with torch.no_grad():
        latents = model.encoder(maps).flatten(2).transpose(1, 2)
    before = model.codebook.clone()
    found = model(maps)
    assert not torch.equal(before, model.codebook)  # the moving average moved
    squared = ((latents - before[found["codes"]]).double() ** 2).mean().item()
    assert found["losses"]["commitment"].item() == pytest.approx(0.25 * squared, rel=1e-4)


def test_codes_are_the_nearest_vectors_in_raster_order(tokenizer):
    maps = maps_of(4, seed=2)
    codes = tokenizer.encode(maps)
    assert codes.dtype == torch.int64
    with torch.no_grad():
        latents = tokenizer.encoder(maps).double()
    codebook = tokenizer.codebook.double()
    for b in range(4):
        for row in range(4):
            for column in range(4):
                distances = [((latents[b, :, row, column] - code) ** 2).sum().item() for code in codebook]
                assert distances[codes[b, 4 * row + column]] == pytest.approx(min(distances), rel=1e-5)
    assert len(codes.unique()) > 3


def test_decoding_the_codes_is_the_reconstruction(tokenizer):
    maps = maps_of(4, seed=3)
    codes = tokenizer.encode(maps)
    found = tokenizer(maps)
    assert torch.equal(codes, found["codes"])
    torch.testing.assert_close(tokenizer.decode(codes), found["reconstruction"])
    torch.testing.assert_close(tokenizer.decode(codes), tokenizer.decode_vectors(tokenizer.codebook[codes]))


def test_maps_are_encoded_and_decoded_one_by_one_as_in_a_batch(tokenizer):
    maps = maps_of(3, seed=4)
    codes = tokenizer.encode(maps)
    decoded = tokenizer.decode(codes)
    for k in range(3):
        assert torch.equal(tokenizer.encode(maps[k : k + 1])[0], codes[k])
        torch.testing.assert_close(tokenizer.decode(codes[k : k + 1])[0], decoded[k], atol=1e-5, rtol=1e-4)


def test_code_acts_where_it_stands(tokenizer):
    codes = tokenizer.encode(maps_of(1, seed=5))
    other = codes.clone()
    other[0, 4 * 0 + 3] = (other[0, 3] + 1) % TINY.codes  # top right
    change = (tokenizer.decode(other) - tokenizer.decode(codes)).abs()[0, 0]
    assert change[:8, 24:].mean() > 2 * change[24:, :8].mean()


def test_gradients_reach_vectors_that_are_mixtures_of_codes(tokenizer):
    weights = torch.randn(2, 16, TINY.codes, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = maps_of(2, seed=6)

    def loss_of(values: Tensor) -> Tensor:
        vectors = torch.softmax(values, -1) @ tokenizer.codebook
        return ((tokenizer.decode_vectors(vectors) - target) ** 2).sum()

    (gradient,) = torch.autograd.grad(loss_of(weights), weights)
    direction = torch.randn(weights.shape, generator=torch.Generator().manual_seed(1))
    step = 1e-2
    with torch.no_grad():
        slope = (loss_of(weights + step * direction) - loss_of(weights - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=0.02, abs=1e-3)
    assert gradient.abs().sum((0, 2)).min() > 0  # every position counts


def test_encoding_leaves_the_codebook_alone(tokenizer):
    before = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    tokenizer.encode(maps_of(8, seed=7))
    tokenizer(maps_of(8, seed=7))
    for name, value in tokenizer.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_files_hold_everything(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = DepthTokenizer.from_pretrained(tmp_path).eval()
    for name in ("image_size", "downsample", "codes", "code_dim", "width", "blocks", "decay", "commitment"):
        assert getattr(again.config, name) == getattr(TINY, name)
    for name, value in tokenizer.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    maps = maps_of(2, seed=8)
    assert torch.equal(again.encode(maps), tokenizer.encode(maps))
    torch.testing.assert_close(again(maps)["reconstruction"], tokenizer(maps)["reconstruction"])


@pytest.mark.parametrize("shape", [(2, 1, 32, 16), (2, 3, 32, 32), (2, 32, 32), (2, 1, 64, 64)])
def test_maps_of_another_shape_are_refused(tokenizer, shape):
    with pytest.raises(ValueError, match=r"must have the shape \(B, 1, 32, 32\)"):
        tokenizer.encode(torch.zeros(shape))


def test_bfloat16_decodes_close_to_float32(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    half = DepthTokenizer.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    codes = tokenizer.encode(maps_of(2, seed=9))
    decoded = half.decode(codes)
    assert decoded.dtype == torch.bfloat16
    expected = tokenizer.decode(codes)
    assert (decoded.float() - expected).abs().max() < 0.05 * expected.abs().max() + 0.01
    assert half.encode(maps_of(2, seed=9)).shape == (2, 16)


def test_training_learns_a_handful_of_maps():
    torch.manual_seed(0)
    model = DepthTokenizer(TINY).train()
    maps = maps_of(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        model(maps)["loss"].backward()
        optimizer.step()
    model.eval()
    error = ((model.decode(model.encode(maps)) - maps) ** 2).mean()
    assert error < 0.35 * maps.var()  # the mean map alone leaves all of the variance
