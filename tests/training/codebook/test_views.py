"""Which maps are trained on and which are judged by, and what of a map is seen."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from perceptio.depth.normalization import normalize_inverse_depth, resize_nearest
from perceptio.training.codebook.sources import MapSet
from perceptio.training.codebook.views import MapMixture, WholeMaps, everything, random_view, split, stack_maps


def sets() -> list[MapSet]:
    rng = np.random.default_rng(0)
    return [
        MapSet("a", rng.uniform(-1, 1, (50, 8, 8)).astype(np.float32), "", 1),  # type: ignore[arg-type]  # an array
        MapSet("b", rng.uniform(-1, 1, (3, 12, 12)).astype(np.float32), "", 4),  # type: ignore[arg-type]
    ]


def places(maps: MapMixture) -> Counter[tuple[int, int]]:
    return Counter((int(number), int(row)) for number, row in maps.places)


def test_what_is_held_out_is_never_trained_on() -> None:
    trained, judged = (places(maps) for maps in split(sets(), 0.1, seed=1))
    assert not trained.keys() & judged.keys()
    assert len(trained.keys() | judged.keys()) == 53
    assert Counter(number for number, _ in judged) == {0: 5, 1: 1}
    assert set(judged.values()) == {1}
    assert {count for (number, _), count in trained.items() if number == 1} == {4}  # as often as it is repeated
    assert places(split(sets(), 0.1, seed=1)[1]) == judged
    assert places(split(sets(), 0.1, seed=2)[1]) != judged


def test_nothing_is_held_out_where_nothing_is_asked_for() -> None:
    trained, judged = split(sets(), 0, seed=0)
    assert (len(trained), len(judged)) == (50 + 3 * 4, 0)
    assert places(everything(sets())) == dict.fromkeys(places(trained), 1)


def test_mixture_gives_the_maps_of_its_sets() -> None:
    given = sets()
    np.testing.assert_array_equal(MapMixture(given, np.array([[1, 2], [0, 7]]))[0], given[1].maps[2])


def test_view_is_a_crop_on_the_one_scale_or_its_mirror() -> None:
    ramp = np.linspace(-1, 1, 40, dtype=np.float32)[None] * np.ones((40, 1), np.float32)
    widths = set()
    for seed in range(20):
        view = random_view(ramp, 64, 0.5, np.random.default_rng(seed)).numpy()
        assert view.shape == (64, 64)
        assert view.min() < -0.9 < 0.9 < view.max()
        rising = view[0] if view[0, -1] > view[0, 0] else view[0, ::-1]
        assert (np.diff(rising) >= 0).all()
        widths.add(len(np.unique(view)))
    assert widths <= set(range(20, 41))
    assert len(widths) > 5  # crops differ in size
    assert {float(random_view(ramp, 40, 1, np.random.default_rng(seed))[0, 0]) for seed in range(9)} == {-1.0, 1.0}


def test_view_of_a_whole_map_holds_its_values() -> None:
    values = normalize_inverse_depth(np.random.default_rng(0).normal(size=(30, 30)))
    view = random_view(values, 15, 1, np.random.default_rng(3)).numpy()
    whole = resize_nearest(values, 15)
    assert np.array_equal(view, whole) or np.array_equal(view, whole[:, ::-1])


def test_crop_without_depth_is_not_taken() -> None:
    values = np.full((40, 40), -1, np.float32)
    values[:, -2:] = 1  # at the border alone
    for seed in range(20):
        assert random_view(values, 20, 0.3, np.random.default_rng(seed)).unique().numel() == 2


def test_whole_maps_are_as_the_tokenizer_gets_them() -> None:
    maps = WholeMaps(everything(sets()), 6)
    assert len(maps) == 53
    batch = stack_maps([maps[0], maps[52]])
    assert batch["maps"].shape == (2, 1, 6, 6)
    np.testing.assert_array_equal(batch["maps"][1, 0].numpy(), resize_nearest(sets()[1].maps[2], 6))


@pytest.mark.parametrize("share", [0.02, 0.9])
def test_at_least_one_map_is_held_out_and_one_trained_on(share: float) -> None:
    trained, judged = split(sets()[1:], share, seed=0)
    assert 1 <= len(judged) <= 2
    assert len(trained) >= 4
