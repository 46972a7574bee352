"""What one visitor has asked about one picture, and how the browser shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from perceptio.results import Answer, Mask
from perceptio.serving.engine import StoredPicture
from perceptio.serving.page.drawing import draw_mask, hex_color

TURNS = 40  # that are shown; the oldest go first

BEGIN = ("Choose a picture.", "Ask about it, click a thing, or draw a box.", "Point at the words of the answer.")
"""What to do, before there is a picture."""


@dataclass(eq=False)
class Turn:
    """A question, a click or a box, and what came of it so far."""

    question: str
    text: str = ""
    masks: list[Mask] = field(default_factory=list)
    progress: str | None = "waiting"  # what is being done; None once it is finished
    note: str | None = None  # how long it took
    answer: Answer | None = None  # of a question that was answered
    drawn: list[dict[str, Any]] = field(default_factory=list)  # the masks, for the viewer
    files: dict[str, str] = field(default_factory=dict)  # paths of what was written for downloads

    def add(self, mask: Mask) -> None:
        """One more mask."""
        self.masks.append(mask)
        self.drawn.append(draw_mask(mask, len(self.drawn)))

    def finish(self, answer: Answer) -> None:
        """The whole answer, whose masks have their phrases."""
        self.answer, self.text, self.masks = answer, answer.text, answer.masks
        self.drawn = [draw_mask(mask, index) for index, mask in enumerate(answer.masks)]

    def to_dict(self) -> dict[str, Any]:
        """For the browser."""
        return {
            "question": self.question,
            "pieces": pieces_of(self.text, self.masks),
            "progress": self.progress,
            "note": self.note,
        }


@dataclass(eq=False)
class Talk:
    """A picture and all that was asked about it."""

    picture: StoredPicture | None = None
    preview: dict[str, Any] | None = None  # the picture, for the viewer
    suggested: tuple[str, ...] = ()
    turns: list[Turn] = field(default_factory=list)
    depth: dict[str, Any] | None = None  # the latest map, or the codes of the one that is being written
    busy: bool = False

    def open(self, picture: StoredPicture, preview: dict[str, Any], suggested: tuple[str, ...]) -> None:
        """Begin with another picture."""
        self.picture, self.preview, self.suggested = picture, preview, suggested
        self.turns, self.depth, self.busy = [], None, False

    def begin(self, question: str) -> Turn:
        """A new turn; the model is busy until it ends."""
        turn = Turn(question)
        self.turns = [*self.turns[1 - TURNS :], turn]
        self.busy = True
        return turn

    def end(self, turn: Turn, note: str) -> None:
        """A turn is over, unless it was before."""
        if turn.progress is not None:
            turn.progress, turn.note = None, note
            self.busy = self.busy and turn not in self.turns

    def drop(self, turn: Turn) -> None:
        """A turn came to nothing."""
        self.end(turn, "")
        self.turns = [other for other in self.turns if other is not turn]

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """The questions that were answered, with their answers."""
        return tuple((turn.question, turn.text) for turn in self.turns if turn.answer is not None)

    @property
    def last(self) -> Turn | None:
        """The latest question that was answered."""
        return next((turn for turn in reversed(self.turns) if turn.answer is not None), None)

    @property
    def last_with_depth(self) -> Turn | None:
        """The latest one whose answer has a depth map."""
        answered = (turn for turn in reversed(self.turns) if turn.answer is not None)
        return next((turn for turn in answered if turn.answer is not None and turn.answer.depth is not None), None)

    def views(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the viewer and the conversation show."""
        asked = {turn.question for turn in self.turns}
        viewer = {
            "picture": self.preview,
            "turns": [turn.drawn for turn in self.turns],
            "depth": self.depth,
            "busy": self.busy,
        }
        conversation = {
            "turns": [turn.to_dict() for turn in self.turns],
            "suggested": [question for question in dict.fromkeys(self.suggested) if question not in asked],
            "steps": list(BEGIN[1:] if self.picture is not None else BEGIN),
            "busy": self.busy,
        }
        return viewer, conversation


def pieces_of(text: str, masks: Sequence[Mask]) -> list[dict[str, Any]]:
    """The text in pieces, each with the numbers of the masks that it names, if it names any.

    Phrases are looked for in the order of their masks; one that several masks share stands for all of them. Masks whose
    words the text does not hold, or that have no words yet, follow it.
    """
    groups: dict[str, list[int]] = {}
    for index, mask in enumerate(masks):
        groups.setdefault(mask.phrase or f"object {index + 1}", []).append(index)
    pieces: list[dict[str, Any]] = []
    behind: list[dict[str, Any]] = []
    rest = 0
    for words, indices in groups.items():
        scores = ", ".join(f"{masks[index].score:.2f}" for index in indices)
        piece = {"text": words, "masks": indices, "color": hex_color(indices[0]), "score": scores}
        begin = text.find(words, rest) if masks[indices[0]].phrase else -1
        if begin < 0:
            behind.append(piece)
            continue
        if begin > rest:
            pieces.append({"text": text[rest:begin]})
        rest = begin + len(words)
        pieces.append(piece)
    if rest < len(text):
        pieces.append({"text": text[rest:]})
    for piece in behind:
        pieces += [{"text": " "}, piece] if pieces else [piece]
    return pieces
