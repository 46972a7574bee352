"""The tokenizer's report: a tokenizer that loses nothing scores as perfect, a random one as is worked out again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.report import Report
from perceptio.evaluation.tokenizer import report_maps, report_tokenizer
from perceptio.evaluation.true_maps import TrueMap, depth_file_maps, taught_maps
from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore

COUNT = 6


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> SceneStore:
    folder = tmp_path_factory.mktemp("scenes")
    return render_split(folder, "val", COUNT, size=96, workers=1, progress=False)


class Lossless(DepthTokenizer):
    """Remembers the map it was given."""

    def encode(self, maps: Tensor) -> Tensor:
        self.seen = maps
        return torch.arange(self.config.tokens_per_map)[None] % self.config.codes

    def decode(self, codes: Tensor) -> Tensor:
        return self.seen


def value(report: Report, name: str) -> tuple[float, int]:
    (figure,) = [figure for figure in report.figures if figure.name == name]
    return figure.value, figure.count


def test_lossless_tokenizer_is_perfect(store):
    model = Lossless(DepthTokenizerConfig(image_size=96, downsample=16, codes=12, code_dim=4, width=16, blocks=1))
    report = report_tokenizer(model.eval(), store, progress=False)
    assert value(report, "codebook usage") == (1, 36 * COUNT)
    assert value(report, "perplexity")[0] == pytest.approx(12)
    assert value(report, "MAE, normalised") == (0, COUNT)
    assert value(report, "AbsRel")[0] < 0.02  # the clipped ends are lost
    assert value(report, "delta < 1.25")[0] > 0.99
    for number in (3, 4, 5):
        share, count = value(report, f"order, {number} points")
        assert share == 1
        assert 1 <= count <= COUNT
    assert report.settings == {"split": "val", "maps": COUNT, "codes": 12, "tokens": 36}


def test_random_tokenizer_s_figures_are_worked_out_again(store):
    torch.manual_seed(0)
    config = DepthTokenizerConfig(image_size=96, downsample=16, codes=12, code_dim=4, width=16, blocks=1)
    model = DepthTokenizer(config)
    maps = torch.stack([torch.from_numpy(inverse_depth_from_metric(stored.depth))[None] for stored in store])
    model.train()(maps)  # k-means
    model.eval()
    with torch.no_grad():
        codes = model.encode(maps)
        decoded = model.decode(codes).clamp(-1, 1)
    report = report_tokenizer(model, store, progress=False)
    shares = np.unique(codes.numpy(), return_counts=True)[1] / codes.numel()
    assert value(report, "codebook usage") == (len(shares) / 12, 36 * COUNT)
    assert value(report, "perplexity")[0] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert value(report, "MAE, normalised")[0] == pytest.approx((decoded - maps).abs().mean().item(), rel=1e-4)
    assert value(report, "AbsRel")[0] > 0.05


def test_limit_takes_the_first_scenes(store):
    config = DepthTokenizerConfig(image_size=96, downsample=16, codes=12, code_dim=4, width=16, blocks=1)
    report = report_tokenizer(Lossless(config), store, limit=2, progress=False)
    assert report.settings["maps"] == 2
    assert value(report, "AbsRel")[1] == 2
    assert value(report_tokenizer(Lossless(config), store, limit=99, progress=False), "AbsRel")[1] == COUNT


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_none_is_refused(store: SceneStore, limit: int) -> None:
    tokenizer = Lossless(DepthTokenizerConfig(image_size=32, downsample=8, codes=16, code_dim=8, width=16, blocks=1))
    with pytest.raises(EvaluationError, match=f"limit must be at least 1, not {limit}"):
        report_tokenizer(tokenizer, store, limit=limit, progress=False)


class Flat(Lossless):
    """Decodes the mean of the map it was given."""

    def decode(self, codes: Tensor) -> Tensor:
        return self.seen.mean() + torch.zeros_like(self.seen)


def config(size: int) -> DepthTokenizerConfig:
    return DepthTokenizerConfig(image_size=size, downsample=16, codes=12, code_dim=4, width=16, blocks=1)


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    """Three maps of metres on a tilted floor; the last is hardest to flatten."""
    folder = tmp_path / "depth"
    folder.mkdir()
    for number in range(3):
        floor = np.linspace(8, 2, 90)[:, None] + np.linspace(0, 1.5, 120) ** (number + 1)
        np.save(folder / f"{number}.npy", floor.astype(np.float32))
    return folder


def test_files_of_depth_are_judged_in_metres_where_these_are_known(depth_folder: Path) -> None:
    for kind, count in (("metric", 3), ("inverse", 0)):
        maps = depth_file_maps(depth_folder, kind, 1000)  # type: ignore[arg-type]  # one of the two
        report = report_maps(Lossless(config(96)).eval(), maps, "floor", {"depth": "floor"}, progress=False)
        assert report.settings == {"depth": "floor", "maps": 3, "codes": 12, "tokens": 36}
        error, counted = value(report, "AbsRel")
        assert counted == count
        assert np.isnan(error) if kind == "inverse" else error < 0.05
        assert value(report, "MAE, normalised")[0] < 0.05  # of the resizing
        shares = [value(report, f"order, {number} points") for number in (3, 4, 5)]
        assert shares[0] == (1, 3)
        assert all(share == 1 for share, found in shares if found)


def test_order_is_lost_where_a_map_is_flat(depth_folder: Path) -> None:
    maps = depth_file_maps(depth_folder, "metric", 1000)
    report = report_maps(Flat(config(96)).eval(), maps, "floor", {}, progress=False)
    assert value(report, "order, 3 points")[0] < 1
    assert value(report, "AbsRel")[0] > 0.1


def test_picture_shows_the_median_and_the_worst(depth_folder: Path, tmp_path: Path) -> None:
    maps = depth_file_maps(depth_folder, "metric", 1000)
    seen: list[str] = []

    def watched(made: Callable[[], TrueMap]) -> Callable[[], TrueMap]:
        def make() -> TrueMap:
            found = made()
            seen.append(found.name)
            return found

        return make

    picture = tmp_path / "new" / "report.png"
    tokenizer = Flat(config(96)).eval()
    report_maps(tokenizer, [watched(made) for made in maps], "floor", {}, progress=False, picture=picture)
    errors = [float(np.abs(made().nearness - resize_nearest(made().nearness, 96).mean()).mean()) for made in maps]
    ranking = np.argsort(errors)
    assert seen[3:] == [f"depth/{ranking[1]}.npy", f"depth/{ranking[2]}.npy"]
    with Image.open(picture) as drawn:
        assert drawn.height > 2 * drawn.width // 3


def test_photographs_are_judged_by_what_a_teacher_says(depth_anything: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(2):
        coarse = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)
        picture.save(tmp_path / "photos" / f"{number}.png")
    teacher = DepthAnything(depth_anything)
    maps = taught_maps([tmp_path / "photos"], teacher)
    np.testing.assert_array_equal(maps[1]().nearness, teacher.inverse_depth(picture))
    report = report_maps(Lossless(config(96)).eval(), maps, "photos", {}, progress=False, picture=tmp_path / "r.png")
    assert value(report, "MAE, normalised") == (0, 2)
    assert value(report, "AbsRel")[1] == 0
