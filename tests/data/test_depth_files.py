"""Depth maps of any size and kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data import depth_files
from perceptio.data.depth_files import read_depth
from perceptio.data.errors import DataError
from perceptio.depth.normalization import inverse_depth_from_metric

METRES = np.linspace(1, 9, 30 * 50).reshape(30, 50) + np.eye(30, 50)


def write(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        picture = values.astype(np.float32) if path.suffix == ".tif" else np.round(values * 1000).astype(np.uint16)
        Image.fromarray(picture).save(path)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a map of 1500 pixels be a large one: every third pixel of it is kept, and it comes in strips."""
    monkeypatch.setattr(depth_files, "WORKING_PIXELS", 200)
    monkeypatch.setattr(depth_files, "_STRIP", 100)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.tif"])
def test_large_maps_are_thinned_out(tmp_path: Path, small: None, name: str) -> None:
    found = read_depth(write(tmp_path / name, METRES), "metric", 1000.0)
    assert found.size == (50, 30)
    np.testing.assert_allclose(found.nearness, inverse_depth_from_metric(METRES[::3, ::3]), atol=1e-3)


def test_the_order_in_memory_does_not_matter(tmp_path: Path, small: None) -> None:
    found = read_depth(write(tmp_path / "a.npy", np.asfortranarray(METRES)), "metric", 1000.0)
    assert found.size == (50, 30)
    np.testing.assert_array_equal(found.nearness, inverse_depth_from_metric(METRES[::3, ::3]))


@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
def test_holes_between_the_pixels_that_are_kept_are_counted(tmp_path: Path, small: None, name: str) -> None:
    values = METRES.copy()
    values[1, 1] = values[29, 49] = np.nan
    values[4, 4] = -1
    with pytest.raises(DataError, match=rf"{name} holds 2 values that are NaN or infinite"):
        read_depth(write(tmp_path / name, values), "metric", 1000.0)
    values[np.isnan(values)] = 5
    with pytest.raises(DataError, match=rf"{name} holds 1 values that are zero or less"):
        read_depth(write(tmp_path / name, values), "metric", 1000.0)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("inverse", 1e308, "too far apart"),
        ("metric", 1e-320, "not finite"),
        ("metric", np.inf, "NaN or infinite"),
        ("inverse", np.nan, "NaN or infinite"),
    ],
)
def test_values_beyond_measure_are_named(tmp_path: Path, kind, value: float, message: str) -> None:
    values = METRES.copy()
    values[:15] = value
    if kind == "inverse":
        values[15:] = -value
    with pytest.raises(DataError, match=rf"a\.npy .*{message}"):
        read_depth(write(tmp_path / "a.npy", values), kind, 1000.0)


def test_a_map_of_one_value_and_a_speck_shows_no_depth(tmp_path: Path) -> None:
    values = np.full((100, 100), 3.0)
    values[5, 5] = 4
    with pytest.raises(DataError, match=r"a\.npy is the same nearly everywhere"):
        read_depth(write(tmp_path / "a.npy", values), "metric", 1000.0)


def test_a_map_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth_files, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match=r"a\.npy has 1500 pixels; the limit is 1000"):
        read_depth(write(tmp_path / "a.npy", METRES), "metric", 1000.0)
