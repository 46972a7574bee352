"""The examples run, and leave the pictures that the gallery shows."""

from __future__ import annotations

import json
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`perceptio serve` with nano on this machine, as the client's environment names it."""
    from perceptio.pipeline import Perceptio
    from perceptio.serving.api.server import GentleServer, bind
    from perceptio.serving.api.service import Service
    from perceptio.serving.api.settings import ApiSettings
    from perceptio.serving.engine import Engine

    with Engine(Perceptio.from_pretrained("nano", device="cpu")) as engine, bind("127.0.0.1", 0) as listener:
        served = GentleServer(Service(ApiSettings(), engine), grace_s=5)
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]})
        thread.start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "unused")
        try:
            yield
        finally:
            served.should_exit = True
            thread.join()


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Path:
    """Run an example in a folder; where it has written."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return folder / "out" / "examples"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
@pytest.mark.parametrize("name", ["ask_and_draw", "annotate_a_folder", "one_picture_many_questions", "point_cloud"])
def test_example_draws_the_picture_of_the_gallery(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_as_shown(run(f"{name}.py", tmp_path, monkeypatch) / f"{name}.jpg")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.usefixtures("server")
def test_openai_client_draws_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_as_shown(run("openai_client.py", tmp_path, monkeypatch) / "openai_client.jpg")


def assert_as_shown(drawn: Path) -> None:
    """Compare a picture with that of the gallery."""
    with Image.open(drawn) as new, Image.open(EXAMPLES / "images" / drawn.name) as shown:
        assert new.size == shown.size
        difference = np.abs(np.asarray(new, np.int16) - np.asarray(shown, np.int16))
    assert difference.mean() < 4  # another machine's rounding moves an edge, and no more


def test_report_is_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run("report.py", tmp_path, monkeypatch) / "report.html"
    assert page.read_text(encoding="utf-8").count("<article") == 3


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_folder_of_ones_own_gets_tasks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = tmp_path / "photos"
    pictures.mkdir()
    with Image.open(EXAMPLES.parent / "src" / "perceptio" / "assets" / "sample.png") as sample:
        sample.resize((224, 224)).save(pictures / "a.png")
    run("annotate_a_folder.py", tmp_path, monkeypatch, str(pictures))
    (task,) = json.loads((pictures / "label-studio.json").read_text())
    assert task["data"]["image"].endswith("?d=a.png")


def test_gallery_shows_every_example() -> None:
    for script in EXAMPLES.glob("*.py"):
        assert f"({script.name})" in PAGE
    for picture in (EXAMPLES / "images").iterdir():
        assert f"(images/{picture.name})" in PAGE
        assert picture.stat().st_size < 150_000
