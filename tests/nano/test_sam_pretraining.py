"""Prompts drawn from instance maps, and SAM 2 learning from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perceptio.nano.sam_pretraining import SamPretraining, collate, prompted_masks
from perceptio.nano.sam_prompts import box_around, draw_prompts, point_in
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.losses import PointSampling

SIDE = 64


def blocks(seed: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Three coloured rectangles on grey."""
    rng = np.random.default_rng(seed)
    rgb = np.full((side, side, 3), 90, dtype=np.uint8)
    ids = np.zeros((side, side), dtype=np.uint8)
    for instance in (1, 2, 3):
        (x, y), (w, h) = rng.integers(0, side * 2 // 3, 2), rng.integers(side // 5, side // 3, 2)
        rgb[y : y + h, x : x + w] = rng.integers(0, 256, 3)
        ids[y : y + h, x : x + w] = instance
    return rgb, ids


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("side", [SIDE, 96])
def test_points_and_boxes_fit_their_instances(mirror: bool, side: int) -> None:
    for seed in range(20):
        item = draw_prompts(*blocks(seed, side), SIDE, prompts=4, seed=seed, mirror=mirror)
        ids = item["ids"]
        assert item["pixels"].shape == (3, SIDE, SIDE)
        for (x, y), wanted in zip(item["points"].astype(int), item["point_ids"], strict=True):
            assert ids[y, x] == wanted > 0
        for box, wanted in zip(item["boxes"], item["box_ids"], strict=True):
            rows, columns = np.nonzero(ids == wanted)
            exact = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
            assert np.abs(box - exact).max() <= 20
            assert (box >= 0).all()
            assert (box < SIDE).all()


def test_picture_and_instances_are_mirrored_together() -> None:
    rgb, ids = blocks(0)
    rgb = np.repeat(ids[..., None] * 50, 3, axis=2)
    kinds = set()
    for seed in range(8):
        item = draw_prompts(rgb, ids, SIDE, prompts=1, seed=seed, mirror=True)
        np.testing.assert_array_equal(item["pixels"][0], item["ids"] * 50)
        kinds.add(item["ids"].tobytes())
    assert kinds == {ids.tobytes(), ids[:, ::-1].tobytes()}


def test_every_instance_is_prompted_before_any_is_repeated() -> None:
    item = draw_prompts(*blocks(1), SIDE, prompts=3, seed=0, mirror=False)
    drawn = [*item["point_ids"], *item["box_ids"]]
    assert sorted(drawn[:3]) == sorted(drawn[3:]) == [1, 2, 3]


def test_small_instances_are_not_prompted() -> None:
    rgb, ids = blocks(0)
    ids[ids == 2] = 0
    ids[0, :39] = 2
    item = draw_prompts(rgb, ids, SIDE, prompts=8, seed=0, mirror=False)
    assert 2 not in {*item["point_ids"], *item["box_ids"]}


def test_picture_without_instances_asks_for_an_absent_one() -> None:
    rgb, ids = blocks(0)
    item = draw_prompts(rgb, np.zeros_like(ids), SIDE, prompts=2, seed=0, mirror=False)
    assert item["point_ids"].tolist() == item["box_ids"].tolist() == [255, 255]
    assert np.isfinite(item["boxes"]).all()
    assert (item["boxes"][:, 2:] >= item["boxes"][:, :2]).all()


def test_points_keep_off_the_outline_where_the_mask_is_thick() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:14, 6:13] = True
    rng = np.random.default_rng(0)
    points = np.array([point_in(mask, rng) for _ in range(200)])
    assert points.min(0).tolist() == [8, 7]
    assert points.max(0).tolist() == [10, 11]
    thin = np.zeros((20, 20), dtype=bool)
    thin[3, 4:9] = True
    assert all(thin[int(y), int(x)] for x, y in (point_in(thin, rng) for _ in range(50)))


def test_boxes_shake_by_a_tenth_of_their_sides() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[50:151, 80:121] = True
    boxes = np.array([box_around(mask, np.random.default_rng(i)) for i in range(800)])
    np.testing.assert_allclose(boxes.mean(0), [80, 50, 120, 150], atol=1.5)
    np.testing.assert_allclose(boxes.std(0), [4, 10, 4, 10], rtol=0.12)


def test_targets_are_in_the_order_of_the_predictions() -> None:
    ids = torch.tensor([[[1, 2]], [[3, 1]]], dtype=torch.uint8)
    targets = prompted_masks(ids, torch.tensor([[1], [3]]), torch.tensor([[2, 1], [1, 3]]))
    assert targets.int().tolist() == [[[1, 0]], [[1, 0]], [[0, 1]], [[1, 0]], [[0, 1]], [[1, 0]]]


def test_predictions_are_those_of_sam_with_the_same_prompts() -> None:
    torch.manual_seed(0)
    module = SamPretraining(build_sam(nano_sam_config(SIDE)))
    batch = collate([draw_prompts(*blocks(i), SIDE, prompts=2, seed=i, mirror=False) for i in range(2)])
    with torch.no_grad():
        found = module.predict(batch["pixels"], batch["points"], batch["boxes"])
        from perceptio.segmentation.preprocess import normalize

        pixels = normalize(batch["pixels"])
        by_point = module.sam(pixels, input_points=batch["points"][:, :, None], multimask_output=False)
        by_box = module.sam(pixels, input_boxes=batch["boxes"], multimask_output=False)
    expected = torch.cat([by_point.pred_masks.flatten(0, 2), by_box.pred_masks.flatten(0, 2)])
    torch.testing.assert_close(found.logits, expected)


def test_every_part_gets_a_gradient_except_the_mask_prompts() -> None:
    module = SamPretraining(build_sam(nano_sam_config(SIDE)), PointSampling(points=64))
    batch = collate([draw_prompts(*blocks(i), SIDE, prompts=2, seed=i, mirror=False) for i in range(2)])
    output = module(**batch)
    assert output["losses"].keys() == {"bce", "dice", "score", "object"}
    assert not any(value.requires_grad for value in output["losses"].values())
    output["loss"].backward()
    without = {name for name, parameter in module.named_parameters() if parameter.grad is None}
    assert all("mask_embed" in name and "no_mask_embed" not in name for name in without), without


def test_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    module = SamPretraining(build_sam(nano_sam_config(SIDE)), PointSampling(points=128))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    batch = collate([draw_prompts(*blocks(i), SIDE, prompts=3, seed=i, mirror=False) for i in range(4)])
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = module(**batch)["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:2])
