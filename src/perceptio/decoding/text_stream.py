"""The words of an answer as they come: constant work a token, and never a letter that has to be taken back."""

from __future__ import annotations

from collections.abc import Collection

from perceptio.model.processing import PerceptioProcessor
from perceptio.tokens import PHRASE_END, PHRASE_START, AnswerReader, SpatialVocabulary


class TextStream:
    """What `words.read_words` makes of an answer, piece by piece.

    What may still change is held back: half a character, the beginning of a mark of a phrase, blanks that may turn out
    to be the last. So the pieces together are the beginning of the text, and all of it but for what is held back.

    Args:
        vocabulary: of the answer.
        processor: makes text of ids.
        silent: ids of the text that a user does not read.
    """

    def __init__(self, vocabulary: SpatialVocabulary, processor: PerceptioProcessor, silent: Collection[int]) -> None:
        self.reader = AnswerReader(vocabulary)
        self._silent = silent
        self._tokens = 0
        self._ended = False
        self._detokenizer = processor.detokenizer()
        self._blank = ""  # before what may be a [SEG], which swallows it
        self._swallowed: list[str] = []  # uncertain text before a [SEG] whose last blank, if it stays one, is swallowed
        self._marks = [_Without(PHRASE_START), _Without(PHRASE_END)]
        self._blanks = ""  # that may be the last
        self._begun = False

    def push(self, token: int) -> str:
        """What is certain after another token of the answer."""
        reader, vocabulary = self.reader, self.reader.vocabulary
        self._ended |= token == vocabulary.end_of_text
        if self._ended:
            return ""
        before = len(reader.text)
        reader.read(self._tokens, token)
        self._tokens += 1
        if len(reader.text) > before and token not in self._silent:
            return self._push(self._detokenizer.push(token))
        if token == vocabulary.seg and reader.interleaved:  # "It is [SEG]." is read as "It is."
            held = self._detokenizer.held()
            if not held:
                self._blank = ""
            elif held.endswith(" ") and held not in self._swallowed:
                self._swallowed.append(held)
        return ""

    def _push(self, piece: str) -> str:
        if not piece:
            return ""
        for held in reversed(self._swallowed):
            if piece.startswith(held):
                piece = piece[: len(held) - 1] + piece[len(held) :]
        self._swallowed.clear()
        piece = self._blank + piece
        self._blank = " " if piece.endswith(" ") else ""
        piece = piece.removesuffix(" ")
        for mark in self._marks:
            piece = mark.push(piece)
        return self._trim(piece)

    def _trim(self, piece: str) -> str:
        if not self._begun:
            piece = piece.lstrip()
        words = piece.rstrip()
        if not words:
            self._blanks += piece
            return ""
        said, self._blanks, self._begun = self._blanks + words, piece[len(words) :], True
        return said


class _Without:
    """`text.replace(mark, "")`, piece by piece."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.held = ""  # what may be the beginning of a mark

    def push(self, piece: str) -> str:
        """What is certain after another piece."""
        *before, rest = (self.held + piece).split(self.mark)
        length = next(size for size in range(len(self.mark) - 1, -1, -1) if rest.endswith(self.mark[:size]))
        self.held = rest[len(rest) - length :]
        return "".join(before) + rest[: len(rest) - length]
