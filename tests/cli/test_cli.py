"""The command line as a user meets it: what is printed where, and one sentence for everything that can go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import perceptio
from perceptio.cli import main
from perceptio.pipeline import Perceptio
from perceptio.visualize import color_depth

COMMAND = [sys.executable, "-c", "from perceptio.cli import main; main()"]


class Result(NamedTuple):
    """What one run left."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, from its arguments to its exit code."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["perceptio", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        code = stopped.value.code
        assert code is None or isinstance(code, int)
        return Result(code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """60 wide, 90 high."""
    return noise(tmp_path / "photo.png", 0)


@pytest.fixture
def options(tiny_folder: Path) -> list[str]:
    return ["--model", str(tiny_folder), "--device", "cpu"]


def noise(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 60, 3), dtype=np.uint8)).save(path)
    return path


def failed(result: Result) -> str:
    """The sentence of a failed run."""
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1
    return result.err.removeprefix("error: ").rstrip()


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
    assert failed(result).startswith("unknown device 'abacus'")


def test_output_folder_that_is_a_file_is_one_sentence(run: Run, image: Path, options: list[str]) -> None:
    before = image.read_bytes()
    message = failed(run("ask", image, "hello", *options, "--out", image))
    assert message.startswith("cannot write ")
    assert message.endswith(f"{image} is a file, not a folder")
    assert image.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ask"], "Missing argument"),
        (["ask", "a.png", "hello", "--seg", "maybe"], "'maybe' is not one of 'off'"),
        (["ask", "a.png", "hello", "--sge", "on"], "No such option"),
        (["sak"], "No such command 'sak'"),
        (["eval", "scenes", "--limit", "0"], "'--limit'"),
        (["scenes", "render", "x", "--split", "nope"], "'nope' is not one of 'train'"),
        (["scenes", "show", "--count", "65"], "'--count'"),
        (["tokenizer"], "Usage"),
    ],
)
def test_wrong_arguments_are_explained(run: Run, arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert complaint in " ".join((result.out + result.err).split())
    assert "Traceback" not in result.err


@pytest.mark.parametrize("command", [[], ["ask"], ["scenes"], ["scenes", "render"], ["tokenizer"], ["eval"], ["train"]])
def test_help_names_the_command(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.code == 0
    assert f"Usage: {' '.join(['perceptio', *command])}" in " ".join(result.out.split())


def test_interruption_ends_with_its_own_code(run: Run, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("perceptio.images.load_image", interrupt)
    result = run("ask", image, "hello")
    assert result.code == 130
    assert result.out == ""
    assert "Traceback" not in result.err


def test_our_own_mistakes_keep_their_traceback(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("perceptio.images.load_image", mistake)
    monkeypatch.setattr(sys, "argv", ["perceptio", "ask", str(image), "hello"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_missing_extra_is_named(run: Run, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    message = failed(run("train", image))
    assert message == "this command needs yaml, which is not installed: pip install 'perceptio[train]'"


def test_codes_go_to_a_picture_and_back(
    run: Run, tiny: Perceptio, tiny_folder: Path, tmp_path: Path, image: Path
) -> None:
    depth = np.random.default_rng(0).uniform(1, 9, (50, 40)).astype(np.float32)
    np.save(tmp_path / "depth.npy", depth)
    result = run("tokenizer", "encode", tmp_path / "depth.npy", "--model", tiny_folder)
    assert result.code == 0
    content = json.loads(result.out)
    assert content["grid"] == 4
    assert len(content["codes"]) == 16
    (tmp_path / "codes.json").write_text(result.out)
    out = tmp_path / "new" / "map.png"
    result = run("tokenizer", "decode", tmp_path / "codes.json", "--model", tiny_folder, "--out", out)
    assert (result.code, result.out) == (0, "")
    values = np.load(out.with_suffix(".npy"))
    assert values.shape == (32, 32)
    with Image.open(out) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(color_depth(values)))


def test_encoding_a_picture_without_a_teacher_is_one_sentence(run: Run, image: Path) -> None:
    assert "name a depth network with --teacher" in failed(run("tokenizer", "encode", image))


@pytest.mark.parametrize(
    "array",
    [np.zeros(5), np.zeros((2, 2, 2)), np.zeros((2, 2), np.int64), np.full((2, 2), np.nan), np.array([[None]])],
    ids=["vector", "volume", "integers", "nan", "objects"],
)
def test_array_that_is_no_depth_is_one_sentence(run: Run, tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "depth.npy", array, allow_pickle=True)
    assert str(tmp_path / "depth.npy") in failed(run("tokenizer", "encode", tmp_path / "depth.npy"))


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\x93NUMPY\x01\x00"])
def test_file_that_is_no_array_is_one_sentence(run: Run, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "depth.npy"
    if content is not None:
        path.write_bytes(content)
    assert failed(run("tokenizer", "encode", path)).startswith(f"{path} cannot be read as an array")


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", "{}", '{"codes": 3}', '{"codes": [1.5]}', '{"codes": ["a"]}', '{"codes": [true]}', "null"]
)
def test_file_without_codes_is_one_sentence(run: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "codes.json").write_text(content)
    message = failed(run("tokenizer", "decode", tmp_path / "codes.json"))
    assert message.startswith(f"{tmp_path / 'codes.json'} is not JSON with a list of codes")


@pytest.mark.parametrize("codes", [[], [0] * 15, [16] * 16, [-1] * 16])
def test_codes_that_do_not_fit_the_model_are_one_sentence(
    run: Run, tmp_path: Path, tiny_folder: Path, codes: list[int]
) -> None:
    (tmp_path / "codes.json").write_text(json.dumps({"codes": codes}))
    out = tmp_path / "map.png"
    result = run("tokenizer", "decode", tmp_path / "codes.json", "--model", tiny_folder, "--out", out)
    assert f"must hold 16 codes from 0 to 15, not {len(codes)}" in failed(result)
    assert not out.exists()


def test_missing_codes_are_one_sentence(run: Run, tmp_path: Path) -> None:
    assert failed(run("tokenizer", "decode", tmp_path / "none.json")).startswith(
        f"cannot read {tmp_path / 'none.json'}"
    )
    assert failed(run("tokenizer", "decode", tmp_path)).startswith(f"cannot read {tmp_path}")


@pytest.mark.parametrize("command", [["eval", "scenes"], ["tokenizer", "report"]])
def test_missing_scenes_are_one_sentence(run: Run, tmp_path: Path, tiny_folder: Path, command: list[str]) -> None:
    message = failed(run(*command, "--model", tiny_folder, "--scenes", tmp_path / "none"))
    assert message.startswith(f"{tmp_path / 'none' / 'test'} holds no finished scenes")


@pytest.mark.parametrize("command", [["eval", "scenes"], ["tokenizer", "report"]])
def test_unknown_model_of_a_measurement_is_one_sentence(run: Run, tmp_path: Path, command: list[str]) -> None:
    assert failed(run(*command, "--model", "nanoo", "--scenes", tmp_path)).startswith("there is no model 'nanoo'")


def test_showing_missing_scenes_is_one_sentence(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert "holds no finished scenes" in failed(run("scenes", "show", tmp_path / "none", "--out", out))
    assert not out.exists()


def test_impossible_renderings_are_one_sentence(run: Run, tmp_path: Path) -> None:
    for arguments in (["--count", "0"], ["--count", "-3"], ["--workers", "0"], ["--size", "0"]):
        failed(run("scenes", "render", tmp_path / "out", "--count", "2", "--workers", "1", *arguments))
    (tmp_path / "file").write_text("mine")
    failed(run("scenes", "render", tmp_path / "file", "--count", "1", "--workers", "1"))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("command", [["train"], ["tokenizer", "train"]])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot read the recipe"),
        ("", "must be a mapping of settings, not None"),
        ("- 1", "must be a mapping of settings"),
        ("name: a\nsteps: 3", "has the unknown setting 'steps'"),
        ("name: a\ndepth:\n  stepz: 3", "depth has the unknown setting 'stepz'"),
        ("name: a\ndepth:\n  steps: many", "depth: steps must be of type int, not 'many'"),
        ("name: [", "is not valid YAML"),
        ("seed: 1", "name"),
    ],
)
def test_unusable_recipe_is_one_sentence(
    run: Run, tmp_path: Path, command: list[str], content: str | None, complaint: str
) -> None:
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_text(content)
    message = failed(run(*command, path, "--out", tmp_path / "out"))
    assert str(path) in message
    assert complaint in message
    assert not (tmp_path / "out").exists()


def test_unknown_and_premature_stages_are_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: a")
    arguments = ["train", tmp_path / "recipe.yaml", "--out", tmp_path / "out", "--stage"]
    assert failed(run(*arguments, "deph")).startswith("unknown stage 'deph': choose from ")
    result = run(*arguments, "joint")
    assert result.code == 1
    assert "error: " in result.err
    assert "run the stage `words` first" in result.err.splitlines()[-1]


def test_version_is_shown_without_loading_torch() -> None:
    code = (
        f"import sys\n{COMMAND[2].replace('main()', '')}\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"perceptio {perceptio.__version__}\nFalse\n"


def test_a_process_of_its_own_keeps_stdout_for_the_answer(tiny: Perceptio, image: Path, options: list[str]) -> None:
    result = subprocess.run(
        [*COMMAND, "ask", str(image), "Where is the cube?", *options],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    expected = tiny.ask(image, "Where is the cube?")
    assert result.returncode == 0
    assert result.stdout == expected.text + "\n"
    assert result.stderr == "".join(f"warning: {problem}\n" for problem in expected.trace.malformed)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    code = (
        "import sys\nfrom perceptio.cli.errors import reporting\nwith reporting():\n    print('text')\n    sys.exit(0)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 0
