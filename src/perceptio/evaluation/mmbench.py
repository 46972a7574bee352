"""MMBench (2307.06281) from its TSV, with circular evaluation: right only if right however the options are rotated.

The official file has one row a question, tab-separated, with the columns index, question, hint, A to D, answer,
category, l2-category, image (base64) and split. Rows whose index is 1,000,000 or more are circular copies of the
question `index % 1,000,000` (so VLMEvalKit groups them); they are left out, since the rotations are made here. An image
cell that is a number names the row whose image is meant.
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from perceptio.data.answer_choice import choose_option
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged, Outcome, figures
from perceptio.evaluation.questions import Ask, Item, answer_record
from perceptio.evaluation.report import Figure
from perceptio.images import ImageError, load_working_image
from perceptio.results import Answer

INSTRUCTION = "Answer with the option's letter from the given choices directly."
CIRCULAR, PLAIN, UNREADABLE = "circular accuracy", "plain accuracy", "questions with an unreadable answer"
_LETTERS = "ABCD"
_REQUIRED = ("index", "question", *_LETTERS, "answer", "l2-category", "image")
_FIRST_COPY = 1_000_000  # indices from here on are circular copies
_LONGEST_INDEX = 64  # characters; a longer cell is an image (VLMEvalKit's bound)
_SPLIT = "dev"
_LONGEST_NUMBER = 18  # digits of an index
_LONGEST_LINE = 128 * 2**20  # bytes, of a cell too; the csv module's own limit, 128 KiB, is less than one picture


@dataclass(frozen=True)
class ImageCell:
    """Where an image stands in the file."""

    line: int  # its row starts on, from 1
    offset: int  # of the row, in bytes
    column: int


@dataclass(frozen=True)
class Question:
    """One question as the file words it."""

    index: int
    question: str
    hint: str
    letters: str  # of the options there are, such as "ABC"
    options: tuple[str, ...]  # their texts
    answer: str  # the letter of the right one
    ability: str  # l2-category
    image: ImageCell
    where: str  # file and line

    def rotated(self, by: int) -> tuple[str, ...]:
        """The options' texts when each letter gets the text that stood `by` letters further on."""
        return self.options[by:] + self.options[:by]

    def answer_rotated(self, by: int) -> str:
        """The letter of the right option after that rotation."""
        return self.letters[(self.letters.index(self.answer) - by) % len(self.letters)]

    def prompt(self, by: int) -> str:
        """What is asked after a rotation."""
        lines = [f"{letter}. {text}" for letter, text in zip(self.letters, self.rotated(by), strict=True)]
        return "\n".join([*([self.hint] if self.hint else []), self.question, *lines, INSTRUCTION])


class MMBench:
    """The questions of one TSV; a unit is one question with all its rotations.

    Args:
        tsv: the file; a picture is read when its question is asked.
        questions: in the order of the file.
        source: what the settings say of the file.
    """

    name = "MMBench"
    protocol = "2"

    def __init__(self, tsv: Path, questions: Sequence[Question], source: dict[str, Any]) -> None:
        self.tsv, self.questions, self.source = tsv, questions, source

    @property
    def settings(self) -> dict[str, Any]:
        """Questions, rows left out, and a hash of the file."""
        return {"dataset": self.name, "split": _SPLIT, "questions": len(self.questions), **self.source}

    def __len__(self) -> int:
        return len(self.questions)

    def items(self, unit: int) -> list[Item]:
        """One question, asked once for each of its options."""
        question = self.questions[unit]
        image = self._image(question.image)
        asks = tuple(Ask(image, question.prompt(by)) for by in range(len(question.letters)))
        return [Item(str(question.index), asks, question, question.where)]

    def _image(self, cell: ImageCell) -> Image.Image:
        place = f"{self.tsv} line {cell.line}"
        with self.tsv.open("rb") as file:
            file.seek(cell.offset)
            _, _, cells = next(_rows(self.tsv, file), (0, 0, []))
        if len(cells) <= cell.column:
            raise EvaluationError(f"{self.tsv} has been changed since it was opened")
        try:
            return load_working_image(_decoded(cells[cell.column], place), f"{place}: its picture").image
        except ImageError as error:
            raise EvaluationError(str(error)) from error

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """Right if every rotation is; the first pass alone gives the plain accuracy."""
        question: Question = item.truth
        targets = [question.answer_rotated(by) for by in range(len(answers))]
        chosen = [
            choose_option(answer.text, question.letters, question.rotated(by)) for by, answer in enumerate(answers)
        ]
        circular = chosen == targets
        outcomes: dict[str, Outcome] = {
            CIRCULAR: circular,
            PLAIN: chosen[0] == targets[0],
            _ability(question): circular,
            UNREADABLE: None in chosen,
        }
        record = {
            "target": question.answer,
            **answer_record(item.asks[0], answers[0]),
            "rotations": [
                {"target": target, "chosen": letter, "answer": answer.text}
                for target, letter, answer in zip(targets, chosen, answers, strict=True)
            ],
        }
        return Judged(item.key, f"line {question.image.line}", outcomes, record)

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        """Circular and plain accuracy, then the circular accuracy of each ability."""
        abilities = sorted({_ability(question) for question in self.questions})
        return figures(samples, [CIRCULAR, PLAIN, *abilities, UNREADABLE])


