"""One picture that was perceived once, for any number of questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch

from perceptio.decoding.answering import Answering, full_mask
from perceptio.decoding.arguments import check_flag, check_sequence, check_text
from perceptio.decoding.events import Done, Event
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.perceiving import Perceived, Turn, question_ids
from perceptio.decoding.questions import Questions
from perceptio.results import Answer, Mask
from perceptio.segmentation.prompted_arguments import read_objects
from perceptio.segmentation.prompted_objects import segment_objects
from perceptio.tokens import DepthDecoding, Switch


class Picture:
    """A picture that a model has perceived: `Perceptio.open` makes it.

    The vision tower and the language model have read it, SAM 2's features are computed when the first mask is wanted,
    and the depth codes of one answer are the first guess for those of the next. An answer is the one that
    `Perceptio.ask` gives. Leaving the `with` block, or `close`, lets its memory go. One thread at a time may ask.
    """

    def __init__(self, answering: Answering, perceived: Perceived) -> None:
        self._answering = answering
        self._perceived: Perceived | None = perceived
        self.turns: list[Turn] = []  # what was asked one by one so far, and the words of the answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the memory go; nothing can be asked afterwards."""
        self._perceived = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px, upright: what masks, points and boxes refer to."""
        return self._opened.pictures.images[0].size

    def ask(
        self,
        prompt: str,
        *,
        seg: str | Switch = Switch.AUTO,
        depth: str | Switch = Switch.AUTO,
        history: bool = False,
        constrained: bool = True,
        max_new_tokens: int | None = None,
        depth_decoding: DepthDecoding | None = None,
        soft_depth: bool = True,
    ) -> Answer:
        """Ask a question; the arguments are those of `Perceptio.ask`, and one more.

        Args:
            history: let the question refer to earlier ones: they and the words of their answers are read again, without
                masks and depth codes.

        Raises:
            ValueError, TypeError: as `Perceptio.ask`, and if the picture was closed.
        """
        check_flag("history", history)
        options = DecodingOptions.of(
            1, seg, depth, constrained=constrained, max_new_tokens=max_new_tokens, depth_decoding=depth_decoding,
            soft_depth=soft_depth,
        )  # fmt: skip
        answer = self._answering.answers(self._questions([prompt], options, history))[0]
        self.turns.append((prompt, answer.text))
        return answer

    def stream(
        self,
        prompt: str,
        *,
        seg: str | Switch = Switch.AUTO,
        depth: str | Switch = Switch.AUTO,
        history: bool = False,
        constrained: bool = True,
        max_new_tokens: int | None = None,
        depth_decoding: DepthDecoding | None = None,
        soft_depth: bool = True,
    ) -> Iterator[Event]:
        """As `ask`, with the events of `Perceptio.stream`. A stream that is left half-way is no turn."""
        check_flag("history", history)
        options = DecodingOptions.of(
            1, seg, depth, constrained=constrained, max_new_tokens=max_new_tokens, depth_decoding=depth_decoding,
            soft_depth=soft_depth,
        )  # fmt: skip
        return self._stream(prompt, self._questions([prompt], options, history))

    def ask_batch(
        self,
        prompts: Sequence[str],
        *,
        seg: str | Switch | Sequence[str | Switch] = Switch.AUTO,
        depth: str | Switch | Sequence[str | Switch] = Switch.AUTO,
        constrained: bool = True,
        max_new_tokens: int | None = None,
        depth_decoding: DepthDecoding | None = None,
        soft_depth: bool = True,
    ) -> list[Answer]:
        """Ask several questions together, none of which refers to another; arguments as of `ask`."""
        check_sequence("prompts", prompts)
        options = DecodingOptions.of(
            len(prompts), seg, depth, constrained=constrained, max_new_tokens=max_new_tokens,
            depth_decoding=depth_decoding, soft_depth=soft_depth,
        )  # fmt: skip
        return self._answering.answers(self._questions(prompts, options, history=False)) if prompts else []

    def segment(self, *, points: Any = None, labels: Any = None, boxes: Any = None) -> list[Mask]:
        """Segment what is clicked or boxed: SAM 2 alone, without a word of the language model.

        Args:
            points: (P, 2) clicks on one object, in pixels of the picture, x before y; or a list of such, one for each
                object.
            labels: 1 for a click on the object, 0 for one beside it, in the shape of `points` without its last axis;
                all 1 by default.
            boxes: (4,) or (O, 4) left, top, right, bottom.

        Returns:
            one mask for each object, which may be empty.

        Raises:
            ValueError, TypeError: if prompts do not fit one another or the picture, or the picture was closed.
        """
        perceived, model = self._opened, self._answering.model
        objects = read_objects(points, labels, boxes, self.size)
        index = torch.zeros(len(objects), dtype=torch.int64)
        found = segment_objects(model.sam, perceived.features(model), index, objects, self.size)
        return [full_mask(one, self.size, gate=True) for one in found.apart()]

    @property
    def _opened(self) -> Perceived:
        if self._perceived is None:
            raise ValueError("this picture was closed: open it again to ask about it")
        return self._perceived

    def _questions(self, prompts: Sequence[str], options: DecodingOptions, history: bool) -> Questions:
        perceived, answering = self._opened, self._answering
        for prompt in prompts:
            check_text("prompt", prompt)
        answering.check(options)
        turns = self.turns if history else []
        tiles = perceived.pictures.tiles[0]
        ids = [
            question_ids(answering.model, answering.processor, prompt, options, row, tiles, turns)
            for row, prompt in enumerate(prompts)
        ]
        return Questions(perceived, [0] * len(ids), ids, options)

    def _stream(self, prompt: str, questions: Questions) -> Iterator[Event]:
        for _, event in self._answering.events(questions):
            if isinstance(event, Done):
                self.turns.append((prompt, event.answer.text))
            yield event
