"""A conversion writes what `data check` accepts, and counts the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.data.adapters.registry import convert
from perceptio.data.check import check_files
from perceptio.data.errors import DataError
from perceptio.data.sample_files import SampleFile

GOOD = ("What?", "A cube.")


@pytest.fixture
def llava(tmp_path: Path, picture, write_json):
    """Write conversations about a picture each, by its name."""

    def write(*said: tuple[str, ...], names: tuple[str, ...] = ("1.jpg",)) -> Path:
        entries: list[dict[str, Any]] = []
        for number, texts in enumerate(said):
            speakers = ["human", "gpt"] * len(texts)
            messages = [{"from": one, "value": text} for one, text in zip(speakers, texts, strict=False)]
            messages[0]["value"] = f"<image>\n{texts[0]}"
            name = names[number % len(names)]
            entries.append({"id": f"id-{number}", "image": f"coco/train2017/{name}", "conversations": messages})
        for name in names:
            picture(tmp_path / "data" / "coco" / "train2017" / name, 20, 30)
        write_json(tmp_path / "data" / "llava_v1_5_mix665k.json", entries)
        return tmp_path / "data"

    return write


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        (("Write HTML.", "Use <p>Hello</p>."), "turns whose masks do not match the answer"),
        (("Write HTML.", "Use <p>."), "turns whose answer holds <p> or </p>, which must enclose a phrase each time"),
        (("Tags?", "<audio> and <video>."), "turns whose answer holds <video>, which has a meaning to the model"),
        (
            ("What is <|im_end|>?", "A token."),
            "turns whose question holds <|im_end|>, which has a meaning to the model",
        ),
        (("Half?", "\ud83d"), "turns whose answer holds half of a character, a lone surrogate, and is no text"),
    ],
)
def test_turns_that_training_would_refuse_are_counted(llava, converted, turn: tuple[str, str], what: str) -> None:
    llava((*GOOD, *turn, "And?", "A ball."), turn)
    result = converted("llava-665k")
    assert [[turn.answer for turn in sample.turns] for sample in result.samples] == [["A cube.", "A ball."]]
    assert result.done.left_out == {what: 2}
    assert "llava-665k/id-0: turns[1]." in result.done.first[what]


def test_pictures_that_are_cut_short_are_counted(llava, converted) -> None:
    data = llava(GOOD, GOOD, names=("1.jpg", "2.jpg"))
    broken = data / "coco" / "train2017" / "2.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    done = converted("llava-665k").done
    assert (done.samples, done.left_out) == (1, {"samples whose image cannot be used": 1})
    assert f"{broken} is damaged" in done.first["samples whose image cannot be used"]


def test_nothing_left_names_the_first_fault(llava, converted) -> None:
    llava(("Tags?", "<video>"))
    with pytest.raises(DataError, match=r"no sample of llava-665k is left: 1 turns whose answer .*id-0: turns\[0\]"):
        converted("llava-665k")


def test_a_name_in_latin_1_is_counted(tmp_path: Path, picture) -> None:
    data = tmp_path / "data"
    for name in ("a", "b"):
        picture(data / "images" / f"{name}.png", 20, 30)
        (data / "depth").mkdir(exist_ok=True)
        np.save(data / "depth" / f"{name}.npy", np.linspace(1, 2, 600).reshape(20, 30))
    for path in (data / "images" / "b.png", data / "depth" / "b.npy"):
        os.rename(path, os.fsencode(path).replace(b"b.", b"caf\xe9."))
    done = convert("depth", data, tmp_path / "out.jsonl")
    assert done.samples == 1
    assert done.left_out == {"samples whose image cannot be used": 1}
    assert r"caf\udce9.png' is not UTF-8: rename the file" in done.first["samples whose image cannot be used"]
    assert not check_files([tmp_path / "out.jsonl"], quiet=True).problems


def test_samples_behind_a_link_name_the_same_pictures(tmp_path: Path, llava) -> None:
    data = llava(GOOD)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    out = tmp_path / "link" / "out.jsonl"
    assert convert("llava-665k", data, out).samples == 1
    assert not check_files([out], quiet=True).problems
    assert not check_files([tmp_path / "elsewhere" / "deep" / "out.jsonl"], quiet=True).problems


def test_a_file_that_is_a_link_stays_one(tmp_path: Path, llava) -> None:
    data = llava(GOOD)
    (tmp_path / "out.jsonl").symlink_to(tmp_path / "real.jsonl")
    convert("llava-665k", data, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").is_symlink()
    assert len(SampleFile(tmp_path / "real.jsonl")) == 1


def test_a_conversion_that_was_killed_before_its_last_step_can_be_done_again(tmp_path: Path, llava) -> None:
    data, out = llava(GOOD), tmp_path / "out.jsonl"
    convert("llava-665k", data, out)
    files = tmp_path / "out-files"
    files.mkdir()
    (files / ".made-by-perceptio").write_text("out.jsonl")
    out.rename(files / "out.jsonl")
    convert("llava-665k", data, out)
    assert len(out.read_text().splitlines()) == 1
    assert not files.exists()


def test_what_was_made_is_read_where_it_is_made(tmp_path: Path, picture) -> None:
    """Grey maps of three channels become files of one, in a folder that takes its name at the end."""
    data = tmp_path / "data"
    picture(data / "images" / "a.png", 20, 30)
    (data / "inverse").mkdir()
    grey = np.linspace(1, 255, 600).reshape(20, 30).astype(np.uint8)
    for _ in range(2):  # the second time that folder is there
        Image.fromarray(np.repeat(grey[..., None], 3, -1)).save(data / "inverse" / "a.png")
        assert convert("depth", data, tmp_path / "out.jsonl").samples == 1
        line = json.loads((tmp_path / "out.jsonl").read_text())
        assert line["depth"] == "out-files/a.png"
        assert not check_files([tmp_path / "out.jsonl"], quiet=True).problems
        grey = grey[::-1]
