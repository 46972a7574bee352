"""MMBench: the official TSV, the prompts, the rotations, and what circular accuracy asks for."""

from __future__ import annotations

import base64
import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import load_samples
from perceptio.evaluation.mmbench import MMBench, open_mmbench
from perceptio.evaluation.report import Figure, Report
from perceptio.evaluation.runner import run_benchmark
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, Trace

COLUMNS = ["index", "question", "hint", *"ABCD", "answer", "category", "l2-category", "image", "split"]


def picture(seed: int, side: int = 40) -> str:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def rows() -> list[dict[str, str]]:
    """Two questions, the second about the first's picture, and the copies that the official file holds of them."""
    one = {
        "index": "241",
        "question": 'Which word is "right"?',
        "hint": "The passage\thas a tab,\nand two lines.",
        **{"A": "dark red", "B": "red", "C": "blue", "D": "green"},
        "answer": "B",
        "category": "color",
        "l2-category": "attribute_reasoning",
        "image": picture(0, 400),  # longer than the csv module's own limit
        "split": "dev",
    }
    two = {
        **one,
        **{"index": "252", "question": "Is it so?", "hint": "", "A": "yes", "B": "no", "C": "", "D": "", "answer": "A"},
        **{"l2-category": "logic_reasoning", "image": "241"},
    }
    copies = [{**one, "index": str(241 + k * 1_000_000), "image": "241"} for k in (1, 2, 3)]
    copies.append({**two, "index": "1000252"})
    return [one, two, *copies, {**one, "index": "7", "image": picture(1), "split": "test", "answer": ""}]


