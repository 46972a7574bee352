"""The pointer by hand: its searches, the click where it points, coverage, objectness and the region feature."""

from __future__ import annotations

import torch

from perceptio.segmentation.pointing.pointer import Pointer


def test_the_click_is_the_mean_of_the_cells_under_the_attention() -> None:
    pointer = Pointer(6, 4)
    states, visual, clicks = (torch.randn(shape) for shape in ((2, 6), (2, 9, 6), (9, 4)))
    logits = pointer.cells(states, visual, torch.zeros(2, 9))
    pointed = pointer.pointed(logits, clicks)
    for row in range(2):
        state = pointer.query.weight @ (states[row] / states[row].square().mean().sqrt())
        for cell in range(9):
            seen = pointer.key.weight @ (visual[row, cell] / visual[row, cell].square().mean().sqrt())
            torch.testing.assert_close(logits[row, cell], state @ seen / 2, rtol=1e-5, atol=1e-5)
    attention = logits.exp() / logits.exp().sum(1, keepdim=True)
    torch.testing.assert_close(pointed.clicks, attention @ clicks)


def test_what_is_covered_counts_less_as_each_state_says() -> None:
    pointer = Pointer(6, 4)
    states, visual = torch.randn(2, 6), torch.randn(2, 9, 6)
    covered = torch.rand(2, 9)
    with torch.no_grad():
        pointer.inhibition.weight.normal_()
    for number, search in enumerate((pointer.cells, pointer.next_cells)):
        less = search(states, visual, torch.zeros(2, 9)) - search(states, visual, covered)
        for row in range(2):
            state = states[row] / states[row].square().mean().sqrt()
            strength = pointer.inhibition.weight[number] @ state + pointer.inhibition.bias[number]
            torch.testing.assert_close(less[row], (1 + strength.exp()).log() * covered[row], rtol=1e-4, atol=1e-5)


def test_at_first_what_is_covered_counts_less_by_eight() -> None:
    pointer = Pointer(6, 4)
    states, visual = torch.randn(1, 6), torch.randn(1, 4, 6)
    covered = torch.tensor([[1.0, 0.5, 0.0, 0.0]])
    less = pointer.cells(states, visual, torch.zeros(1, 4)) - pointer.cells(states, visual, covered)
    torch.testing.assert_close(less, 8 * covered, rtol=1e-3, atol=1e-3)


def test_in_use_it_keeps_near_its_best_cell() -> None:
    pointer = Pointer(6, 4)
    logits = torch.randn(2, 36)
    logits[0, 2 * 6 + 1], logits[1, 5 * 6 + 5] = 9, 9  # row 2 and column 1 of six; the last corner
    torch.testing.assert_close(pointer.attention(logits), logits.softmax(-1))
    expected = logits.exp().double().reshape(2, 6, 6)
    expected[0, 5:] = expected[0, :, 4:] = 0
    expected[1, :3] = expected[1, :, :3] = 0
    expected = (expected.flatten(1) / expected.sum((1, 2))[:, None]).float()
    torch.testing.assert_close(pointer.eval().attention(logits), expected)


def test_where_another_is_meant_attention_leaves_it_out() -> None:
    pointer = Pointer(6, 4)
    logits, others = torch.randn(1, 4), torch.tensor([[0.0, 1.0, 0.5, 0.0]])
    share = logits.exp() * torch.tensor([[1.0, 1e-4, 0.5, 1.0]])
    torch.testing.assert_close(pointer.attention(logits, others), share / share.sum())


def test_a_region_feature_is_half_as_large_as_the_pictures_tokens_and_has_the_direction_of_what_is_there() -> None:
    pointer = Pointer(6, 4)
    weights, visual = torch.tensor([[0.0, 1.0], [0.25, 0.75], [0.0, 0.0]]), 30 * torch.randn(3, 2, 6)
    features = pointer.region_features(weights, visual)
    for row, mean in enumerate((visual[0, 1], 0.25 * visual[1, 0] + 0.75 * visual[1, 1])):
        size = 0.5 * visual[row].square().mean().sqrt()
        torch.testing.assert_close(features[row], size * mean / mean.square().mean().sqrt())
    assert features[2].abs().max() == 0


def test_what_stands_out_from_the_cells_is_there() -> None:
    pointer = Pointer(6, 4)
    assert pointer.objectness.tolist() == [1, 1]  # half of the square root of 4
    with torch.no_grad():
        pointer.objectness.copy_(torch.tensor([2.0, 3.0]))
    logits = torch.tensor([[0.0, 8.0, 1.0], [5.0, 5.0, 5.0]])
    torch.testing.assert_close(pointer.objectness_logits(logits), torch.tensor([2 * (8 - 3.0 - 3), 2 * (0 - 3.0)]))


def test_a_fresh_pointer_points_at_what_is_like_the_state() -> None:
    torch.manual_seed(0)
    visual = torch.randn(5, 16, 32)
    states = 3 * visual[torch.arange(5), torch.tensor([0, 3, 15, 7, 8])]
    logits = Pointer(32, 32).cells(states, visual, torch.zeros(5, 16))
    assert logits.argmax(1).tolist() == [0, 3, 15, 7, 8]
