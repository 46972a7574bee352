"""`--html` and `--export`: files beside the answer, and one sentence for what cannot be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from perceptio.pipeline import Perceptio

from .conftest import Run, failed, noise


def test_html_is_one_page_of_all_answers(run: Run, tmp_path: Path, options: list[str]) -> None:
    images = [noise(tmp_path / name, seed) for seed, name in enumerate(("a.png", "b<i>.png"))]
    page = tmp_path / "deep" / "page.html"
    result = run("ask", *images, "Where is <script>?", *options, "--seg", "on", "--depth", "on", "--html", page)
    assert result.code == 0
    assert f"wrote {page}" in result.err
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 2
    assert "a.png" in text
    assert "b&lt;i&gt;.png" in text
    assert "Where is &lt;script&gt;?" in text
    assert "<script" not in text
    assert str(tmp_path) not in text  # a page is passed on; where pictures lay is nobody's business


def test_depth_is_exported_by_suffix(
    run: Run, tiny: Perceptio, image: Path, tmp_path: Path, options: list[str]
) -> None:
    files = [tmp_path / "out" / name for name in ("d.png", "c.ply", "c.GLB")]
    arguments = [part for file in files for part in ("--export", file)]
    result = run("depth", image, *options, *arguments, "--fov", 50)
    assert result.code == 0
    assert [line.partition(":")[0] for line in result.err.splitlines()] == [f"wrote {file}" for file in files]
    assert result.err.count("relative") == 2
    expected = tiny.ask(image, "Show the depth map.", seg="off", depth="on")
    assert expected.depth is not None
    assert files[0].read_bytes() == expected.depth.png16()
    with Image.open(files[0]) as picture:
        assert picture.size == (60, 90)
    cloud = expected.point_cloud(50)
    np.testing.assert_allclose(trimesh.load(files[1]).vertices, cloud.points, rtol=1e-6)
    assert files[2].read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--export", "map.tif"], "neither .png nor .ply nor .glb"),
        (["--fov", "0"], "fov_degrees must be 1 to 170"),
        (["--fov", "nan"], "fov_degrees must be 1 to 170"),
        (["--export", "file/a.ply"], "cannot write"),
        (["--html", "file/a.html"], "cannot write"),
        (["--html", "."], "cannot write"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_model_is_loaded(
    run: Run, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert complaint in failed(run("depth", image, "--model", "no model: files come first", *arguments))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "photo.png"]


def test_one_file_holds_one_map(run: Run, image: Path) -> None:
    assert "of one picture, and 2 were given" in failed(run("depth", image, image, "--export", "a.ply"))


def test_a_failure_half_way_leaves_no_page(run: Run, image: Path, tmp_path: Path, options: list[str]) -> None:
    page = tmp_path / "page.html"
    assert run("ask", image, "7" * 5000, *options, "--html", page).code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