def write(path: Path, content: list[dict[str, str]], columns: list[str] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(content)
    return path


@pytest.fixture
def tsv(tmp_path: Path) -> Path:
    return write(tmp_path / "mmbench_dev_en.tsv", rows())


def scored(benchmark: MMBench, words: Callable[[Any, int], str]) -> dict[str, Figure]:
    """The figures when rotation `by` of a question is answered with words(question, by)."""
    samples = []
    for unit in range(len(benchmark)):
        (item,) = benchmark.items(unit)
        answers = [Answer(words(item.truth, by), [], None, Trace(raw="")) for by in range(len(item.asks))]
        samples.append(benchmark.score(item, answers))
    return {figure.name: figure for figure in benchmark.figures(samples)}


def test_a_question_is_asked_once_for_each_option(tsv: Path) -> None:
    benchmark = open_mmbench(tsv)
    (one,), (two,) = benchmark.items(0), benchmark.items(1)
    assert [ask.prompt for ask in one.asks][:2] == [
        "The passage\thas a tab,\nand two lines.\n"
        'Which word is "right"?\n'
        "A. dark red\n"
        "B. red\n"
        "C. blue\n"
        "D. green\n"
        "Answer with the option's letter from the given choices directly.",
        "The passage\thas a tab,\nand two lines.\n"
        'Which word is "right"?\n'
        "A. red\n"
        "B. blue\n"
        "C. green\n"
        "D. dark red\n"
        "Answer with the option's letter from the given choices directly.",
    ]
    assert [ask.prompt for ask in two.asks] == [
        "Is it so?\nA. yes\nB. no\nAnswer with the option's letter from the given choices directly.",
        "Is it so?\nA. no\nB. yes\nAnswer with the option's letter from the given choices directly.",
    ]
    assert (one.key, len(one.asks), two.key) == ("241", 4, "252")


def test_the_right_letter_moves_with_its_option(tsv: Path) -> None:
    for question in open_mmbench(tsv).questions:
        right = dict(zip(question.letters, question.options, strict=True))[question.answer]
        for by in range(len(question.letters)):
            options = dict(zip(question.letters, question.rotated(by), strict=True))
            assert options[question.answer_rotated(by)] == right
    assert [open_mmbench(tsv).questions[0].answer_rotated(by) for by in range(4)] == ["B", "A", "D", "C"]


def test_an_image_may_be_that_of_another_row(tsv: Path) -> None:
    benchmark = open_mmbench(tsv)
    images = [item.asks[0].image for unit in (0, 1) for item in benchmark.items(unit)]
    expected = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    for image in images:
        assert isinstance(image, Image.Image)
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_copies_and_other_splits_are_left_out_and_counted(tsv: Path) -> None:
    settings = open_mmbench(tsv).settings
    assert (settings["questions"], settings["split"]) == (2, "dev")
    assert (settings["circular_copies_left_out"], settings["rows_of_other_splits"]) == (4, 1)
    assert len(settings["tsv_sha256"]) == 16


def test_right_letters_score_full_marks(tsv: Path) -> None:
    figures = scored(open_mmbench(tsv), lambda question, by: question.answer_rotated(by))
    assert {name: (figure.value, figure.count) for name, figure in figures.items()} == {
        "circular accuracy": (1, 2),
        "plain accuracy": (1, 2),
        "l2: attribute_reasoning": (1, 1),
        "l2: logic_reasoning": (1, 1),
        "questions with an unreadable answer": (0, 2),
    }
    assert list(figures)[:2] == ["circular accuracy", "plain accuracy"]


def test_the_right_options_text_is_right_in_every_rotation(tsv: Path) -> None:
    words = {"241": "It is red.", "252": "yes"}
    assert scored(open_mmbench(tsv), lambda question, _: words[str(question.index)])["circular accuracy"].value == 1


def test_one_letter_for_everything_is_right_in_the_first_pass_only(tsv: Path) -> None:
    figures = scored(open_mmbench(tsv), lambda question, by: question.answer)
    assert (figures["plain accuracy"].value, figures["circular accuracy"].value) == (1, 0)
    assert figures["l2: logic_reasoning"].value == 0


def test_silence_is_wrong_and_never_skipped(tsv: Path) -> None:
    figures = scored(open_mmbench(tsv), lambda question, by: "")
    assert [(figure.value, figure.count) for figure in figures.values()] == [(0, 2), (0, 2), (0, 1), (0, 1), (1, 2)]


def test_a_file_without_hints_and_splits_is_read(tmp_path: Path) -> None:
    columns = [name for name in COLUMNS if name not in ("hint", "split", "category")]
    benchmark = open_mmbench(write(tmp_path / "a.tsv", rows()[:2], columns))
    assert benchmark.questions[0].prompt(0).startswith("Which word")


def test_a_word_that_looks_like_nothing_is_an_option(tmp_path: Path) -> None:
    content = [{**rows()[0], "A": "None", "B": "nan", "C": " "}]
    question = open_mmbench(write(tmp_path / "a.tsv", content)).questions[0]
    assert (question.letters, question.options) == ("ABD", ("None", "nan", "green"))


def test_a_picture_is_decoded_with_its_items(tmp_path: Path) -> None:
    content = rows()[:1]
    content[0]["image"] = base64.b64encode(b"no picture" * 20).decode()
    benchmark = open_mmbench(write(tmp_path / "a.tsv", content))
    with pytest.raises(EvaluationError, match=r"a\.tsv line 2: its picture is not an image"):
        benchmark.items(0)


BAD: list[tuple[dict[str, str], str]] = [
    ({"image": "not base64!" * 9}, "line 4: the image is not base64"),
    ({"image": ""}, "line 4 has no image"),
    ({"image": "99"}, "line 4: its image is that of index 99, which has none"),
    ({"index": "241"}, "line 4: index 241 is there twice"),
    ({"index": "x"}, "line 4: index is 'x', not a whole number"),
    ({"index": "9" * 5000}, "line 4: index is '999"),
    ({"index": "-1"}, "line 4: index is '-1'"),
    ({"index": "\u0661"}, "line 4: index is '\u0661'"),
    ({"answer": "C"}, "line 4: the answer is 'C', not one of A, B"),
    ({"answer": ""}, "line 4: the answer is '', not one of A, B"),
    ({"B": ""}, "line 4 has 1 options"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, change: dict[str, str], message: str) -> None:
    one, two = rows()[:2]  # the first takes lines 2 and 3: its hint has two
    with pytest.raises(EvaluationError, match=message):
        open_mmbench(write(tmp_path / "a.tsv", [one, {**two, **change}]))


@pytest.mark.parametrize("column", ["answer", "image", "l2-category"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    columns = [name for name in COLUMNS if name != column]
    with pytest.raises(EvaluationError, match=f"has no column {column}"):
        open_mmbench(write(tmp_path / "a.tsv", rows(), columns))


def test_other_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"there is no file .*none\.tsv"):
        open_mmbench(tmp_path / "none.tsv")
    with pytest.raises(EvaluationError, match="is a folder"):
        open_mmbench(tmp_path)
    (tmp_path / "empty.tsv").touch()
    with pytest.raises(EvaluationError, match="has no column index, question"):
        open_mmbench(tmp_path / "empty.tsv")
    (tmp_path / "short.tsv").write_text("\t".join(COLUMNS) + "\n241\tWhat?\n")
    with pytest.raises(EvaluationError, match=r"short\.tsv line 2 has 2 columns instead of 12"):
        open_mmbench(tmp_path / "short.tsv")
    (tmp_path / "binary.tsv").write_bytes(("\t".join(COLUMNS) + "\n").encode() + b"\xff\xfe\n")
    with pytest.raises(EvaluationError, match=r"binary\.tsv line 2 is not text in UTF-8"):
        open_mmbench(tmp_path / "binary.tsv")
    with pytest.raises(EvaluationError, match="holds no question of the split dev"):
        open_mmbench(write(tmp_path / "test.tsv", [{**rows()[0], "split": "test"}]))


def test_a_model_runs_through(tsv: Path, tiny: Perceptio, tmp_path: Path) -> None:
    results = run_benchmark(tiny, open_mmbench(tsv), tmp_path / "out", progress=False)
    samples = load_samples(results.folder)
    assert [sample.key for sample in samples] == ["241", "252"]
    assert [len(sample.record["rotations"]) for sample in samples] == [4, 2]
    assert [rotation["target"] for rotation in samples[0].record["rotations"]] == ["B", "A", "D", "C"]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r\n", '"', "\U0001f600"])
def test_marks_inside_a_cell_are_part_of_it(tmp_path: Path, mark: str) -> None:
    content = [{**rows()[0], "question": f"What{mark}is it?"}, rows()[1]]
    one, two = open_mmbench(write(tmp_path / "a.tsv", content)).questions
    assert (one.question, two.question) == (f"What{mark}is it?", "Is it so?")


@pytest.mark.parametrize(
    "edited",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.replace(b"question\t", b" question \t", 1),
    ],
    ids=["byte order mark", "CRLF", "blanks in the head"],
)
def test_a_file_that_an_editor_has_saved_is_read_alike(tsv: Path, edited: Callable[[bytes], bytes]) -> None:
    saved = tsv.with_name("saved.tsv")
    saved.write_bytes(edited(tsv.read_bytes()))
    before, after = open_mmbench(tsv), open_mmbench(saved)
    assert [question.prompt(0).split() for question in after.questions] == [
        question.prompt(0).split() for question in before.questions
    ]
    for unit in (0, 1):
        np.testing.assert_array_equal(after.items(unit)[0].asks[0].image, before.items(unit)[0].asks[0].image)


def test_base64_may_be_broken_into_lines(tmp_path: Path) -> None:
    image = picture(0)
    content = [{**rows()[0], "image": "\n".join(image[k : k + 76] for k in range(0, len(image), 76))}]
    (item,) = open_mmbench(write(tmp_path / "a.tsv", content)).items(0)
    assert item.asks[0].image.size == (40, 40)


@pytest.mark.parametrize(
    ("edited", "named"),
    [
        (lambda content: content.replace(b"dark red", "dunkelgr\u00fcn".encode("latin-1")), r"a\.tsv line 3 .*UTF-8"),
        (lambda content: content.decode().encode("utf-16"), r"a\.tsv line 1 .*UTF-8"),
        (lambda content: content.replace(b"\t", b","), r"a\.tsv has no column .* tabs"),
        (lambda content: content.replace(b"\thint\t", b"\tquestion\t", 1), r"a\.tsv has the column 'question' twice"),
        (lambda content: content + b'8\t"Is it so', r"a\.tsv line \d+ has 2 columns instead of 12"),
        (lambda content: content.replace(b"Is it so", b"Is it\rso", 1), r"a\.tsv line 4 .*new-line"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(
    tsv: Path, edited: Callable[[bytes], bytes], named: str
) -> None:
    path = tsv.with_name("a.tsv")
    path.write_bytes(edited(tsv.read_bytes()))
    with pytest.raises(EvaluationError, match=named):
        open_mmbench(path)


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceptio.evaluation.mmbench._LONGEST_LINE", 2**20)
    (tmp_path / "a.tsv").write_text("\t".join(COLUMNS) + "\n" + "x" * 2**21)
    with pytest.raises(EvaluationError, match=r"a\.tsv line 2 is longer than 1 MiB"):
        open_mmbench(tmp_path / "a.tsv")
    (tmp_path / "a.tsv").write_text("\t".join(COLUMNS) + '\n1\t"' + "x\n" * 2**20)
    with pytest.raises(EvaluationError, match=r"a\.tsv line 2 .*limit"):
        open_mmbench(tmp_path / "a.tsv")


def test_the_csv_modules_limit_is_left_as_it_was(tsv: Path) -> None:
    before = csv.field_size_limit()
    open_mmbench(tsv).items(0)
    assert csv.field_size_limit() == before


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tsv")
    with pytest.raises(EvaluationError, match=r"a\.tsv is no file"):
        open_mmbench(tmp_path / "a.tsv")


def test_a_file_that_changes_under_the_run_is_said(tsv: Path) -> None:
    benchmark = open_mmbench(tsv)
    tsv.write_text("short\n")
    with pytest.raises(EvaluationError, match=r"dev_en\.tsv has been changed"):
        benchmark.items(0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image": picture(5, 90)[:2000]}, "line 4: its picture"),
        ({"question": "Why? " * 3000}, "line 4: .*tokens"),
        ({"question": "Why\x00?"}, r"line 4: .*\\x00"),
    ],
)
def test_what_cannot_be_asked_is_found_before_the_first_answer(
    tmp_path: Path, tiny: Perceptio, change: dict[str, str], named: str
) -> None:
    benchmark = open_mmbench(write(tmp_path / "a.tsv", [rows()[0], {**rows()[1], **change}]))
    benchmark.score = None  # type: ignore[assignment,method-assign]
    with pytest.raises(EvaluationError, match=rf"a\.tsv {named}"):
        run_benchmark(tiny, benchmark, tmp_path / "out", progress=False)


def test_names_of_abilities_cannot_break_the_table(tmp_path: Path) -> None:
    content = [{**rows()[0], "l2-category": "a|b\u2028c\x85d"}]
    benchmark = open_mmbench(write(tmp_path / "a.tsv", content))
    report = Report("MMBench", {}, benchmark.figures([]))
    assert "| l2: a\\|b c d " in report.to_markdown()
    assert len(report.to_markdown().splitlines()) == 2 + 2 + 4
