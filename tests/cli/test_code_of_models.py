"""Code that lies in a model's folder is never run, and nobody is asked whether it may."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

CODE = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nraise SystemExit('it ran')\n"
MODULES = ("configuration_own", "modeling_own", "tokenization_own", "processing_own")
AUTO_MAP: dict[str, Any] = {
    "AutoConfig": "configuration_own.OwnConfig",
    "AutoModel": "modeling_own.OwnModel",
    "AutoModelForCausalLM": "modeling_own.OwnModel",
    "AutoTokenizer": ["tokenization_own.OwnTokenizer", None],
    "AutoProcessor": "processing_own.OwnProcessor",
    "AutoImageProcessor": "processing_own.OwnProcessor",
}


def plant(source: Path, folder: Path, *, in_tokenizer: bool = True, **config: Any) -> Path:
    """A copy of a model's folder that asks for code of its own."""
    shutil.copytree(source, folder)
    for module in MODULES:
        (folder / f"{module}.py").write_text(CODE)
    for name in ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and (in_tokenizer or name != "tokenizer_config.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": AUTO_MAP}))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


@pytest.fixture(autouse=True)
def yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks is told yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))


@pytest.mark.parametrize("in_tokenizer", [False, True])
def test_parts_with_code(run: Any, parts: Path, tmp_path: Path, in_tokenizer: bool) -> None:
    folders = [plant(parts / name, tmp_path / name, in_tokenizer=in_tokenizer) for name in ("vlm", "sam", "depth")]
    vlm, sam, depth = folders
    found = run("init", "--vlm", vlm, "--sam", sam, "--tokenizer", depth, "--out", tmp_path / "out")
    assert "custom code" not in found.out + found.err
    assert not [folder for folder in folders if (folder / "ran").exists()]
    assert (found.code == 0) is (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["internvl_chat", "sa2va_chat", "own_chat"])
def test_a_checkpoint_with_code(run: Any, parts: Path, tmp_path: Path, kind: str) -> None:
    folder = plant(parts / "vlm", tmp_path / "vlm", model_type=kind)
    out = tmp_path / "out"
    found = run("convert", folder, "--tokenizer", parts / "depth", "--sam", parts / "sam", "--out", out)
    assert found.code == 1
    assert "custom code" not in found.out + found.err
    assert not (folder / "ran").exists()


def test_a_model_and_a_teacher_with_code(
    run: Any, tiny_folder: Path, depth_anything: Path, image: Path, tmp_path: Path
) -> None:
    model, teacher = plant(tiny_folder, tmp_path / "model"), plant(depth_anything, tmp_path / "teacher")
    for arguments in (
        ("ask", image, "Where?", "--model", model, "--device", "cpu"),
        ("tokenizer", "encode", image, "--model", model, "--teacher", teacher),
    ):
        found = run(*arguments)
        assert "custom code" not in found.out + found.err
    assert not (model / "ran").exists()
    assert not (teacher / "ran").exists()
