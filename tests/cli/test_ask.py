"""`perceptio ask`, `segment` and `depth`: what is printed and written, and one sentence for what cannot be asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from perceptio.decoding import perceiving
from perceptio.pipeline import Perceptio

from .conftest import Run, failed, noise


def test_ask_prints_the_text_alone(run: Run, tiny: Perceptio, image: Path, options: list[str]) -> None:
    result = run("ask", image, "Where is the cube?", *options)
    assert result.code == 0
    assert result.out == tiny.ask(image, "Where is the cube?").text + "\n"


def test_several_images_are_told_apart(run: Run, tiny: Perceptio, tmp_path: Path, options: list[str]) -> None:
    images = [noise(tmp_path / name, seed) for seed, name in enumerate(("a.png", "b.png"))]
    result = run("ask", *images, "hello", *options, "--seg", "off")
    expected = [f"{path}: {tiny.ask(path, 'hello', seg='off').text}\n" for path in images]
    assert result.out == "".join(expected)


def test_json_is_one_object(run: Run, tiny: Perceptio, image: Path, options: list[str]) -> None:
    result = run("ask", image, "Segment the small green cone.", *options, "--json", "--seg", "on", "--depth", "on")
    assert result.code == 0
    assert result.out.count("\n") == 1
    content = json.loads(result.out)
    assert {"text", "masks", "depth", "seconds", "malformed"} <= set(content)
    expected = tiny.ask(image, "Segment the small green cone.", seg="on", depth="on").to_dict()
    assert {**content, "seconds": None} == {"image": str(image), **expected, "seconds": None}
    assert set(content["seconds"]) == set(expected["seconds"])


def test_json_of_several_images_is_one_object_too(run: Run, tmp_path: Path, options: list[str]) -> None:
    images = [noise(tmp_path / name, seed) for seed, name in enumerate(("a.png", "b.png"))]
    content = json.loads(run("ask", *images, "hello", *options, "--json").out)
    assert [answer["image"] for answer in content["answers"]] == [str(path) for path in images]


def test_out_writes_the_three_files(run: Run, image: Path, tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "deep" / "out"
    result = run("ask", image, "hello", *options, "--depth", "on", "--out", folder, "--json")
    assert result.code == 0
    assert f"wrote {folder}/" in result.err
    assert sorted(path.name for path in folder.iterdir()) == ["answer.json", "depth.png", "overlay.png"]
    assert json.loads(result.out)["depth"]["file"] == str(folder / "depth.png")
    assert json.loads((folder / "answer.json").read_text())["depth"]["file"] == "depth.png"


def test_out_gives_each_of_several_images_a_folder(run: Run, tmp_path: Path, options: list[str]) -> None:
    images = [noise(tmp_path / name, 0) for name in ("x/a.png", "y/a.png", "b.png")]
    result = run("ask", *images, "hello", *options, "--depth", "off", "--out", tmp_path / "out")
    assert result.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "a-2", "b"]
    assert all((tmp_path / "out" / name / "overlay.png").is_file() for name in ("a", "a-2", "b"))


def test_segment_is_a_shorthand(run: Run, image: Path, options: list[str]) -> None:
    short = json.loads(run("segment", image, " the red cube. ", *options, "--json").out)
    long = json.loads(
        run("ask", image, "Segment the red cube.", "--seg", "on", "--depth", "off", *options, "--json").out
    )
    assert short["raw"] == long["raw"]
    assert short["raw"].startswith("[SEG]")
    assert short["depth"] is None


def test_depth_is_a_shorthand(run: Run, image: Path, options: list[str]) -> None:
    short = json.loads(run("depth", image, *options, "--json").out)
    long = json.loads(run("ask", image, "Show the depth map.", "--seg", "off", "--depth", "on", *options, "--json").out)
    assert short["raw"] == long["raw"]
    assert short["masks"] == []
    assert short["depth"]["size"] == [90, 60]


def test_free_running_warns_of_what_is_malformed(run: Run, tiny: Perceptio, image: Path, options: list[str]) -> None:
    for prompt in ("hello", "Segment the cone.", "Is A nearer?", "What is left?"):
        expected = tiny.ask(image, prompt, constrained=False).trace.malformed
        result = run("ask", image, prompt, *options, "--free")
        assert [line for line in result.err.splitlines() if line.startswith("warning: ")] == [
            f"warning: {problem}" for problem in expected
        ]
        if expected:
            return
    pytest.fail("no free answer was malformed: choose other prompts")


def test_missing_image_is_one_sentence(run: Run, image: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.png"
    assert (
        failed(run("ask", path, "hello", "--model", "no model: images come first")) == f"there is no image file {path}"
    )
    assert failed(run("ask", image, path, "hello", "--model", "x")) == f"there is no image file {path}"


def test_folder_and_text_in_place_of_an_image_are_one_sentence(run: Run, tmp_path: Path) -> None:
    assert failed(run("depth", tmp_path)).endswith("is a folder, not an image file")
    (tmp_path / "a.txt").write_text("hello")
    assert "is not an image of a known format" in failed(run("segment", tmp_path / "a.txt", "the cube"))


@pytest.mark.parametrize("prompt", ["", "   "])
def test_blank_prompt_is_one_sentence(run: Run, image: Path, prompt: str) -> None:
    assert failed(run("ask", image, prompt)).startswith("the prompt is empty")
    assert failed(run("segment", image, prompt)).startswith("name what to segment")


def test_overlong_prompt_is_one_sentence(run: Run, image: Path, options: list[str]) -> None:
    assert "but the model reads at most 960; shorten it" in failed(run("ask", image, "7" * 5000, *options))


def test_unknown_model_is_one_sentence(run: Run, image: Path, tmp_path: Path) -> None:
    assert failed(run("ask", image, "hello", "--model", "nanoo")).startswith("there is no model 'nanoo'")
    assert failed(run("ask", image, "hello", "--model", image)).startswith(f"{image} is a file, not a model's folder")
    assert "config.json" in failed(run("ask", image, "hello", "--model", tmp_path))
    assert "the hub cannot be reached" in failed(run("ask", image, "hello", "--model", "nobody/nothing"))


def test_unknown_device_is_one_sentence(run: Run, image: Path, tiny_folder: Path) -> None:
    result = run("ask", image, "hello", "--model", tiny_folder, "--device", "abacus")
    assert failed(result).startswith("this machine offers no device 'abacus'")


def test_output_folder_that_is_a_file_is_one_sentence(run: Run, image: Path, options: list[str]) -> None:
    before = image.read_bytes()
    message = failed(run("ask", image, "hello", *options, "--out", image))
    assert message.startswith("cannot write ")
    assert message.endswith(f"{image} is a file, not a folder")
    assert image.read_bytes() == before


@pytest.mark.parametrize("command", [["ask", "hello"], ["segment", "the cube"], ["depth"]])
def test_web_address_is_one_sentence_with_both_of_its_strokes(run: Run, command: list[str]) -> None:
    name, *prompt = command
    message = failed(run(name, "http://example.org/a.png", *prompt))
    assert message.startswith("http://example.org/a.png is a web address: download it first")


def test_pipe_is_one_sentence(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "is a pipe or a device" in failed(run("ask", tmp_path / "pipe.png", "hello"))


def test_each_picture_is_decoded_once(
    run: Run, tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large ones would be held twice."""
    decoded: list[object] = []
    load = perceiving.load_working_image
    monkeypatch.setattr(perceiving, "load_working_image", lambda source: decoded.append(source) or load(source))
    images = [noise(tmp_path / name, seed) for seed, name in enumerate(("a.png", "b.png"))]
    monkeypatch.setattr("perceptio.cli.ask._PIXELS", 90 * 60)  # one picture at a time
    result = run("ask", *images, "hello", *options, "--seg", "off")
    assert [line.split(": ")[0] for line in result.out.splitlines() if ": " in line] == [str(path) for path in images]
    assert decoded == [str(path) for path in images]


def test_output_folder_is_tried_before_the_model_is_loaded(run: Run, image: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = failed(
        run("ask", image, "hello", "--model", "no model: --out comes first", "--out", tmp_path / "file" / "o")
    )
    assert message.startswith("cannot write")


def test_a_teacher_gives_the_depth(run: Run, image: Path, depth_anything: Path, options: list[str]) -> None:
    asked = ("ask", image, "hello", *options, "--seg", "off", "--json")
    taught = json.loads(run(*asked, "--depth", "teacher", "--depth-teacher", depth_anything).out)
    own = json.loads(run(*asked, "--depth", "on").out)
    assert taught["depth"]["codes"] != own["depth"]["codes"]
    for half in (("--depth", "teacher"), ("--depth-teacher", str(depth_anything))):
        assert "--depth-teacher belong together" in failed(run(*asked, *half))


def test_depth_codes_are_found_as_asked(run: Run, image: Path, options: list[str]) -> None:
    asked = ("depth", image, *options, "--json", "--depth-decoding")
    found = [json.loads(run(*asked, how).out)["depth"]["codes"] for how in ("exact", "sequential")]
    assert found[0] == found[1]
    assert "no depth query" in failed(run(*asked, "parallel"))
