"""Each loss against a value computed by hand or in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from perceptio.model import objectives

V = 7  # vocabulary: 0..2 words, 3 START, 4 END, 5 and 6 codes
MARKERS = torch.tensor([3, 4])
CODES = torch.tensor([5, 6])


def logits_of(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).log()


def test_text_loss_is_the_weighted_mean_of_negative_log_probabilities() -> None:
    logits = logits_of([0.5, 0.25, 0.25, 0, 0, 0, 0], [0.1, 0.8, 0.1, 0, 0, 0, 0]).clamp(min=-60)
    loss = objectives.text_loss(logits, torch.tensor([0, 1]), torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * math.log(2) - math.log(0.8)) / 4, rel=1e-5)


def test_text_loss_without_weight_is_zero_and_keeps_a_gradient_path() -> None:
    logits = torch.randn(2, V, requires_grad=True)
    loss = objectives.text_loss(logits, torch.tensor([0, 1]), torch.zeros(2))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None


def test_marker_loss_sums_the_cost_of_due_markers_and_of_markers_inside() -> None:
    # two positions owe a marker, one owes a code and gives 0.3 to the markers
    logits = logits_of(
        [0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2], [0.1, 0.1, 0.1, 0.2, 0.1, 0.2, 0.2]
    )
    targets = torch.tensor([3, 4, 5])
    loss = objectives.marker_loss(logits, targets, MARKERS, torch.tensor([False, False, True]))
    assert loss.item() == pytest.approx((-math.log(0.4) - math.log(0.2)) / 2 - math.log(0.7), rel=1e-5)


def test_token_loss_is_cross_entropy_at_code_positions_only() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(6, V), torch.tensor([0, 3, 5, 6, 4, 1])
    inside = torch.tensor([False, False, True, True, False, False])
    reference = F.cross_entropy(logits[2:4].double(), targets[2:4])
    assert objectives.token_loss(logits, targets, inside).item() == pytest.approx(reference.item(), rel=1e-6)


def test_span_losses_are_zero_without_a_span_even_beside_infinite_logits() -> None:
    logits = torch.zeros(2, V)
    logits[0, 5] = -torch.inf
    nowhere = torch.zeros(2, dtype=torch.bool)
    targets = torch.tensor([0, 1])
    assert objectives.token_loss(logits, targets, nowhere).item() == 0
    assert objectives.marker_loss(logits, targets, MARKERS, nowhere).item() == 0


def test_count_loss_squares_the_relative_error_of_the_expected_count() -> None:
    # answer 0 owes N = 2 codes and expects 0.4 + 0.8; answer 1 owes none and expects 0.2
    mass = [0.4, 0.8, 0.2]
    rows = [[(1 - m) / 5] * 5 + [m / 2] * 2 for m in mass]
    loss = objectives.count_loss(
        logits_of(*rows), CODES, torch.tensor([0, 0, 1]), torch.tensor([True, False]), tokens_per_map=2
    )
    assert loss.item() == pytest.approx((((1.2 - 2) / 2) ** 2 + (0.2 / 2) ** 2) / 2, rel=1e-5)


def test_soft_merge_is_the_expectation_over_the_codebook_in_float64() -> None:
    torch.manual_seed(0)
    logits, codebook = torch.randn(2, 5, 4), torch.randn(4, 3)
    reference = ((logits.double() / 1.25).softmax(-1)[..., None] * codebook.double()).sum(-2)
    torch.testing.assert_close(objectives.soft_merge(logits, codebook, 1.25).double(), reference, rtol=1e-5, atol=1e-6)


def test_soft_merge_at_low_temperature_is_hard_decoding() -> None:
    torch.manual_seed(0)
    logits, codebook = torch.randn(2, 5, 4), torch.randn(4, 3)
    torch.testing.assert_close(objectives.soft_merge(logits, codebook, 1e-4), codebook[logits.argmax(-1)])


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_soft_merge_refuses_a_temperature_that_is_not_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        objectives.soft_merge(torch.zeros(1, 2), torch.zeros(2, 3), temperature)


def test_reconstruction_loss_compares_decoded_merged_vectors_with_the_map() -> None:
    codebook = torch.tensor([[1.0], [-1.0]])
    logits = torch.tensor([[[0.0, 0.0], [100.0, 0.0]]])  # merged vectors 0 and 1
    maps = torch.tensor([[[[0.5, 0.5]]]])
    loss = objectives.reconstruction_loss(logits, codebook, lambda vectors: vectors.transpose(1, 2)[:, None], maps)
    assert loss.item() == pytest.approx((0.5**2 + 0.5**2) / 2, rel=1e-5)


def test_reconstruction_loss_of_no_span_is_zero() -> None:
    empty = torch.zeros(0, 2, 2, requires_grad=True)
    loss = objectives.reconstruction_loss(empty, torch.zeros(2, 1), lambda vectors: vectors, torch.zeros(0, 1, 2, 2))
    loss.backward()
    assert loss.item() == 0
