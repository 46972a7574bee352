"""SAM 2's embeddings of clicks, against its own prompt encoder."""

from __future__ import annotations

import torch

from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.clicks import cell_clicks, click_embeddings

SIDE = 32


def test_a_cells_click_is_sams_own_at_its_centre() -> None:
    sam = build_sam(nano_sam_config(SIDE))
    clicks = cell_clicks(sam, 16)
    assert clicks.shape == (16, sam.config.mask_decoder_config.hidden_size)
    own, _ = sam.prompt_encoder(torch.tensor([[[[20.0, 12.0]]]]), torch.ones(1, 1, 1, dtype=torch.int64), None, None)
    torch.testing.assert_close(clicks[1 * 4 + 2], own[0, 0, 0])  # row 1, column 2 of cells of 8 px
    torch.testing.assert_close(click_embeddings(sam, torch.tensor([[20.0, 12.0]]))[0], clicks[6])
