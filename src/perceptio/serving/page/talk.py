"""What one visitor has asked about one picture, and how the browser shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from perceptio.results import Answer, Mask
from perceptio.results.mask import UNNAMED
from perceptio.results.phrases import tied
from perceptio.serving.page.drawing import draw_mask, draw_tokens, hex_color
from perceptio.serving.page.examples import Example

TURNS = 40  # that are shown; the oldest go first

BEGIN = ("Choose a picture.", "Ask about it, click a thing, or draw a box.", "Point at the words of the answer.")
"""What to do, before there is a picture."""


@dataclass(eq=False)
class Turn:
    """A question, a click or a box, and what came of it so far: as it is shown, without masks' arrays and depth."""

    question: str
    text: str = ""
    named: list[tuple[str | None, float]] = field(default_factory=list)  # phrase and score of each mask
    progress: str | None = "waiting"  # what is being done; None once it is finished
    note: str | None = None  # how long it took
    answered: bool = False  # it was a question, and has its whole answer
    drawn: list[dict[str, Any]] = field(default_factory=list)  # the masks, for the viewer

    def add(self, mask: Mask) -> None:
        """One more mask."""
        self.named.append((mask.phrase, mask.score))
        self.drawn.append(draw_mask(mask, len(self.drawn)))

    def finish(self, answer: Answer) -> None:
        """The whole answer, whose masks have their phrases."""
        self.answered, self.text, self.named, self.drawn = True, answer.text, [], []
        for mask in answer.masks:
            self.add(mask)

    def to_dict(self) -> dict[str, Any]:
        """For the browser."""
        return {
            "question": self.question,
            "pieces": pieces_of(self.text, self.named),
            "progress": self.progress,
            "note": self.note,
        }


@dataclass(eq=False)
class Talk:
    """A picture and all that was asked about it.

    It is small, for there may be many: the engine keeps the picture, and the disk what can be downloaded.
    """

    picture: str | None = None  # the engine's id
    example: Example | None = None  # that it is
    preview: dict[str, Any] | None = None  # for the viewer
    suggested: tuple[str, ...] = ()
    turns: list[Turn] = field(default_factory=list)
    depth: dict[str, Any] | None = None  # the latest map, or the codes of the one that is being written
    tokens: str | None = None  # HTML of the latest answer's
    files: dict[str, str] = field(default_factory=dict)  # paths: of the latest answer, and of the latest depth map
    busy: bool = False

    def open(
        self, picture: str, preview: dict[str, Any], suggested: tuple[str, ...], example: Example | None = None
    ) -> None:
        """Begin with another picture."""
        self.picture, self.preview, self.suggested, self.example = picture, preview, suggested, example
        self.turns, self.depth, self.tokens, self.files, self.busy = [], None, None, {}, False

    def begin(self, question: str) -> Turn:
        """A new turn; the model is busy until it ends."""
        turn = Turn(question)
        self.turns = [*self.turns[1 - TURNS :], turn]
        self.busy = True
        return turn

    def finish(self, turn: Turn, answer: Answer) -> None:
        """A turn has its whole answer."""
        turn.finish(answer)
        self.tokens = draw_tokens(answer)

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
        return tuple((turn.question, turn.text) for turn in self.turns if turn.answered)

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


def pieces_of(text: str, named: Sequence[tuple[str | None, float]]) -> list[dict[str, Any]]:
    """The text in pieces, each with the numbers of the masks that it names, if it names any; see `phrases.tied`.

    Masks whose words the text does not hold, or that have no words yet, follow it.

    Args:
        text: of an answer, as far as it is written.
        named: phrase and score of each mask.
    """
    pieces = tied(text, [phrase for phrase, _ in named])
    tied_already = {index for _, indices in pieces for index in indices}
    behind: dict[str, tuple[int, ...]] = {}
    for index, (phrase, _) in enumerate(named):
        if index not in tied_already:
            words = phrase or f"{UNNAMED} {index + 1}"
            behind[words] = (*behind.get(words, ()), index)
    for piece in behind.items():
        pieces += [(" ", ()), piece] if pieces else [piece]
    return [_piece(words, indices, named) for words, indices in pieces]


def _piece(words: str, indices: Sequence[int], named: Sequence[tuple[str | None, float]]) -> dict[str, Any]:
    if not indices:
        return {"text": words}
    scores = ", ".join(f"{named[index][1]:.2f}" for index in indices)
    return {"text": words, "masks": list(indices), "color": hex_color(indices[0]), "score": scores}
