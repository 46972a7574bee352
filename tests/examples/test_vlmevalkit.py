"""The adapter for VLMEvalKit, with a stand-in for its `BaseModel`: VLMEvalKit itself is not installed here.

The stand-in holds what the adapter relies on, as read in `vlmeval/vlm/base.py`: `generate` takes text, files or parts,
refuses types that are not allowed, and calls `generate_inner` with a list of parts.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.pipeline import Perceptio

ADAPTER = Path(__file__).parents[2] / "examples" / "vlmevalkit" / "perceptio_vlm.py"


class BaseModel:
    allowed_types: Any = ("text", "image", "video")

    def __init__(self) -> None:
        self.dump_image_func = None

    def generate(self, message: list[Any], dataset: str | None = None) -> str:
        parts = [
            part if isinstance(part, dict) else {"type": "image" if Path(part).is_file() else "text", "value": part}
            for part in message
        ]
        assert all(part["type"] in self.allowed_types for part in parts), "Invalid input type"
        return self.generate_inner(parts, dataset)  # type: ignore[attr-defined]


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    base = ModuleType("vlmeval.vlm.base")
    base.BaseModel = BaseModel  # type: ignore[attr-defined]
    for name, module in {"vlmeval": ModuleType("vlmeval"), "vlmeval.vlm": ModuleType("vlmeval.vlm")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "vlmeval.vlm.base", base)
    spec = importlib.util.spec_from_file_location("perceptio_vlm", ADAPTER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    return str(path)


def test_it_answers_as_the_model_does(adapter: ModuleType, tiny: Perceptio, tiny_folder: Path, picture: str) -> None:
    model = adapter.PerceptioVLM(str(tiny_folder), seg="off", depth="off", device="cpu")
    assert isinstance(model, BaseModel)
    given = model.generate([picture, "What is red?", "A. the cube"], dataset="MMBench_DEV_EN")
    assert given == tiny.ask(picture, "What is red?\nA. the cube", seg="off", depth="off").text
    parts = [{"type": "text", "value": "What is red?"}, {"type": "image", "value": picture}]
    assert model.generate(parts) == tiny.ask(picture, "What is red?", seg="off", depth="off").text


@pytest.mark.parametrize("count", [0, 2])
def test_no_picture_or_several_are_one_sentence(
    adapter: ModuleType, tiny_folder: Path, picture: str, count: int
) -> None:
    model = adapter.PerceptioVLM(str(tiny_folder), device="cpu")
    with pytest.raises(ValueError, match=f"^a question of BLINK comes with {count} pictures, but .* a question$"):
        model.generate([picture] * count + ["Which?"], dataset="BLINK")


def test_videos_are_not_among_its_types(adapter: ModuleType, tiny_folder: Path) -> None:
    model = adapter.PerceptioVLM(str(tiny_folder), device="cpu")
    with pytest.raises(AssertionError, match="Invalid input type"):
        model.generate([{"type": "video", "value": "a.mp4"}, {"type": "text", "value": "What?"}])


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"value": "What?"}, "type"),
        ({"type": "text"}, "value"),
        ({"type": "text", "value": None}, "value"),
        ({"type": "image", "value": 3}, "value"),
        ({"type": ["text"], "value": "What?"}, "type"),
        ("What?", "type"),
    ],
)
def test_a_damaged_part_names_its_field(
    adapter: ModuleType, tiny_folder: Path, picture: str, part: Any, field: str
) -> None:
    model = adapter.PerceptioVLM(str(tiny_folder), device="cpu")
    with pytest.raises(ValueError, match=f"part 1 of a question of BLINK .*'{field}'"):
        model.generate_inner([{"type": "image", "value": picture}, part], dataset="BLINK")


def test_odd_switches_and_pictures_are_named(adapter: ModuleType, tiny_folder: Path, picture: str) -> None:
    with pytest.raises(ValueError, match=r"seg .*'perhaps'"):
        adapter.PerceptioVLM(str(tiny_folder), seg="perhaps", device="cpu").generate([picture, "What?"])
    model = adapter.PerceptioVLM(str(tiny_folder), device="cpu")
    with pytest.raises(ValueError, match=r"none\.png"):
        model.generate([{"type": "image", "value": "none.png"}, {"type": "text", "value": "What?"}])
