"""What happens when a visitor chooses a picture, asks, clicks or stops: what the page's components get then."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from perceptio.decoding.events import DepthProgress, DepthReady, SegmentFound, TextDelta
from perceptio.serving.engine import (
    Clicked,
    ClosingError,
    DeadlineError,
    Engine,
    EngineError,
    Finished,
    Query,
    QueueFullError,
    StoredPicture,
    UnknownPictureError,
)
from perceptio.serving.page.drawing import code_levels, draw_codes, draw_depth, draw_picture
from perceptio.serving.page.examples import QUESTIONS, Example, example_named
from perceptio.serving.page.files import write_files
from perceptio.serving.page.talk import Talk, Turn
from perceptio.tokens import Switch

_FRAME_S = 0.04  # words that come faster are shown together
_STAGES = ("queue", "read", "generate", "masks", "depth")

Views = tuple[dict[str, Any], dict[str, Any]]  # of the viewer and of the conversation
Asked = tuple[dict[str, Any], dict[str, Any], str]  # and what stands in the question's box


class Handlers:
    """Answers the page's events from an engine. A `Talk` is one visitor's; it is changed in place.

    Whatever a visitor can do wrong raises `gr.Error` with one sentence.

    Args:
        engine: that was started.
        folder: where files for downloads are written.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.levels = code_levels(engine.model.model.depth_tokenizer)

    def take(self, talk: Talk, content: bytes | None) -> Views:
        """A picture was dropped or chosen: the content of its file."""
        if not content:
            raise problem("The file is empty: choose a picture.")
        try:
            self._open(talk, content, "The picture that you chose", QUESTIONS)
        except ValueError as error:
            raise problem(sentence(error)) from error
        return talk.views()

    def choose(self, talk: Talk, event: gr.EventData) -> Views:
        """An example was chosen."""
        try:
            example = example_named(event._data.get("name"))
            self._open(talk, example.path.read_bytes(), example.alt, (*example.questions, *QUESTIONS), example)
        except ValueError as error:
            raise problem(sentence(error)) from error
        return talk.views()

    async def ask(
        self, talk: Talk, question: str, masks: str, depth: str, remember: bool
    ) -> AsyncGenerator[Asked, None]:
        """A question; yields whatever is new, as it comes.

        Args:
            talk: of the visitor.
            question: as typed.
            masks: off, auto or on.
            depth: likewise.
            remember: let the question refer to the earlier ones.
        """
        question = question.strip()
        picture = self._picture(talk)
        if not question:
            raise problem("Write a question first.")
        history = talk.history[-self.engine.settings.max_turns :] if remember else ()
        query = Query(picture, question, history=history, seg=Switch(masks), depth=Switch(depth))
        async with aclosing(self._run(talk, talk.begin(question), query)) as run:
            async for viewer, conversation in run:
                yield viewer, conversation, ""

    async def ask_suggested(
        self, talk: Talk, masks: str, depth: str, remember: bool, event: gr.EventData
    ) -> AsyncGenerator[Asked, None]:
        """A suggested question was chosen."""
        question = str(event._data.get("question", ""))
        async with aclosing(self.ask(talk, question, masks, depth, remember)) as asked:
            async for views in asked:
                yield views

    async def point(self, talk: Talk, event: gr.EventData) -> AsyncGenerator[Views, None]:
        """A point was clicked, or a box was drawn: `{"point": [x, y]}` or `{"box": [x1, y1, x2, y2]}` px."""
        picture = self._picture(talk)
        point, box = event._data.get("point"), event._data.get("box")
        name, numbers = ("Box", box) if box is not None else ("Point", point)
        try:
            where = ", ".join(str(round(float(number))) for number in numbers)
        except (TypeError, ValueError, OverflowError) as error:
            raise problem("That is no place in the picture.") from error
        query = Query(picture, points=None if point is None else [point], boxes=box)
        async with aclosing(self._run(talk, talk.begin(f"{name} at {where}"), query)) as run:
            async for views in run:
                yield views

    def stop(self, talk: Talk) -> Views:
        """The visitor wants no more of the answer that is being written."""
        if talk.turns:
            talk.end(talk.turns[-1], "stopped")
        return talk.views()

    def _open(
        self, talk: Talk, content: bytes, alt: str, questions: tuple[str, ...], example: Example | None = None
    ) -> None:
        picture = self.engine.add_picture(content)
        talk.open(picture.id, draw_picture(picture.image, picture.size, alt), questions, example)

    def _picture(self, talk: Talk) -> StoredPicture:
        """The picture that a visitor has chosen; an example is read again where the engine keeps it no longer."""
        if talk.picture is None:
            raise problem("Choose a picture first.")
        try:
            return self.engine.picture(talk.picture)
        except UnknownPictureError as error:
            if talk.example is None:
                raise problem("The picture is kept no longer: choose it again.") from error
            return self.engine.add_picture(talk.example.path.read_bytes())

    async def _run(self, talk: Talk, turn: Turn, query: Query) -> AsyncGenerator[Views, None]:
        """The turn as it fills in. Where it fails it is taken away, and the visitor told why."""
        yield talk.views()
        drawn = time.monotonic()
        try:
            async with aclosing(self.engine.stream(query)) as events:
                async for event in events:
                    if turn not in talk.turns:  # another picture was chosen meanwhile
                        yield talk.views()  # the browser is sent once more what was yielded last
                        return
                    self._apply(talk, turn, event)
                    if not isinstance(event, TextDelta) or time.monotonic() - drawn > _FRAME_S:
                        drawn = time.monotonic()
                        yield talk.views()
                    if isinstance(event, Finished):
                        if not event.clicked:  # at once: the answer itself is not kept
                            files = await asyncio.to_thread(write_files, event.answer, self.folder)
                            talk.files |= files if turn in talk.turns else {}
                        talk.end(turn, _note(event))
                        yield talk.views()
        except (QueueFullError, ClosingError, DeadlineError, EngineError, ValueError, TypeError) as error:
            talk.drop(turn)
            yield talk.views()
            raise problem(sentence(error)) from error
        except OSError as error:
            raise problem(f"The answer's files cannot be written ({error.strerror}).") from error
        finally:
            talk.end(turn, "stopped")

    def _apply(self, talk: Talk, turn: Turn, event: object) -> None:
        match event:
            case SegmentFound(mask=mask):
                turn.add(mask)
                turn.progress = f"segment {len(turn.drawn)}"
            case DepthProgress(codes=codes, total=total):
                talk.depth = draw_codes(codes, total, self.levels)
                turn.progress = f"depth {len(codes)} / {total}"
            case DepthReady(depth=depth):
                talk.depth = draw_depth(depth)
                turn.progress = "answer"
            case TextDelta(text=text):
                turn.text += text
                turn.progress = "answer"
            case Clicked(masks=masks):
                for mask in masks:
                    turn.add(mask)
                if not any(mask.array.any() for mask in masks):
                    turn.text = "Nothing is there."
            case Finished(answer=answer, clicked=[]):
                talk.finish(turn, answer)
                turn.progress = "files"


def problem(message: str) -> gr.Error:
    """What the visitor sees: one sentence, as plain text."""
    return gr.Error(html.escape(message), title="That did not work", duration=8, print_exception=False)


def sentence(error: Exception) -> str:
    """An error's message, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def _note(finished: Finished) -> str:
    """How long it took, and for what."""
    times = finished.timings_ms
    stages = [f"{stage} {times[stage]:.0f}" for stage in _STAGES if times.get(stage, 0) >= 1]
    parts = [f"{times['total']:.0f} ms" + (f" ({', '.join(stages)})" if stages else "")]
    if finished.usage.completion_tokens:
        parts.append(f"{finished.usage.completion_tokens} tokens")
    return " · ".join(parts)
