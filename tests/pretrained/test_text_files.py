"""A text tokenizer's files: what git-lfs, editors and disks make of them is said with the file's name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from perceptio.pretrained.folder import ModelError
from perceptio.pretrained.text_files import read_text_tokenizer

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 11421870\n"
FILES = ("vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json", "tokenizer.json")


@pytest.fixture
def folder(parts: Path, tmp_path: Path) -> Path:
    """The files of a Qwen2 tokenizer."""
    return Path(shutil.copytree(parts / "vlm", tmp_path / "vlm"))


def with_tokenizer_json(folder: Path) -> None:
    read_text_tokenizer(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_text_tokenizer(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["pointer", "empty", "cut", "latin", "folder", "pipe", "link"])
def test_file_that_is_none_is_named(folder: Path, name: str, kind: str) -> None:
    if name == "tokenizer.json":
        with_tokenizer_json(folder)
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    match kind:
        case "pointer":
            path.write_text(POINTER)
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "latin":
            path.write_bytes(content[:50] + b"\xe9" + content[50:])
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to("nowhere")
    message = refused(folder)
    assert str(path) in message
    assert ("git lfs pull" in message) == (kind == "pointer")


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "tokenizer_config.json"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert str(folder / name) in refused(folder)


def test_merges_that_lack_lines_are_refused(folder: Path) -> None:
    """They would load, and read words as tokens that the model never saw."""
    path = folder / "merges.txt"
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:-1]))
    assert "merges.txt is cut short: no merge makes the token" in refused(folder)
    path.write_text("\n".join(["#version: 0.2", *lines]) + "\r\n")
    assert len(read_text_tokenizer(folder)) > 256


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pad_token", None),
        ("pad_token", 5),
        ("eos_token", ["x"]),
        ("model_max_length", "x"),
        ("padding_side", "middle"),
        ("additional_special_tokens", [None]),
        ("auto_map", {"AutoTokenizer": ["evil.Tokenizer", None]}),
    ],
)
def test_wrong_setting_is_named(folder: Path, field: str, value: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert refused(folder).startswith(f"{path}: {field} must be")


@pytest.mark.parametrize("vocabulary", [{}, {"a": -1}, {"a": "1"}, {"a": 10**12}])
def test_vocabulary_of_other_content_is_named(folder: Path, vocabulary: dict[str, object]) -> None:
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    assert refused(folder).startswith(f"{folder / 'vocab.json'} is damaged")


@pytest.mark.parametrize("change", [{"continuing_subword_prefix": "../../etc/passwd"}, {"vocab": {"a": 10**9}}])
def test_a_tokenizer_at_which_the_library_panics_or_fills_the_memory_is_named(
    tiny_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "tiny"))
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text())
    stored["model"] |= change
    path.write_text(json.dumps(stored))
    assert refused(folder).startswith(str(path))