def open_mmbench(tsv: str | Path) -> MMBench:
    """Read the questions of an official TSV, once through; the pictures stay in the file.

    Raises:
        EvaluationError: if the file is missing or damaged, has no answers, or a row cannot be asked.
    """
    tsv = Path(tsv)
    if not tsv.is_file():
        kind = "is a folder" if tsv.is_dir() else "is no file"
        raise EvaluationError(f"{tsv} {kind}; give the TSV file" if tsv.exists() else f"there is no file {tsv}")
    with tsv.open("rb") as file:
        questions, left_out = _questions(tsv, _rows(tsv, file))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return MMBench(tsv, questions, {**left_out, "tsv_sha256": digest[:16]})


def _questions(tsv: Path, rows: Iterator[tuple[int, int, list[str]]]) -> tuple[list[Question], dict[str, int]]:
    """The questions, and how many rows were left out for which reason."""
    header = [name.strip() for name in next(rows, (0, 0, []))[2]]
    missing = [name for name in _REQUIRED if name not in header]
    if missing == ["answer"]:
        raise EvaluationError(f"{tsv} has no column answer: the test split's answers are not public, take the dev file")
    if missing:
        hint = "" if len(header) > 1 else ", with tabs between them"
        raise EvaluationError(
            f"{tsv} has no column {', '.join(missing)}; MMBench's TSV has {', '.join(_REQUIRED)}{hint}"
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise EvaluationError(f"{tsv} has the column {twice[0]!r} twice")
    images: dict[int, ImageCell] = {}
    same_as: dict[int, int] = {}  # row -> row whose image it uses
    asked: dict[int, tuple[str, dict[str, str]]] = {}
    copies = others = 0
    for line, offset, cells in rows:
        place = f"{tsv} line {line}"
        if len(cells) != len(header):
            raise EvaluationError(f"{place} has {len(cells)} columns instead of {len(header)}")
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        index = _number(row["index"], f"{place}: index")
        if index in images or index in same_as:
            raise EvaluationError(f"{place}: index {index} is there twice")
        image = row.pop("image")
        if len(image) <= _LONGEST_INDEX and image.isdecimal():
            same_as[index] = int(image)
        else:
            _decoded(image, place)
            images[index] = ImageCell(line, offset, header.index("image"))
        if index >= _FIRST_COPY:
            copies += 1
        elif row.get("split", _SPLIT) != _SPLIT:
            others += 1
        else:
            asked[index] = (place, row)
    if not asked:
        raise EvaluationError(f"{tsv} holds no question of the split {_SPLIT}, the one with answers")
    questions = []
    for index, (place, row) in asked.items():
        source = same_as.get(index, index)
        if source not in images:
            raise EvaluationError(f"{place}: its image is that of index {source}, which has none")
        questions.append(_question(index, row, images[source], place))
    return questions, {"circular_copies_left_out": copies, "rows_of_other_splits": others}


def _question(index: int, row: dict[str, str], image: ImageCell, place: str) -> Question:
    letters = "".join(letter for letter in _LETTERS if row[letter])
    if len(letters) < 2:
        raise EvaluationError(f"{place} has {len(letters)} options; a question needs two at least")
    if row["answer"] not in list(letters):
        raise EvaluationError(f"{place}: the answer is {row['answer']!r:.80}, not one of {', '.join(letters)}")
    options = tuple(row[letter] for letter in letters)
    texts = row["question"], row.get("hint", ""), letters, options, row["answer"], row["l2-category"]
    return Question(index, *texts, image, place)


def _rows(tsv: Path, file: BinaryIO) -> Iterator[tuple[int, int, list[str]]]:
    """Of each row: the line it starts on, from 1, its place in bytes, and its cells, which may hold line ends."""
    number, offset = 0, file.tell()  # of what has been read

    def text() -> Iterator[str]:
        nonlocal number, offset
        while line := file.readline(_LONGEST_LINE + 1):
            number, offset = number + 1, offset + len(line)
            if len(line) > _LONGEST_LINE:
                raise EvaluationError(f"{tsv} line {number} is longer than {_LONGEST_LINE >> 20} MiB")
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")

    reader = csv.reader(text(), delimiter="\t")
    while True:
        start, place = number + 1, offset
        try:
            with _long_cells():
                cells = next(reader, None)
        except UnicodeDecodeError as error:
            raise EvaluationError(
                f"{tsv} line {number} is not text in UTF-8: save the file as UTF-8 ({error})"
            ) from error
        except csv.Error as error:
            raise EvaluationError(f"{tsv} line {start} is not a line of a TSV: {error}") from error
        if cells is None:
            return
        if cells:
            yield start, place, cells


@contextmanager
def _long_cells() -> Iterator[None]:
    """The csv module has one limit for all who use it."""
    usual = csv.field_size_limit(_LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER):
        raise EvaluationError(f"{what} is {text!r:.80}, not a whole number")
    return int(text)


def _decoded(image: str, place: str) -> bytes:
    """The bytes of a picture in base64, which may be broken into lines."""
    if not image.strip():
        raise EvaluationError(f"{place} has no image")
    try:
        return base64.b64decode("".join(image.split()), validate=True)
    except ValueError as error:
        raise EvaluationError(f"{place}: the image is not base64: {error}") from error


def _ability(question: Question) -> str:
    return f"l2: {question.ability}"
