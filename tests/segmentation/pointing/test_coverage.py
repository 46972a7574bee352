"""What is covered and what is left at each `[SEG]`, by hand and against a loop."""

from __future__ import annotations

import pytest
import torch

from perceptio.segmentation.pointing.coverage import as_shares, cell_cover, coverage


def strip(*columns: int) -> torch.Tensor:
    """(8, 8) bool with some columns of the upper half filled; of four cells they cover parts of the upper two."""
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4, list(columns)] = True
    return mask


def test_the_cover_of_cells_by_hand() -> None:
    covers = cell_cover(torch.stack([strip(0), strip(2, 3, 4), strip()]), 4)
    assert covers.tolist() == [[0.25, 0, 0, 0], [0.5, 0.25, 0, 0], [0, 0, 0, 0]]
    assert cell_cover(torch.zeros(0, 8, 8, dtype=torch.bool), 4).shape == (0, 4)
    torch.testing.assert_close(as_shares(covers), torch.tensor([[1.0, 0, 0, 0], [2 / 3, 1 / 3, 0, 0], [0, 0, 0, 0]]))


def test_of_a_list_that_one_phrase_names_all_that_is_left_may_be_pointed_at() -> None:
    masks = torch.stack([strip(0), strip(1, 2), strip(6)])
    found = coverage(masks, 4, torch.tensor([5, 5, 5]), torch.tensor([0, 0, 0]))
    assert found.own[:, :2].tolist() == [[0.25, 0], [0.5, 0], [0, 0.25]]
    assert found.covered[:, :2].tolist() == [[0, 0], [0.25, 0], [0.75, 0]]
    assert found.others[:, :2].tolist() == [[0.5, 0.25], [0, 0.25], [0, 0]]
    assert found.following[:, :2].tolist() == [[0.5, 0.25], [0, 0.25], [0, 0]]
    assert found.wanted[:, :2].tolist() == [[0.75, 0.25], [0.5, 0.25], [0, 0.25]]
    assert found.covered_after[:, :2].tolist() == [[0.25, 0], [0.75, 0], [0.75, 0.25]]


def test_with_phrases_of_their_own_each_has_its_object_and_the_next_one_comes_next() -> None:
    masks = torch.stack([strip(0), strip(1, 2), strip(6)])
    found = coverage(masks, 4, torch.tensor([5, 5, 5]), torch.tensor([0, 1, 2]))
    assert found.covered[:, :2].tolist() == [[0, 0], [0.25, 0], [0.75, 0]]
    assert not found.others.any()
    assert found.following[:, :2].tolist() == [[0.5, 0], [0, 0.25], [0, 0]]


def test_of_two_kinds_all_that_is_left_of_one_then_any_of_the_other() -> None:
    masks = torch.stack([strip(0), strip(1, 2), strip(4), strip(6)])
    found = coverage(masks, 4, torch.tensor([5, 5, 5, 5]), torch.tensor([0, 0, 2, 2]))
    assert found.others[:, :2].tolist() == [[0.5, 0], [0, 0], [0, 0.25], [0, 0]]
    assert found.following[:, :2].tolist() == [[0.5, 0], [0, 0.5], [0, 0.25], [0, 0]]


@pytest.mark.parametrize("autocast", [False, True])
def test_several_answers_equal_a_loop_over_their_masks(autocast: bool) -> None:
    torch.manual_seed(0)
    masks = torch.rand(9, 8, 8) < 0.2  # they overlap: what two cover counts twice, up to the whole cell
    answers = torch.tensor([0, 0, 1, 2, 2, 2, 3, 3, 3])
    interchangeable = torch.tensor([0, 1, 0, 0, 0, 0, 0, 1, 2])
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = coverage(masks, 16, answers, interchangeable)
    own = masks.float().reshape(9, 4, 2, 4, 2).mean((2, 4)).flatten(1)
    nothing = torch.zeros(16)
    for one in range(9):
        before = [own[k] for k in range(one) if answers[k] == answers[one]]
        after = [own[k] for k in range(one + 1, 9) if answers[k] == answers[one]]
        others = after if answers[one] == 2 else []
        expected = {
            "own": own[one],
            "covered": sum(before, nothing).clamp(max=1),
            "others": sum(others, nothing).clamp(max=1),
            "following": sum(others or after[:1], nothing).clamp(max=1),
            "wanted": sum(others, own[one]).clamp(max=1),
            "covered_after": sum(before, own[one]).clamp(max=1),
        }
        for name, value in expected.items():
            torch.testing.assert_close(getattr(found, name)[one], value)
        assert torch.equal(found.of(torch.tensor([one])).covered[0], found.covered[one])
