"""Marked points: the files as AURORA lays them out, the prompts, the letters, and the mean of the subsets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import load_samples
from perceptio.evaluation.hardblink import PointsBenchmark, open_blink_depth, open_hardblink
from perceptio.evaluation.report import Figure
from perceptio.evaluation.runner import run_benchmark
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, Trace
from perceptio.tokens import Switch

LONG = "Multiple points are circled on the image ... let's think through it step by step."


def write_lines(path: Path, entries: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def write_picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def hardblink(tmp_path: Path) -> Path:
    """Two pictures a subset; the answers of question k is letter k + 1."""
    for points in (3, 4, 5):
        name = f"blink_{points}pointscenter"
        asked = [{"question_id": k, "image": f"{k}.png", "text": LONG} for k in range(2)]
        write_lines(tmp_path / "questions" / f"{name}_questions_long.jsonl", asked)
        answers = [{"question_id": k, "answer": "BC"[k]} for k in (1, 0)]  # in another order
        write_lines(tmp_path / "answers" / f"{name}_answers.jsonl", answers)
        for k in range(2):
            write_picture(tmp_path / "images" / f"blink{points}pointscenter" / f"{k}.png", points + k)
    return tmp_path


@pytest.fixture
def blink(tmp_path: Path) -> Path:
    entries = [
        {"idx": "val_Relative_Depth_1", "image": "1.png", "answer": "(B)", "question": "Which?"},
        {"image": "2.png", "answer": "(A)"},
    ]
    write_lines(tmp_path / "relative_depth.jsonl", entries)
    for k in (1, 2):
        write_picture(tmp_path / "images" / f"{k}.png", k)
    return tmp_path


def scored(benchmark: PointsBenchmark, words: Callable[[str], str]) -> dict[str, Figure]:
    """The figures when every question with truth X is answered with words(X)."""
    items = [item for unit in range(len(benchmark)) for item in benchmark.items(unit)]
    samples = [benchmark.score(item, [Answer(words(item.truth.answer), [], None, Trace(raw=""))]) for item in items]
    return {figure.name: figure for figure in benchmark.figures(samples)}


def test_the_hardblink_prompt_is_fixed_whatever_the_file_words(hardblink: Path) -> None:
    (item,) = open_hardblink(hardblink).items(0)
    (ask,) = item.asks
    assert ask.prompt == (
        "Multiple points are circled on the image, labeled by letters beside each circle. "
        "Which point is the closest to the camera?"
    )
    assert (ask.seg, ask.depth) == (Switch.AUTO, Switch.AUTO)
    assert ask.image == hardblink / "images" / "blink3pointscenter" / "0.png"


def test_the_blink_prompt_is_the_data_sets(blink: Path) -> None:
    (item,) = open_blink_depth(blink).items(0)
    assert item.asks[0].prompt == (
        "Two points are circled on the image, labeled by A and B beside each circle. "
        "Which point is closer to the camera?\n"
        "Select from the following choices.\n"
        "(A) A is closer\n"
        "(B) B is closer"
    )


def test_right_letters_score_full_marks(hardblink: Path) -> None:
    figures = scored(open_hardblink(hardblink), "Point {}.".format)
    assert list(figures) == ["3 points", "4 points", "5 points", "mean", "unreadable answers"]
    assert [figures[name].value for name in figures] == [1, 1, 1, 1, 0]
    assert [figures[name].count for name in figures] == [2, 2, 2, 6, 6]


def test_silence_is_wrong_and_never_skipped(hardblink: Path) -> None:
    figures = scored(open_hardblink(hardblink), lambda _: "")
    assert [figure.value for figure in figures.values()] == [0, 0, 0, 0, 1]
    assert [figure.count for figure in figures.values()] == [2, 2, 2, 6, 6]


def test_a_letter_beyond_the_points_cannot_be_read(hardblink: Path) -> None:
    figures = scored(open_hardblink(hardblink), lambda _: "Point D.")
    assert figures["unreadable answers"].value == pytest.approx(2 / 6)


def test_the_mean_is_of_the_subsets_not_of_the_samples(hardblink: Path) -> None:
    (hardblink / "images" / "blink5pointscenter" / "0.png").unlink()
    figures = scored(open_hardblink(hardblink, allow_missing=True), {"B": "B", "C": "A"}.__getitem__)
    assert [figures[f"{points} points"].value for points in (3, 4, 5)] == [0.5, 0.5, 0]
    assert figures["mean"].value == pytest.approx(1 / 3)  # pooled: 2 of 5
    assert figures["mean"].error == pytest.approx(math.sqrt(2 * 0.5 * 0.5 / 2) / 3)


def test_the_mean_is_none_where_a_subset_is_empty(hardblink: Path) -> None:
    for k in range(2):
        (hardblink / "images" / "blink5pointscenter" / f"{k}.png").unlink()
    figures = scored(open_hardblink(hardblink, allow_missing=True), "{}".format)
    assert figures["5 points"].count == 0
    assert math.isnan(figures["mean"].value)


def test_blink_letters_come_in_brackets(blink: Path) -> None:
    figures = scored(open_blink_depth(blink), "({})".format)
    assert list(figures) == ["2 points", "unreadable answers"]
    assert (figures["2 points"].value, figures["2 points"].count) == (1, 2)
    assert scored(open_blink_depth(blink), "{} is closer".format)["2 points"].value == 1
    assert scored(open_blink_depth(blink), lambda _: "")["2 points"].value == 0


def test_settings_name_the_files(hardblink: Path) -> None:
    settings = open_hardblink(hardblink).settings
    assert settings["images"] == {"3 points": 2, "4 points": 2, "5 points": 2}
    assert settings["missing_images"] == 0
    assert len(settings["annotations_sha256"]) == 16
    answers = hardblink / "answers" / "blink_3pointscenter_answers.jsonl"
    answers.write_text(answers.read_text().replace('"B"', '"A"'))
    assert open_hardblink(hardblink).settings["annotations_sha256"] != settings["annotations_sha256"]


@pytest.mark.parametrize("field", ["answer", "label", "text"])
@pytest.mark.parametrize("words", ["B", "(B)", "Point B"])
def test_plausible_answer_files_are_read(hardblink: Path, field: str, words: str) -> None:
    for points in (3, 4, 5):
        entries = [{field: words}, {field: "C"}]  # no question_id: in the order of the questions
        write_lines(hardblink / "answers" / f"blink_{points}pointscenter_answers.jsonl", entries)
    benchmark = open_hardblink(hardblink)
    assert [question.answer for question in benchmark.questions] == ["B", "C"] * 3


def test_brief_questions_go_before_long_ones(hardblink: Path) -> None:
    write_lines(
        hardblink / "questions" / "blink_3pointscenter_questions.jsonl",
        [{"question_id": k, "image": f"blink3pointscenter/{1 - k}.png", "text": ""} for k in range(2)],
    )
    assert open_hardblink(hardblink).questions[0].image.name == "1.png"


def test_missing_pictures_are_counted(hardblink: Path) -> None:
    missing = hardblink / "images" / "blink4pointscenter" / "1.png"
    missing.unlink()
    with pytest.raises(EvaluationError) as error:
        open_hardblink(hardblink)
    asked = hardblink / "questions" / "blink_4pointscenter_questions_long.jsonl"
    assert str(error.value) == (
        f"1 of 6 images of HardBLINK are missing, the first is {missing} of {asked} line 2; "
        "--allow-missing runs on the rest"
    )
    benchmark = open_hardblink(hardblink, allow_missing=True)
    assert len(benchmark) == 5
    assert benchmark.settings["missing_images"] == 1
    assert benchmark.settings["images"] == {"3 points": 2, "4 points": 1, "5 points": 2}


def test_no_pictures_at_all_are_refused_in_any_case(blink: Path) -> None:
    for picture in (blink / "images").iterdir():
        picture.unlink()
    with pytest.raises(
        EvaluationError,
        match=r"^2 of 2 images of BLINK .*1\.png of .*relative_depth\.jsonl line 1$",
    ):
        open_blink_depth(blink, allow_missing=True)


QUESTIONS, ANSWERS = "questions/blink_3pointscenter_questions_long.jsonl", "answers/blink_3pointscenter_answers.jsonl"
BAD = [
    (ANSWERS, '{"question_id": 0, "answer": "B"}\n', "has no answer to question_id 1"),
    (ANSWERS, '{"question_id": 0, "answer": "D"}\n', r"line 1: answer is 'D', not one of the letters A, B, C"),
    (ANSWERS, '{"question_id": 0}\n', r"line 1 has no 'answer', only question_id"),
    (ANSWERS, '{"question_id": 0, "answer": "B"}\n{"answer": "B"}\n', r"line 2 has no 'question_id'"),
    (ANSWERS, '{"question_id": 0, "answer": "B"}\n' * 2, "line 2: question_id 0 has an answer already"),
    (ANSWERS, '{"answer": "B"}\n', "has 1 answers without question_id for 2 questions"),
    (ANSWERS, "", "is empty"),
    (QUESTIONS, '{"question_id": 0}\n', r"line 1 has no 'image'"),
    (QUESTIONS, '{"question_id": 0, "image": "0.png"}\n' * 2, "line 2: question_id 0 has been asked already"),
    (QUESTIONS, "{half", "line 1 is damaged"),
    (QUESTIONS, "[1]", "line 1 is not a JSON object"),
    (QUESTIONS, "[" * 5000, "line 1 is nested too deep"),
    (QUESTIONS, '{"question_id": ' + "9" * 5000 + "}", "line 1 is damaged"),
    (QUESTIONS, '{"question_id": 0, "question_id": 1, "image": "0.png"}', "line 1 .*'question_id' stands twice"),
    (QUESTIONS, '{"question_id": [0], "image": "0.png"}', r"line 1: question_id is \[0\]"),
    (QUESTIONS, '{"question_id": 1e9, "image": "0.png"}', r"line 1: question_id is 1000000000\.0"),
    (QUESTIONS, '{"question_id": true, "image": "0.png"}', "line 1: question_id is True"),
    (QUESTIONS, '{"question_id": 0, "image": null}', "line 1: image is None"),
    (QUESTIONS, '{"question_id": 0, "image": "' + "x" * 5000 + '"}', "line 1: image is 'xxx"),
    (ANSWERS, '{"question_id": 0, "answer": ' + '"Z"' * 1 + "}", "line 1: answer is 'Z'"),
    (ANSWERS, '{"question_id": 0, "answer": "B"}\n{"question_id": 1, "answer": "\xff"}', "2 is not UTF-8"),
]


@pytest.mark.parametrize(("file", "content", "message"), BAD)
def test_a_damaged_file_is_one_sentence(hardblink: Path, file: str, content: str, message: str) -> None:
    (hardblink / file).write_text(content, encoding="latin-1")
    with pytest.raises(EvaluationError, match=message) as error:
        open_hardblink(hardblink)
    assert str(hardblink / file) in str(error.value)


def test_a_folder_of_another_layout_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"there is no folder .*questions; give the folder that holds"):
        open_hardblink(tmp_path)
    (tmp_path / "questions").mkdir()
    with pytest.raises(EvaluationError, match=r"questions holds no file \*3points\*\.jsonl"):
        open_hardblink(tmp_path)
    with pytest.raises(EvaluationError, match=r"there is no file .*relative_depth\.jsonl"):
        open_blink_depth(tmp_path)


def test_a_model_runs_through(hardblink: Path, tiny: Perceptio, tmp_path: Path) -> None:
    for points in (3, 4, 5):
        (hardblink / "images" / f"blink{points}pointscenter" / "1.png").unlink()
    results = run_benchmark(tiny, open_hardblink(hardblink, allow_missing=True), tmp_path / "out", progress=False)
    assert [figure.count for figure in results.report.figures] == [1, 1, 1, 3, 3]
    samples = load_samples(results.folder)
    assert [sample.key for sample in samples] == ["3/0", "4/0", "5/0"]
    assert samples[0].record["target"] == "B"


def test_files_that_an_editor_has_saved_are_read_alike(hardblink: Path) -> None:
    before = open_hardblink(hardblink).questions
    for path in hardblink.rglob("*.jsonl"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b" \r\n")
    assert open_hardblink(hardblink).questions == before


def test_line_separators_inside_a_text_end_no_line(blink: Path) -> None:
    entries = [{"image": f"{k}.png", "answer": "(B)", "question": "Which\u2028\x85\x0bone?"} for k in (1, 2)]
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    (blink / "relative_depth.jsonl").write_text(lines, encoding="utf-8", newline="")
    assert [question.where.rpartition(" ")[2] for question in open_blink_depth(blink).questions] == ["1", "2"]


@pytest.mark.parametrize("name", ["../relative_depth.jsonl", "/dev/zero", "a/../../1.png"])
def test_a_picture_outside_the_folder_is_refused(blink: Path, name: str) -> None:
    write_lines(blink / "relative_depth.jsonl", [{"image": name, "answer": "(B)"}])
    with pytest.raises(EvaluationError, match=r"line 1: image is .* leads out"):
        open_blink_depth(blink)


def test_a_picture_that_cannot_be_opened_is_found_before_the_first_answer(
    hardblink: Path, tiny: Perceptio, tmp_path: Path
) -> None:
    (hardblink / "images" / "blink5pointscenter" / "1.png").write_bytes(b"\x89PNG\r\n")
    benchmark = open_hardblink(hardblink)
    benchmark.score = None  # type: ignore[assignment,method-assign]
    with pytest.raises(EvaluationError, match=r"5pointscenter_questions_long\.jsonl line 2: .*1\.png"):
        run_benchmark(tiny, benchmark, tmp_path / "out", progress=False)
