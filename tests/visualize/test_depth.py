"""Depth as colour."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.visualize import color_depth
from perceptio.visualize.depth import color_table, colorize


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours (N, 3) uint8."""
    encoded = colours / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def test_colours_grow_lighter_about_evenly_from_far_to_near() -> None:
    found = lightness(color_table())
    assert color_table().shape == (256, 3)
    assert (np.diff(found) > -0.2).all()  # rounding to 8 bits
    assert (np.diff(found[::4]) > 0.4).all()
    assert found[0] < 1
    assert found[-1] > 97
    np.testing.assert_allclose(found, np.linspace(found[0], found[-1], 256), atol=7)


def test_colours_are_matplotlib_s_inferno() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = matplotlib.colormaps["inferno"](np.arange(256), bytes=True)[:, :3].astype(int)
    assert np.abs(color_table() - expected).max() <= 4


def test_ends_of_the_range_take_the_ends_of_the_table_and_values_beyond_are_clipped() -> None:
    found = colorize(np.array([[-1, 1, -7, 7, 0]], dtype=np.float32))[0]
    table = color_table()
    np.testing.assert_array_equal(found[:4], table[[0, 255, 0, 255]])
    assert any((found[4] == table[level]).all() for level in (127, 128))


def test_levels_are_evenly_spaced() -> None:
    found = colorize(np.linspace(-1, 1, 256)[None])[0]
    np.testing.assert_array_equal(found, color_table())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    depth = np.zeros((3, 4), dtype=np.float32)
    depth[1, 2] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        colorize(depth)
    with pytest.raises(ValueError, match="NaN or infinite"):
        color_depth(depth)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"an \(H, W\) array, got \(1, 3, 4\)"):
        colorize(np.zeros((1, 3, 4)))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((40, 30), (480, 640)),
        ((700, 900), (900, 700)),
        ((3, 4096), (2048, 2)),
        ((1, 1), (640, 640)),
        ((1, 9000), (2048, 1)),
    ],
)
def test_picture_keeps_proportions_within_its_bounds(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert color_depth(np.zeros(shape, np.float32), legend=False).size == size


def test_picture_shows_the_map_and_mixes_depths_not_colours() -> None:
    depth = np.where(np.arange(40)[None] < 20, -1.0, 1.0).repeat(30, axis=0)
    picture = np.asarray(color_depth(depth, legend=False))
    assert (picture[:, :300] == color_table()[0]).all()
    assert (picture[:, -300:] == color_table()[255]).all()
    known = {tuple(colour) for colour in color_table().tolist()}
    assert {tuple(colour) for colour in picture[picture.shape[0] // 2].tolist()} <= known


@pytest.mark.parametrize("shape", [(40, 30), (4000, 3), (1, 1), (3, 4000)])
def test_legend_is_added_below_with_the_whole_range(shape: tuple[int, int]) -> None:
    depth = np.zeros(shape, np.float32)
    plain, whole = color_depth(depth, legend=False), color_depth(depth)
    assert whole.width >= plain.width
    assert whole.height > plain.height
    left = (whole.width - plain.width) // 2
    np.testing.assert_array_equal(
        np.asarray(whole.crop((left, 0, left + plain.width, plain.height))), np.asarray(plain)
    )
    strip = np.asarray(whole)[plain.height :].astype(int)
    ramp = strip[strip.shape[0] // 2]
    start = min(np.flatnonzero(np.abs(ramp - color_table()[4].astype(int)).max(1) < 12))
    end = max(np.flatnonzero(np.abs(ramp - color_table()[251].astype(int)).max(1) < 12))
    assert end - start > 30  # from dark on the left to bright on the right
    assert (strip[:, : start - 4] < 120).all(axis=-1).any()  # the word "far"
    assert (strip[:, end + 4 :] < 120).all(axis=-1).any()  # the word "near"
