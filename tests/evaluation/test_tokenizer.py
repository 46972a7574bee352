"""The tokenizer's report: a tokenizer that loses nothing scores as perfect, a random one as is worked out again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.report import Report
from perceptio.evaluation.tokenizer import report_tokenizer
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
