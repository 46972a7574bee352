"""Which marked point is closest: HardBLINK with 3 to 5 points (AURORA, 2412.03548), BLINK's relative depth with 2.

HardBLINK, as AURORA lays it out (`Data/evals` of its repository):

    ROOT/questions/*3points*.jsonl      question_id, image, text       (likewise 4 and 5)
    ROOT/answers/*3points*.jsonl        question_id, answer
    ROOT/images/blink3pointscenter/     the pictures, 124 a subset

BLINK (2404.12390), the validation split of `Relative_Depth`, has no files of its own; ours are

    ROOT/relative_depth.jsonl           image, answer: "(A)" or "(B)"
    ROOT/images/                        the pictures
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.data.answer_choice import choose_option
from perceptio.data.marks import HARDBLINK_PROMPT
from perceptio.evaluation.depth_tokens import DepthTokens, Replacement, check_labels, codes_hash, labelled_codes
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged, Outcome, figures
from perceptio.evaluation.questions import Ask, Item, answer_record
from perceptio.evaluation.report import Figure
from perceptio.files import parse_json, read_lines
from perceptio.pipeline import Perceptio
from perceptio.results import Answer

BLINK_PROMPT = (
    "Two points are circled on the image, labeled by A and B beside each circle. Which point is closer to the camera?\n"
    "Select from the following choices.\n(A) A is closer\n(B) B is closer"
)
UNREADABLE = "unreadable answers"
_POINTS = (3, 4, 5)
_LETTERS = "ABCDE"
_LONGEST_NAME = 1000  # characters
_ANSWER_FIELDS = ("answer", "label", "text")  # AURORA's questions are known from its code, its answers are not


@dataclass(frozen=True)
class PointQuestion:
    """One picture with marked points."""

    key: str
    points: int
    image: Path
    answer: str  # the letter of the closest point
    where: str  # file and line


class PointsBenchmark:
    """One prompt for all pictures; a unit is one picture.

    Args:
        name: of the data set.
        prompt: the question.
        questions: in their order.
        points: marked points of each subset.
        source: what the settings say of the files.
    """

    protocol = "2"

    def __init__(
        self, name: str, prompt: str, questions: Sequence[PointQuestion], points: Sequence[int], source: dict[str, Any]
    ) -> None:
        self.name, self.prompt, self.questions, self.source = name, prompt, questions, source
        self.subsets = [_figure(number) for number in points]
        self.replacement: Replacement | None = None  # None: the model's own depth tokens

    def replace_depth(self, model: Perceptio, kind: DepthTokens, labels: str | Path | None = None) -> None:
        """Let answers read other depth tokens than the model's own.

        Args:
            model: to be judged.
            kind: of depth tokens.
            labels: folder of `perceptio label` over the pictures, made with the model's depth tokenizer: kinds that go
                by the true map take a teacher's for it.

        Raises:
            EvaluationError: if labels are needed and there are none, or not needed.
            DataError: if they are damaged.
        """
        from perceptio.labeling.networks import tokenizer_hash

        check_labels(kind, labels)
        if kind is DepthTokens.own:
            return
        tokenizer, codes = model.model.depth_tokenizer, list[np.ndarray]()
        if labels is not None:
            images = [question.image for question in self.questions]
            codes = labelled_codes(labels, images, tokenizer.config, tokenizer_hash(tokenizer))
            self.source = {**self.source, "labels_sha256": codes_hash(codes)}
        self.name = f"{self.name}, depth tokens {kind.value}"
        self.source = {**self.source, "depth_tokens": kind.value}
        self.replacement = Replacement(kind, tokenizer.config, codes.__getitem__, len(self.questions))

    @property
    def settings(self) -> dict[str, Any]:
        """Pictures of each subset, missing ones, a hash of the annotations and the prompt."""
        counts = {name: sum(_figure(one.points) == name for one in self.questions) for name in self.subsets}
        return {"dataset": self.name, "images": counts, **self.source, "prompt": self.prompt}

    def __len__(self) -> int:
        return len(self.questions)

    def items(self, unit: int) -> list[Item]:
        """The question about one picture."""
        question, replacement = self.questions[unit], self.replacement
        ask = Ask(question.image, self.prompt)
        if replacement is not None:
            codes, repeated = replacement.codes(unit), replacement.repeats_first
            ask = replace(ask, depth=replacement.depth, codes=codes, repeat_first=repeated)
        return [Item(question.key, (ask,), question, question.where)]

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """Right if the answer settles on the closest point."""
        (ask,), (answer,) = item.asks, answers
        question = item.truth
        chosen = choose_option(answer.text, _LETTERS[: question.points])
        record = {"target": question.answer, "chosen": chosen, **answer_record(ask, answer)}
        right = chosen == question.answer
        outcomes: dict[str, Outcome] = {_figure(question.points): right, UNREADABLE: chosen is None}
        return Judged(item.key, question.image.name, outcomes, record)

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        """Accuracy of each subset, and the mean of these accuracies if there are several."""
        found = figures(samples, [*self.subsets, UNREADABLE])
        subsets = found[: len(self.subsets)]
        if len(subsets) > 1:
            found.insert(len(subsets), _mean(subsets))
        return found


def open_hardblink(root: str | Path, *, allow_missing: bool = False) -> PointsBenchmark:
    """HardBLINK in a folder of AURORA's layout.

    Args:
        root: holds questions/, answers/ and images/.
        allow_missing: leave out questions whose picture is missing.

    Raises:
        EvaluationError: if a file is missing or damaged, an answer cannot be read, or pictures are missing.
    """
    root = Path(root)
    files: list[Path] = []
    questions: list[PointQuestion] = []
    for points in _POINTS:
        asked, answered = (_subset_file(root / folder, points) for folder in ("questions", "answers"))
        files += [asked, answered]
        images: dict[str, tuple[Path, str]] = {}
        for _, place, record in _records(asked):
            key = _key(record, place)
            if key in images:
                raise EvaluationError(f"{place}: question_id {key} has been asked already")
            images[key] = root / "images" / f"blink{points}pointscenter" / Path(_image(record, place)).name, place
        answers = _answers(answered, points, list(images))
        questions += [
            PointQuestion(f"{points}/{key}", points, image, answers[key], place)
            for key, (image, place) in images.items()
        ]
    return _benchmark("HardBLINK", HARDBLINK_PROMPT, questions, _POINTS, files, allow_missing)


def open_blink_depth(root: str | Path, *, allow_missing: bool = False) -> PointsBenchmark:
    """BLINK's relative depth in the layout above.

    Args:
        root: holds relative_depth.jsonl and images/.
        allow_missing: leave out questions whose picture is missing.

    Raises:
        EvaluationError: if a file is missing or damaged, an answer cannot be read, or pictures are missing.
    """
    file = Path(root) / "relative_depth.jsonl"
    questions = []
    for number, place, record in _records(file):
        name = Path(_image(record, place))
        if name.is_absolute() or ".." in name.parts:
            raise EvaluationError(f"{place}: image is {str(name)!r}, which leads out of {Path(root) / 'images'}")
        image, answer = Path(root) / "images" / name, _letter(record, place, 2)
        questions.append(PointQuestion(str(number), 2, image, answer, place))
    return _benchmark("BLINK relative depth", BLINK_PROMPT, questions, (2,), [file], allow_missing)


def _benchmark(
    name: str,
    prompt: str,
    questions: Sequence[PointQuestion],
    points: Sequence[int],
    files: Sequence[Path],
    allow_missing: bool,
) -> PointsBenchmark:
    there = [question for question in questions if os.path.isfile(question.image)]  # whatever its name
    missing = [question for question in questions if not os.path.isfile(question.image)]
    if missing and not (allow_missing and there):
        hint = "; --allow-missing runs on the rest" if there else ""
        raise EvaluationError(
            f"{len(missing)} of {len(questions)} images of {name} are missing, the first is {missing[0].image} "
            f"of {missing[0].where}{hint}"
        )
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    source = {"missing_images": len(missing), "annotations_sha256": digest[:16]}
    return PointsBenchmark(name, prompt, there, points, source)


def _subset_file(folder: Path, points: int) -> Path:
    """The file of one subset. AURORA words questions briefly and at length: either will do, the brief one first."""
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder {folder}; give the folder that holds questions, answers and images")
    found = sorted(folder.glob(f"*{points}points*.jsonl"), key=lambda path: ("long" in path.stem, path.name))
    if not found:
        raise EvaluationError(f"{folder} holds no file *{points}points*.jsonl")
    return found[0]


def _answers(file: Path, points: int, keys: Sequence[str]) -> dict[str, str]:
    """The letter of each question: by question_id, or in the order of the questions if no line has one."""
    records = list(_records(file))
    answers: dict[str, str] = {}
    in_order = not any("question_id" in record for *_, record in records)
    if in_order and len(records) != len(keys):
        raise EvaluationError(f"{file} has {len(records)} answers without question_id for {len(keys)} questions")
    for position, (_, place, record) in enumerate(records):
        key = keys[position] if in_order else _key(record, place)
        if key in answers:
            raise EvaluationError(f"{place}: question_id {key} has an answer already")
        answers[key] = _letter(record, place, points)
    unanswered = [key for key in keys if key not in answers]
    if unanswered:
        raise EvaluationError(f"{file} has no answer to question_id {unanswered[0]}")
    return answers


def _letter(record: dict[str, Any], place: str, points: int) -> str:
    field = next((name for name in _ANSWER_FIELDS if name in record), _ANSWER_FIELDS[0])
    letters = _LETTERS[:points]
    letter = choose_option(str(_field(record, place, field)), letters)
    if letter is None:
        raise EvaluationError(f"{place}: {field} is {record[field]!r:.80}, not one of the letters {', '.join(letters)}")
    return letter


def _key(record: dict[str, Any], place: str) -> str:
    key = _field(record, place, "question_id")
    if not isinstance(key, (str, int)) or isinstance(key, bool):
        raise EvaluationError(f"{place}: question_id is {key!r:.80}, neither a number nor a text")
    return str(key)


def _image(record: dict[str, Any], place: str) -> str:
    name = _field(record, place, "image")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise EvaluationError(f"{place}: image is {name!r:.80}, not the name of a file")
    return name


def _field(record: dict[str, Any], place: str, name: str) -> Any:
    if name not in record:
        raise EvaluationError(f"{place} has no {name!r}, only {', '.join(sorted(record)) or 'nothing':.200}")
    return record[name]


def _records(file: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Of each line that is not empty: its number from 1, file and line, and its object."""
    empty = True
    try:
        for number, line in read_lines(file):
            empty, place = False, f"{file} line {number}"
            record = parse_json(line, place)
            if not isinstance(record, dict):
                raise EvaluationError(f"{place} is not a JSON object")
            yield number, place, record
    except EvaluationError:
        raise
    except ValueError as error:
        raise EvaluationError(str(error)) from error
    if empty:
        raise EvaluationError(f"{file} is empty")


def _figure(points: int) -> str:
    return f"{points} points"


def _mean(subsets: Sequence[Figure]) -> Figure:
    """Mean of the subsets' accuracies: a subset counts as much as another, whatever its size; NaN if one is empty."""
    errors = [figure.error for figure in subsets if figure.error is not None]
    error = math.sqrt(math.fsum(error**2 for error in errors)) / len(subsets)
    value = math.fsum(figure.value for figure in subsets) / len(subsets)
    return Figure("mean", value, sum(figure.count for figure in subsets), error=error)
