"""Depth on pairs of a folder: files, the request, errors of the truth and of silence, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.templates import DEPTH
from perceptio.evaluation.depth_pairs import DEPTH_PROMPT, DepthPairs, open_depth_pairs, read_depth
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import load_samples
from perceptio.evaluation.report import Figure
from perceptio.evaluation.runner import run_benchmark
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, DepthMap, Trace
from perceptio.tokens import Switch

WIDTH, HEIGHT = 40, 30


def metres(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 5, (HEIGHT, WIDTH))


def write_png(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint16)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A JPEG with a 16-bit PNG in millimetres and a PNG with an array in metres, both with unknown pixels."""
    (tmp_path / "images").mkdir()
    (tmp_path / "depth").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "one.jpg")
    Image.fromarray(pixels).save(tmp_path / "images" / "two.png")
    first = np.round(metres(1) * 1000)
    first[0, 0] = 0
    write_png(tmp_path / "depth" / "one.png", first)
    second = metres(2)
    second[:2, 0], second[2, 0] = (np.nan, np.inf), -1
    np.save(tmp_path / "depth" / "two.npy", second)
    (tmp_path / "images" / ".DS_Store").touch()
    return tmp_path


def scored(benchmark: DepthPairs, *, perfect: bool) -> dict[str, Figure]:
    """The figures of true maps, or of answers without one."""
    samples = []
    for unit in range(len(benchmark)):
        (item,) = benchmark.items(unit)
        inverse = 2 / metres(unit + 1) - 0.2
        depth = DepthMap(inverse.astype(np.float32), np.zeros((4, 4), np.int64)) if perfect else None
        samples.append(benchmark.score(item, [Answer("", [], depth, Trace(raw=""))]))
    return {figure.name: figure for figure in benchmark.figures(samples)}


def test_depth_is_asked_for_and_masks_are_not(folder: Path) -> None:
    (item,) = open_depth_pairs(folder).items(0)
    (ask,) = item.asks
    assert ask.prompt == DEPTH_PROMPT == "Show the depth map."
    assert DEPTH_PROMPT in DEPTH  # a request that samples teach
    assert (ask.seg, ask.depth, ask.image) == (Switch.OFF, Switch.ON, folder / "images" / "one.jpg")


def test_true_maps_score_full_marks(folder: Path) -> None:
    figures = scored(open_depth_pairs(folder), perfect=True)
    assert list(figures) == [
        "AbsRel",
        "RMSE, m",
        "delta < 1.25",
        "delta < 1.25^2",
        "delta < 1.25^3",
        "depth map written",
    ]
    assert [figure.value for figure in figures.values()] == pytest.approx([0, 0, 1, 1, 1, 1], abs=1e-3)
    assert all(figure.count == 2 for figure in figures.values())


def test_a_missing_map_counts_as_a_constant_one(folder: Path) -> None:
    figures = scored(open_depth_pairs(folder), perfect=False)
    expected = []
    for seed in (1, 2):
        depth = metres(seed)
        valid = np.ones((HEIGHT, WIDTH), bool)
        valid[: 1 if seed == 1 else 3, 0] = False
        constant = 1 / (1 / depth[valid]).mean()
        expected.append((np.abs(constant - depth[valid]) / depth[valid]).mean())
    assert figures["AbsRel"].value == pytest.approx(np.mean(expected), rel=1e-3)
    assert figures["AbsRel"].count == 2
    assert (figures["depth map written"].value, figures["depth map written"].count) == (0, 2)


def test_figures_are_means_over_pictures_not_over_pixels(folder: Path) -> None:
    sparse = np.zeros((HEIGHT, WIDTH))
    sparse[3, 4], sparse[5, 6] = 1, 4  # AbsRel of a constant 1.6 m: (0.6 + 0.6) / 2
    np.save(folder / "depth" / "two.npy", sparse)
    one, two = (1 / metres(1).ravel()[1:], 0.6)
    first = np.abs(1 / one.mean() - 1 / one) * one
    figures = scored(open_depth_pairs(folder), perfect=False)
    assert figures["AbsRel"].value == pytest.approx((first.mean() + two) / 2, rel=1e-3)


