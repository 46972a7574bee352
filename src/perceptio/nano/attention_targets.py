"""Where the words of an answer look: the positions in the sequence that they are read from.

Three kinds of target, each for a head of its own (`nano/attention.py`):

- words about a mark look at the visual token that shows it, and the end of a list of marks at nothing more; words about
  an object look at the input after its `[SEG]`, which carries the region feature;
- the words that the digits of a nearness are predicted from look at the depth code of the cell;
- words that were said before, in the question or earlier in the answer, look there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from perceptio.data.marks import GRID
from perceptio.data.packing import Offsets, PackedRow
from perceptio.data.schema import Mark, Sample, Turn, target_place
from perceptio.model.configuration import PerceptioConfig
from perceptio.nano.attention import DEPTH, SAID, SEEN

MARKS = "marks"  # tasks about marks begin so
NOWHERE = -1  # in place of a visual token: there is nothing more to look at

# a phrase and what is said of it: up to the next phrase or the end of the clause; the comma of "3,4" ends none
_SAID_OF_PHRASE = re.compile(r"<p>.*?</p>(?:[^<;,.]|(?<=\d),(?=\d))*")
_PHRASE = re.compile(r"(?<=<p>).*?(?=</p>)")
_CLAUSE = re.compile(r".*?\S(?=\s*[;.](?:\s|$))", re.DOTALL)  # from a word on
_NUMBERED = re.compile(r"<p>([^<]*\S) (\d+)</p>")  # one of a list: "<p>cube 2</p>"
_NEARNESS = re.compile(r"(?<!\d)(\d),(\d) (nearness \d)\d")


def attention_targets(sample: Sample, row: PackedRow, config: PerceptioConfig) -> list[tuple[int, int, int]]:
    """Kind, position, and the position to look at, of all targets in a packed row.

    Args:
        sample: that was packed.
        row: of the sample.
        config: of the model.
    """
    vlm, vocabulary = config.vlm, config.vocabulary
    tokens = vlm.image_seq_length
    grid = math.isqrt(tokens)
    # where the whole picture, the last tile, begins
    visual = len(row.input_ids) - row.input_ids[::-1].index(vlm.image_token_id) - tokens
    found: list[tuple[int, int, int]] = []
    for branch in row.branches:
        turn, offsets, first = branch.turn, branch.offsets, branch.words
        for word, cell in marks_looked_at(sample, turn, offsets, grid):
            # the row's first token says nothing: what looks there has nothing to look at
            found.append((SEEN, first + word, 0 if cell == NOWHERE else visual + cell))
        if vocabulary.order == "spans_first":
            for word, which in objects_looked_at(turn, offsets, len(branch.segments)):
                found.append((SEEN, first + word, branch.segments[which] + 1))
            if branch.span is not None:
                for word, code in depth_looked_at(turn, offsets, vocabulary.tokens_per_map):
                    found.append((DEPTH, first + word, branch.span + 1 + code))
        for word, said, in_answer in words_repeated(turn, offsets, branch.asked):
            found.append((SAID, first + word, (first if in_answer else branch.question) + said))
    return found


def marks_looked_at(sample: Sample, turn: Turn, offsets: Offsets, grid: int) -> Iterator[tuple[int, int]]:
    """Words about marks look at them: from a mark's letter to the end of its clause.

    The last word of a clause in a list looks for the next mark, since it decides whether the list goes on: at the
    mark that the next clause is about, or nowhere.

    Args:
        sample: with its marks.
        turn: of the sample.
        offsets: of `turn.answer`.
        grid: visual tokens along a side of the picture.

    Yields:
        the index of a token and that of the visual token which shows the mark, or `NOWHERE`; nothing of turns that
        are not about marks, where a letter may be a word, or whose words are not taught.
    """
    if not turn.task.startswith(MARKS) or "text" not in turn.supervise:
        return
    clauses = sorted(_clauses(sample, turn.answer, grid))
    for number, (begin, end, cell) in enumerate(clauses):
        rest = turn.answer[end:]
        if rest.startswith(";") and number + 1 < len(clauses):
            ahead = clauses[number + 1][2]
        else:
            listed = turn.answer[:begin].rstrip().endswith(";")
            ahead = NOWHERE if listed or rest.strip(" .") else cell
        yield from ((index, ahead if offsets[index][1] >= end else cell) for index in _within(offsets, begin, end))


def objects_looked_at(turn: Turn, offsets: Offsets, number: int) -> Iterator[tuple[int, int]]:
    """Words about an object look at the region feature of its `[SEG]`: from its phrase to the end of the clause.

    Args:
        turn: whose answer has one phrase for each `[SEG]`; with others it is not known what speaks of which.
        offsets: of `turn.answer`.
        number: of `[SEG]` tokens that the answer has.

    Yields:
        the index of a token and that of the `[SEG]`; nothing of words that are not taught.
    """
    parts = list(_SAID_OF_PHRASE.finditer(turn.answer))
    if len(parts) != number or "text" not in turn.supervise:
        return
    for which, part in enumerate(parts):
        yield from ((index, which) for index in _within(offsets, *part.span()))


def depth_looked_at(turn: Turn, offsets: Offsets, tokens_per_map: int) -> Iterator[tuple[int, int]]:
    """The words that a nearness is predicted from look at the depth code of the cell before it: "3,4 nearness 57".

    Args:
        turn: with a depth span.
        offsets: of `turn.answer`.
        tokens_per_map: codes in the span, a square grid in raster order.

    Yields:
        the index of a token and that of the code; nothing of words that are not taught.
    """
    if "text" not in turn.supervise:
        return
    side = math.isqrt(tokens_per_map)
    for read in _NEARNESS.finditer(turn.answer):
        row, column = ((2 * int(place) + 1) * side // (2 * GRID) for place in read.group(1, 2))
        yield from ((index, row * side + column) for index in _within(offsets, *read.span(3)))


def words_repeated(turn: Turn, offsets: Offsets, asked: Offsets) -> Iterator[tuple[int, int, bool]]:
    """Words that were said before look there: phrases at the question, the numbers of a list at those before them, its
    total at the last, a conclusion at what it settles on.

    The first word of a conclusion looks at the end of the clause that it comes from, be it of the answer or an option
    of the question: only there is known what the clause says of it. What is said twice in one place is left out: it is
    not known which of the two is meant.

    Args:
        turn: of a sample.
        offsets: of `turn.answer`.
        asked: of `turn.question`.

    Yields:
        the index of the token from which a repeated one is predicted (-1: the place before the first), that of the
        token it repeats, and whether the latter is in the answer; nothing of words that are not taught.
    """
    if "text" not in turn.supervise:
        return
    taken: set[int] = set()
    for index, source, in_answer in (
        *_phrases(turn, offsets, asked),
        *_numbers(turn, offsets),
        *_totals(turn, offsets),
        *_conclusion(turn, offsets, asked),
    ):
        if index not in taken and not (in_answer and source >= index):  # what is predicted cannot be looked at
            taken.add(index)
            yield index - 1, source, in_answer


def _phrases(turn: Turn, offsets: Offsets, asked: Offsets) -> Iterator[tuple[int, int, bool]]:
    """Tokens of phrases that the question has once, and those of the question."""
    for phrase in _PHRASE.finditer(turn.answer):
        places = _places(phrase[0], turn.question, re.IGNORECASE)
        if len(places) == 1:
            yield from ((*pair, False) for pair in _aligned(offsets, phrase.span(), asked, places[0]))


def _numbers(turn: Turn, offsets: Offsets) -> Iterator[tuple[int, int, bool]]:
    """The number in "<p>cube 2</p>", and that in "<p>cube 1</p>" before it; of a first one, the end of its name."""
    before: dict[str, int] = {}
    for found in _NUMBERED.finditer(turn.answer):
        name, begin = found[1].lower(), found.start(2)
        (index, *_) = _within(offsets, begin, found.end(2))
        source = before.get(name) if int(found[2]) > 1 else next(_within(offsets, found.end(1) - 1, found.end(1)), None)
        if source is not None:
            yield index, source, True
        before[name] = index


def _totals(turn: Turn, offsets: Offsets) -> Iterator[tuple[int, int, bool]]:
    """Tokens of the number in "2 cubes", and those of that in "<p>cube 2</p>", the last of its kind."""
    last = {found[1].lower(): found for found in _NUMBERED.finditer(turn.answer)}
    for name, found in last.items():
        total = re.compile(rf"(?<!\w){found[2]}(?= {re.escape(name)}s?(?!\w))", re.IGNORECASE)
        said = total.search(turn.answer, found.end())
        if said:
            yield from ((*pair, True) for pair in _aligned(offsets, said.span(), offsets, found.start(2)))


def _conclusion(turn: Turn, offsets: Offsets, asked: Offsets) -> Iterator[tuple[int, int, bool]]:
    """Tokens of the word that scoring looks for, and those of the clause or option that it comes from."""
    concluded = target_place(turn.answer, turn.target)
    if concluded is None or turn.target in ("yes", "no"):  # which settle on nothing that was said
        return
    before = turn.answer[: concluded[0]]
    if len(turn.target) > 1:
        places = _places(turn.target, before, re.IGNORECASE)
    elif turn.task.startswith(MARKS):
        places = _places(turn.target, before)
    else:  # a letter may be the article; as a phrase it is none
        places = [place + len("<p>") for place in _places(f"<p>{turn.target}</p>", before)]
    if len(places) == 1 and (clause := _CLAUSE.match(before, places[0])):
        yield from _concluded(offsets, concluded, offsets, clause.span(), True)
    options = list(re.finditer(rf"^{re.escape(turn.target)}[.)] .*\S", turn.question, re.MULTILINE))
    if not places and len(options) == 1:
        yield from _concluded(offsets, concluded, asked, options[0].span(), False)


def _concluded(
    offsets: Offsets, span: tuple[int, int], there: Offsets, clause: tuple[int, int], in_answer: bool
) -> Iterator[tuple[int, int, bool]]:
    """The first token of a span at the end of a clause, the others at their own words from its beginning on."""
    begin, end = clause
    inside = [index for index in _within(there, begin, end) if there[index][0] < end]
    for number, (index, source) in enumerate(_aligned(offsets, span, there, begin)):
        yield index, source if number else inside[-1], in_answer


def _within(offsets: Offsets, begin: int, end: int) -> Iterator[int]:
    """Tokens of which some part lies there."""
    return (index for index, (first, last) in enumerate(offsets) if last > begin and first < end)


def _places(words: str, text: str, case: re.RegexFlag = re.NOFLAG) -> list[int]:
    """Where words stand in a text."""
    return [found.start() for found in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text, case)]


def _aligned(here: Offsets, span: tuple[int, int], there: Offsets, start: int) -> Iterator[tuple[int, int]]:
    """Tokens of a span, and for each the one that holds the same place of the same words from `start` on."""
    begin, end = span
    for index in _within(here, begin, end):
        place = start + max(here[index][0], begin) - begin
        source = next(_within(there, place, place + 1), None)
        if source is not None:
            yield index, source


def _clauses(sample: Sample, answer: str, grid: int) -> Iterator[tuple[int, int, int]]:
    """Begin and end of each clause about a mark, and the visual token that shows the mark."""
    for mark in sample.marks:
        cell = _cell(mark, sample, grid)
        for clause in re.finditer(rf"(?<!\w){re.escape(mark.letter)}(?!\w)[^;.]*", answer):
            yield *clause.span(), cell


def _cell(mark: Mark, sample: Sample, grid: int) -> int:
    assert isinstance(sample.image, np.ndarray)
    height, width = sample.image.shape[:2]
    row, column = (min(place * grid // side, grid - 1) for place, side in ((mark.y, height), (mark.x, width)))
    return row * grid + column
