"""A run: what it leaves, that it learns, and that it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import OutputError
from perceptio.model.loading import load_depth_tokenizer
from perceptio.pretrained.folder import ModelError
from perceptio.training.codebook.run import CodebookRun
from perceptio.training.codebook.settings import CodebookRecipe, CodebookStage, DepthSizes, MapSource

from .conftest import write_depth

SIZES = DepthSizes(image_size=32, downsample=8, codes=16, code_dim=8, width=16, blocks=1)
STAGE = CodebookStage(
    steps=8, batch=4, learning_rate=3e-3, warmup=2, workers=1, bf16=False, log_every=2, save_every=4, evaluate_every=3
)


def recipe(depth: Path, **changes: object) -> CodebookRecipe:
    return replace(
        CodebookRecipe("tiny", {str(depth): MapSource("metric")}, sizes=SIZES, training=STAGE, held_out=0.2),
        **changes,  # type: ignore[arg-type]
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The maps and the folder of a finished run."""
    home = tmp_path_factory.mktemp("codebook")
    depth = write_depth(home / "depth", 10)
    assert CodebookRun(recipe(depth), home / "run").run() == home / "run" / "final"
    return depth, home / "run"


def test_run_leaves_a_tokenizer_curves_and_pictures(finished: tuple[Path, Path]) -> None:
    _, folder = finished
    found, other = load_depth_tokenizer(folder), load_depth_tokenizer(folder / "final")
    assert found.config.tokens_per_map == 16
    assert all(torch.equal(one, other.state_dict()[name]) for name, one in found.state_dict().items())
    with Image.open(folder / "validation.png") as picture:
        assert picture.width > 900  # two maps that are held out, each with its reconstruction
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    names = {name for entry in logged for name in entry}
    assert {"loss/reconstruction", "loss/perplexity", "eval_loss", "eval_loss/reconstruction"} <= names
    assert (folder / "curves.png").is_file()


def test_second_run_changes_nothing(finished: tuple[Path, Path]) -> None:
    depth, folder = finished
    before = contents(folder / "final")
    CodebookRun(recipe(depth), folder).run()
    assert contents(folder / "final") == before


def test_stopped_run_goes_on_exactly(finished: tuple[Path, Path], tmp_path: Path) -> None:
    depth, whole = finished
    folder = tmp_path / "stopped"
    shutil.copytree(whole, folder)
    for name in ("final", "checkpoint-8"):
        shutil.rmtree(folder / name)
    maps = {path: path.stat().st_mtime_ns for path in folder.glob("maps/*/*")}
    CodebookRun(recipe(depth), folder).run()
    assert contents(folder / "final") == contents(whole / "final")
    assert {path: path.stat().st_mtime_ns for path in folder.glob("maps/*/*")} == maps  # computed once


def test_another_recipe_or_other_maps_are_refused(finished: tuple[Path, Path], tmp_path: Path) -> None:
    depth, whole = finished
    folder = tmp_path / "other"
    shutil.copytree(whole, folder)
    with pytest.raises(ValueError, match=r"begun with another recipe \(sizes.codes: 16, now 32\)"):
        CodebookRun(recipe(depth, sizes=replace(SIZES, codes=32)), folder).run()
    shutil.rmtree(folder / "final")
    more = tmp_path / "depth"
    shutil.copytree(depth, more)
    CodebookRun(recipe(more), tmp_path / "begun").run()
    shutil.rmtree(tmp_path / "begun" / "final")
    np.save(more / "more.npy", np.load(more / "00.npy"))
    with pytest.raises(ValueError, match="holds depth maps made with pictures"):
        CodebookRun(recipe(more), tmp_path / "begun").run()


def test_folder_of_somebody_else_is_never_written_to(depth_folder: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in depth_folder.rglob("*"))
    with pytest.raises(OutputError, match=r"holds files that Perceptio did not make, such as 00\.npy"):
        CodebookRun(recipe(depth_folder), depth_folder).run()
    assert sorted(path.name for path in depth_folder.rglob("*")) == before


def test_unfinished_run_has_no_tokenizer(finished: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(finished[1], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "final")
    with pytest.raises(ModelError, match="has not made its depth tokenizer yet"):
        load_depth_tokenizer(tmp_path / "run")


def test_named_maps_are_judged_by(finished: tuple[Path, Path], tmp_path: Path) -> None:
    depth, _ = finished
    judged = write_depth(tmp_path / "judged", 3, seed=9)
    plan = recipe(depth, validation={str(judged): MapSource("metric")}, training=replace(STAGE, steps=4))
    result = CodebookRun(plan, tmp_path / "run").run()
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    *_, loss = [entry["eval_loss/reconstruction"] for entry in logged if "eval_loss/reconstruction" in entry]
    tokenizer = DepthTokenizer.from_pretrained(result).eval()
    depths = [np.load(path) for path in sorted(judged.iterdir())]
    maps = [resize_nearest(resize_nearest(inverse_depth_from_metric(depth), 40), 32) for depth in depths]
    with torch.no_grad():
        expected = tokenizer(maps=torch.from_numpy(np.stack(maps))[:, None])["losses"]["reconstruction"]
    assert loss == pytest.approx(float(expected), rel=0.01)


def test_codebook_learns_what_it_is_shown(tmp_path: Path) -> None:
    depth = write_depth(tmp_path / "depth", 24)
    stage = replace(STAGE, steps=80, batch=8, log_every=20, save_every=80, evaluate_every=40)
    CodebookRun(recipe(depth, training=stage), tmp_path / "run").run()
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [entry["eval_loss/reconstruction"] for entry in logged if "eval_loss/reconstruction" in entry]
    assert losses[-1] < 0.1  # of maps whose values vary by 0.3
    assert losses[-1] < losses[0]