def test_scale_divides_png_values_only(folder: Path) -> None:
    np.testing.assert_allclose(
        read_depth(folder / "depth" / "one.png", 256).metres[1], np.round(metres(1) * 1000)[1] / 256
    )
    np.testing.assert_array_equal(read_depth(folder / "depth" / "two.npy", 256).metres[5], metres(2)[5])


def test_settings_name_the_files(folder: Path) -> None:
    settings = open_depth_pairs(folder).settings
    assert (settings["dataset"], settings["pairs"], settings["missing_partners"]) == ("depth", 2, 0)
    assert (settings["scale"], settings["prompt"]) == (1000, DEPTH_PROMPT)
    assert settings["farthest_metres"] == pytest.approx(5, abs=0.02)
    changed = np.full((HEIGHT, WIDTH), 2.0)
    np.save(folder / "depth" / "two.npy", changed)
    assert open_depth_pairs(folder).settings["depth_sha256"] != settings["depth_sha256"]


def test_missing_partners_are_counted(folder: Path) -> None:
    (folder / "depth" / "two.npy").unlink()
    write_png(folder / "depth" / "zero.png", np.ones((3, 3)))
    with pytest.raises(EvaluationError) as error:
        open_depth_pairs(folder)
    assert str(error.value) == (
        f"2 of 3 names in {folder} have no partner, the first is {folder / 'images' / 'two.png'}, "
        "which has no depth of the same name; --allow-missing runs on the rest"
    )
    benchmark = open_depth_pairs(folder, allow_missing=True)
    assert [pair.image.name for pair in benchmark.pairs] == ["one.jpg"]
    assert benchmark.settings["missing_partners"] == 2


def test_no_pairs_are_refused_in_any_case(folder: Path) -> None:
    for path in (folder / "depth").iterdir():
        path.unlink()
    with pytest.raises(EvaluationError, match=r"2 of 2 names in .* which has no depth of the same name$"):
        open_depth_pairs(folder, allow_missing=True)
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(EvaluationError, match="hold no files"):
        open_depth_pairs(folder)
    (folder / "images").rmdir()
    with pytest.raises(EvaluationError, match=r"there is no folder .*images; give the folder that holds"):
        open_depth_pairs(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((WIDTH, HEIGHT)), r"two\.npy is 30x40 pixels but its picture 40x30"),
        (np.zeros((HEIGHT, WIDTH)), r"two\.npy has no valid pixel"),
        (np.full((HEIGHT, WIDTH), np.nan), r"two\.npy has no valid pixel"),
        (np.ones((HEIGHT, WIDTH, 1)), r"two\.npy must hold \(H, W\) numbers"),
        (np.ones((HEIGHT, WIDTH), complex), r"two\.npy must hold \(H, W\) numbers"),
        (np.full((HEIGHT, WIDTH), None), r"two\.npy is no array of numbers"),
    ],
)
def test_a_bad_array_is_one_sentence(folder: Path, values: np.ndarray, message: str) -> None:
    np.save(folder / "depth" / "two.npy", values)
    with pytest.raises(EvaluationError, match=message):
        open_depth_pairs(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one.png", r"one\.png is no 16-bit PNG of one channel but of mode L"),
        ("two.exr", r"two\.exr: EXR is not supported; convert it to \.npy with depth in metres"),
        ("two.tif", r"two\.tif: \.tif is not supported; convert it to \.npy"),
        ("two.png", r"depth holds both two\.npy and two\.png|depth holds both two\.png and two\.npy"),
    ],
)
def test_a_depth_file_of_another_kind_is_one_sentence(folder: Path, name: str, message: str) -> None:
    Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(folder / "depth" / "x.png")
    (folder / "depth" / "x.png").rename(folder / "depth" / name)
    with pytest.raises(EvaluationError, match=message):
        open_depth_pairs(folder)


def test_damaged_files_and_a_bad_scale_are_one_sentence(folder: Path) -> None:
    for scale in (0, -1, float("nan"), float("inf")):
        with pytest.raises(EvaluationError, match=f"scale of depth must be positive and finite, not {scale:g}"):
            open_depth_pairs(folder, scale=scale)
    (folder / "depth" / "one.png").write_bytes(b"no depth")
    with pytest.raises(EvaluationError, match=r"one\.png is not an image .*depth"):
        open_depth_pairs(folder)
    (folder / "images" / "one.jpg").write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match=r"one\.jpg is not an image"):
        open_depth_pairs(folder)


