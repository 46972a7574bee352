"""The small SAM 2: size, shapes and initialisation."""

from __future__ import annotations

import pytest
import torch
from transformers import Sam2Model

from perceptio.nano.small_sam import build_sam, nano_sam_config


@pytest.mark.parametrize("image_size", [96, 128, 224, 320])
def test_masks_have_a_quarter_of_the_image_side(image_size: int) -> None:
    sam = build_sam(nano_sam_config(image_size)).eval()
    with torch.no_grad():
        output = sam(torch.zeros(1, 3, image_size, image_size), input_points=torch.full((1, 1, 1, 2), 20.0))
    assert output.pred_masks.shape[-2:] == (image_size // 4, image_size // 4)


def test_nano_has_fewer_than_two_and_a_half_million_parameters() -> None:
    assert sum(p.numel() for p in build_sam(nano_sam_config()).parameters()) < 2_500_000


@pytest.mark.parametrize("image_size", [0, -32, 100, 336])
def test_sides_that_do_not_fit_the_windows_are_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        nano_sam_config(image_size)


def test_prompts_and_image_grid_share_their_fourier_features() -> None:
    sam = build_sam(nano_sam_config(64))
    prompt_features = sam.prompt_encoder.shared_embedding.positional_embedding
    assert torch.equal(prompt_features, sam.shared_image_embedding.positional_embedding)
    # so the embedding of the centre of a cell of the grid is the grid's own, up to the "positive point" vector
    point = torch.tensor([[[[23.5, 39.5]]]])  # the prompt encoder adds half a pixel: (24, 40) is cell (column 1, row 2)
    embedding, _ = sam.prompt_encoder(point, torch.ones(1, 1, 1, dtype=torch.int64), None, None)
    grid = sam.get_image_wide_positional_embeddings()
    torch.testing.assert_close(embedding[0, 0, 0] - sam.prompt_encoder.point_embed.weight[1], grid[0, :, 2, 1])


def test_position_embeddings_do_not_start_at_zero() -> None:
    backbone = build_sam(nano_sam_config(64)).vision_encoder.backbone
    assert backbone.pos_embed.std() > 0.01
    assert backbone.pos_embed_window.std() > 0.01


def test_saved_model_loads_with_the_same_masks(tmp_path) -> None:
    sam = build_sam(nano_sam_config(64)).eval()
    sam.save_pretrained(tmp_path)
    loaded = Sam2Model.from_pretrained(tmp_path).eval()
    inputs = {"pixel_values": torch.randn(1, 3, 64, 64), "input_points": torch.full((1, 1, 1, 2), 20.0)}
    with torch.no_grad():
        assert torch.equal(sam(**inputs).pred_masks, loaded(**inputs).pred_masks)
