"""The projector: its two parts apart, and that it clicks where it points."""

from __future__ import annotations

import torch

from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.projector import SegmentationProjector, cell_clicks, click_embeddings

SIDE = 32


def test_without_clicks_it_is_linear_relu_linear() -> None:
    projector = SegmentationProjector(6, 4)
    states = torch.randn(3, 6)
    first, second = projector.layers[0], projector.layers[2]
    expected = (states @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias
    prompts = projector.prompts(states, torch.full((3, 9), 1 / 9), torch.zeros(9, 4))
    torch.testing.assert_close(prompts, expected)


def test_the_click_is_the_mean_of_the_cells_under_the_attention() -> None:
    projector = SegmentationProjector(6, 4).double()
    states, visual, clicks = (torch.randn(shape, dtype=torch.float64) for shape in ((2, 6), (2, 9, 6), (9, 4)))
    logits = projector(states, visual, torch.zeros(2, 9, dtype=torch.float64))
    prompts = projector.prompts(states, projector.attention(logits), clicks)
    for row in range(2):
        state = projector.query.weight @ (states[row] / states[row].square().mean().sqrt())
        for cell in range(9):
            seen = projector.key.weight @ (visual[row, cell] / visual[row, cell].square().mean().sqrt())
            torch.testing.assert_close(logits[row, cell], state @ seen / 2, rtol=1e-5, atol=1e-5)
    attention = logits.exp() / logits.exp().sum(1, keepdim=True)
    torch.testing.assert_close(prompts - projector.layers(states), attention @ clicks)


def test_what_is_marked_counts_less_as_each_state_says() -> None:
    projector = SegmentationProjector(6, 4)
    states, visual = torch.randn(2, 6), torch.randn(2, 9, 6)
    marked = torch.rand(2, 9)
    with torch.no_grad():
        projector.inhibition.weight.normal_()
    for number, search in enumerate((projector, projector.next_cells)):
        less = search(states, visual, torch.zeros(2, 9)) - search(states, visual, marked)
        for row in range(2):
            state = states[row] / states[row].square().mean().sqrt()
            strength = projector.inhibition.weight[number] @ state + projector.inhibition.bias[number]
            torch.testing.assert_close(less[row], (1 + strength.exp()).log() * marked[row], rtol=1e-4, atol=1e-5)


def test_at_first_what_is_marked_counts_less_by_eight() -> None:
    projector = SegmentationProjector(6, 4)
    states, visual = torch.randn(1, 6), torch.randn(1, 4, 6)
    marked = torch.tensor([[1.0, 0.5, 0.0, 0.0]])
    less = projector(states, visual, torch.zeros(1, 4)) - projector(states, visual, marked)
    torch.testing.assert_close(less, 8 * marked, rtol=1e-3, atol=1e-3)


def test_in_use_it_keeps_near_its_best_cell() -> None:
    projector = SegmentationProjector(6, 4)
    logits = torch.randn(2, 36)
    logits[0, 2 * 6 + 1], logits[1, 5 * 6 + 5] = 9, 9  # row 2 and column 1 of six; the last corner
    torch.testing.assert_close(projector.attention(logits), logits.softmax(-1))
    expected = logits.exp().double().reshape(2, 6, 6)
    expected[0, 5:] = expected[0, :, 4:] = 0
    expected[1, :3] = expected[1, :, :3] = 0
    expected = (expected.flatten(1) / expected.sum((1, 2))[:, None]).float()
    torch.testing.assert_close(projector.eval().attention(logits), expected)


def test_where_another_is_meant_attention_leaves_it_out() -> None:
    projector = SegmentationProjector(6, 4)
    logits, others = torch.randn(1, 4), torch.tensor([[0.0, 1.0, 0.5, 0.0]])
    share = logits.exp() * torch.tensor([[1.0, 1e-4, 0.5, 1.0]])
    torch.testing.assert_close(projector.attention(logits, others), share / share.sum())


def test_what_is_told_is_half_as_loud_as_the_picture_and_has_the_direction_of_what_is_there() -> None:
    projector = SegmentationProjector(6, 4)
    weights, visual = torch.tensor([[0.0, 1.0], [0.25, 0.75], [0.0, 0.0]]), 30 * torch.randn(3, 2, 6)
    told = projector.told(weights, visual)
    for row, mean in enumerate((visual[0, 1], 0.25 * visual[1, 0] + 0.75 * visual[1, 1])):
        loudness = 0.5 * visual[row].square().mean().sqrt()
        torch.testing.assert_close(told[row], loudness * mean / mean.square().mean().sqrt())
    assert told[2].abs().max() == 0


def test_what_stands_out_from_the_cells_is_there() -> None:
    projector = SegmentationProjector(6, 4)
    assert projector.presence.tolist() == [1, 1]  # half of the square root of 4
    with torch.no_grad():
        projector.presence.copy_(torch.tensor([2.0, 3.0]))
    logits = torch.tensor([[0.0, 8.0, 1.0], [5.0, 5.0, 5.0]])
    torch.testing.assert_close(projector.presence_logits(logits), torch.tensor([2 * (8 - 3.0 - 3), 2 * (0 - 3.0)]))
    assert SegmentationProjector(6, 4, pointing=False).presence_logits(logits).tolist() == [torch.inf, torch.inf]


def test_a_fresh_projector_points_at_what_is_like_the_state() -> None:
    torch.manual_seed(0)
    visual = torch.randn(5, 16, 32)
    states = 3 * visual[torch.arange(5), torch.tensor([0, 3, 15, 7, 8])]
    logits = SegmentationProjector(32, 32)(states, visual, torch.zeros(5, 16))
    assert logits.argmax(1).tolist() == [0, 3, 15, 7, 8]


def test_a_cells_click_is_sams_own_at_its_centre() -> None:
    sam = build_sam(nano_sam_config(SIDE))
    clicks = cell_clicks(sam, 16)
    assert clicks.shape == (16, sam.config.mask_decoder_config.hidden_size)
    own, _ = sam.prompt_encoder(torch.tensor([[[[20.0, 12.0]]]]), torch.ones(1, 1, 1, dtype=torch.int64), None, None)
    torch.testing.assert_close(clicks[1 * 4 + 2], own[0, 0, 0])  # row 1, column 2 of cells of 8 px
    torch.testing.assert_close(click_embeddings(sam, torch.tensor([[20.0, 12.0]]))[0], clicks[6])