def test_a_turned_photograph_is_as_large_as_it_is_seen(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (HEIGHT, WIDTH)).save(folder / "images" / "one.jpg", exif=exif)
    assert len(open_depth_pairs(folder)) == 2


def test_a_model_runs_through(folder: Path, tiny: Perceptio, tmp_path: Path) -> None:
    results = run_benchmark(tiny, open_depth_pairs(folder), tmp_path / "out", progress=False)
    figures = {figure.name: figure for figure in results.report.figures}
    assert (figures["depth map written"].value, figures["AbsRel"].count) == (1, 2)
    assert 0 < figures["AbsRel"].value < 5
    assert [sample.key for sample in load_samples(results.folder)] == ["one", "two"]


@pytest.mark.parametrize("scale", [1e-9, 1e12, 1e-320])
def test_depth_that_nobody_measures_names_its_bounds(folder: Path, scale: float) -> None:
    with pytest.raises(EvaluationError, match=r"one\.png (holds depth from .* metres|has no valid pixel)"):
        open_depth_pairs(folder, scale=scale)


@pytest.mark.parametrize("far", [1e10, 1e300])
def test_a_mark_for_the_sky_is_named(folder: Path, far: float) -> None:
    values = metres(2)
    values[0, 0] = far
    np.save(folder / "depth" / "two.npy", values)
    with pytest.raises(EvaluationError, match=rf"two\.npy holds depth from .* to {far:g}".replace("+", r"\+")):
        open_depth_pairs(folder)


def test_an_array_that_claims_more_than_it_holds_is_refused_unread(folder: Path) -> None:
    path = folder / "depth" / "two.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(EvaluationError, match=r"two\.npy is damaged or cut short"):
        open_depth_pairs(folder)
    path.write_bytes(whole.replace(b"(30, 40)", b"(10**9,)"))
    with pytest.raises(EvaluationError, match=r"two\.npy"):
        open_depth_pairs(folder)
    path.write_bytes(whole.replace(b"(30, 40), }     ", b"(999999, 99999)}"))
    with pytest.raises(EvaluationError, match=r"two\.npy"):
        open_depth_pairs(folder)


def test_an_array_by_columns_is_read_alike(folder: Path) -> None:
    before = read_depth(folder / "depth" / "two.npy", 1)
    np.save(folder / "depth" / "two.npy", np.asfortranarray(metres(2).astype(np.float32)))
    after = read_depth(folder / "depth" / "two.npy", 1)
    assert (after.size, after.step) == (before.size, before.step) == ((WIDTH, HEIGHT), 1)
    np.testing.assert_array_equal(after.metres, metres(2).astype(np.float32))


@pytest.mark.parametrize("strip", [1, 50, 10_000])
def test_a_very_large_map_is_judged_at_one_pixel_in_every_few(
    folder: Path, monkeypatch: pytest.MonkeyPatch, strip: int
) -> None:
    monkeypatch.setattr("perceptio.evaluation.depth_pairs.WORKING_PIXELS", 200)  # of 1200: every third
    monkeypatch.setattr("perceptio.evaluation.depth_pairs._STRIP", strip)
    array, picture = (read_depth(folder / "depth" / name, 1000) for name in ("two.npy", "one.png"))
    assert (array.step, array.size, picture.size) == (3, (WIDTH, HEIGHT), (WIDTH, HEIGHT))
    np.testing.assert_array_equal(array.metres[1:], metres(2)[3::3, ::3])
    np.testing.assert_allclose(picture.metres[1:], metres(1)[3::3, ::3], atol=1e-3)
    figures = scored(open_depth_pairs(folder), perfect=True)
    assert figures["AbsRel"].value == pytest.approx(0, abs=1e-3)


def test_names_in_latin_1_are_names(folder: Path, tiny: Perceptio, tmp_path: Path) -> None:
    for place, suffix in (("images", ".jpg"), ("depth", ".png")):
        (folder / place / f"one{suffix}").rename(
            os.fsdecode(os.fsencode(folder / place) + b"/caf\xe9" + suffix.encode())
        )
    results = run_benchmark(tiny, open_depth_pairs(folder), tmp_path / "out", progress=False)
    assert [sample.image for sample in load_samples(results.folder)] == ["caf\udce9.jpg", "two.png"]
