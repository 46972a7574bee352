"""What a visitor does, through the handlers and the real engine."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image, ImageDraw

from perceptio.serving.engine import Engine, EngineEvent, EngineSettings, Query
from perceptio.serving.page.examples import EXAMPLES, QUESTIONS
from perceptio.serving.page.files import FILES
from perceptio.serving.page.handlers import Handlers, problem
from perceptio.serving.page.talk import Talk

from .conftest import QUESTION, SAMPLE, all_of, event, png

CYLINDER = [162, 196]  # a place on the sample picture's yellow cylinder


def pixels(path: str) -> np.ndarray:
    """What an SVG path of the sample picture covers: (448, 448) bool."""
    canvas = Image.new("1", (448, 448))
    for polygon in path.split("M")[1:]:
        ImageDraw.Draw(canvas).polygon([float(number) for number in re.findall(r"[\d.]+", polygon)], fill=1)
    return np.asarray(canvas)


def test_a_dropped_picture_is_shown(handlers: Handlers) -> None:
    viewer, conversation = handlers.take(Talk(), SAMPLE.read_bytes())
    assert (viewer["picture"]["width"], viewer["picture"]["height"]) == (448, 448)
    assert conversation["suggested"] == list(QUESTIONS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_can_be_chosen(handlers: Handlers, example: object) -> None:
    assert example in EXAMPLES
    viewer, conversation = handlers.choose(Talk(), event(name=example.name))
    assert viewer["picture"]["alt"] == example.alt
    assert conversation["suggested"][: len(example.questions)] == list(example.questions)


def test_an_answer_arrives_bit_by_bit(handlers: Handlers, talk: Talk) -> None:
    steps = all_of(handlers.ask(talk, f"  {QUESTION} ", "on", "on", False))
    viewers, turns = [step[0] for step in steps], [step[1]["turns"][-1] for step in steps]
    assert all(step[2] == "" for step in steps)  # the box of the question is emptied
    kinds = [(turn["progress"] or "done").split()[0] for turn in turns]
    assert list(dict.fromkeys(kinds)) == ["waiting", "segment", "depth", "answer", "files", "done"]
    written = [len(viewer["depth"]["colors"]) for viewer in viewers if "colors" in (viewer["depth"] or {})]
    assert len(written) > 2
    assert written == sorted(written)
    assert [viewer["busy"] for viewer in viewers] == [True] * (len(steps) - 1) + [False]
    assert len(viewers[-1]["turns"][0]) == 2
    assert viewers[-1]["depth"]["src"].startswith("data:image/jpeg")
    phrases = [piece["text"] for piece in turns[-1]["pieces"] if "masks" in piece]
    assert phrases == ["The brown pyramid", "the green pyramid"]
    assert " ms" in turns[-1]["note"]
    assert "tokens" in turns[-1]["note"]
    assert talk.history == ((QUESTION, talk.turns[0].text),)
    assert "[SEG]" in (talk.tokens or "")
    assert set(talk.files) == set(FILES)


def test_what_is_off_is_not_written(handlers: Handlers, talk: Talk) -> None:
    viewer, _, _ = all_of(handlers.ask(talk, QUESTION, "off", "off", False))[-1]
    assert viewer["turns"] == [[]]
    assert viewer["depth"] is None


def test_a_suggested_question_is_asked(handlers: Handlers, talk: Talk) -> None:
    _, conversation, _ = all_of(handlers.ask_suggested(talk, "auto", "off", False, event(question="Segment it.")))[-1]
    assert conversation["turns"][0]["question"] == "Segment it."
    assert conversation["turns"][0]["pieces"]


def test_only_a_visitor_who_wants_it_has_earlier_questions_read(handlers: Handlers, talk: Talk) -> None:
    asked: list[tuple[tuple[str, str], ...]] = []
    stream = handlers.engine.stream

    class Listening:
        settings, picture = handlers.engine.settings, handlers.engine.picture

        @staticmethod
        def stream(query: Query) -> AsyncGenerator[EngineEvent, None]:
            asked.append(query.history)
            return stream(query)

    own = object.__new__(Handlers)
    own.engine, own.levels, own.folder = Listening, handlers.levels, handlers.folder
    for remember in (False, False, True):
        all_of(own.ask(talk, "How many pyramids are there?", "off", "off", remember))
    assert [len(history) for history in asked] == [0, 0, 2]
    assert asked[2][0] == ("How many pyramids are there?", talk.turns[0].text)


def test_an_earlier_depth_map_stays(handlers: Handlers, talk: Talk) -> None:
    all_of(handlers.ask(talk, QUESTION, "off", "on", False))
    first = dict(talk.files)
    all_of(handlers.ask(talk, "How many pyramids are there?", "off", "off", False))
    assert talk.files["relief.glb"] == first["relief.glb"]
    assert talk.files["answer.json"] != first["answer.json"]


def test_a_talk_holds_no_picture_and_no_arrays(handlers: Handlers, talk: Talk) -> None:
    """A page may have many visitors: what they have asked must stay small, however large their pictures are."""
    all_of(handlers.ask(talk, QUESTION, "on", "on", False))
    all_of(handlers.point(talk, event(point=CYLINDER)))
    seen: dict[int, Any] = {}

    def walk(value: Any) -> None:
        if id(value) in seen:
            return
        seen[id(value)] = value
        if isinstance(value, dict):
            value = list(value.values())
        elif hasattr(value, "__dict__"):
            value = list(vars(value).values())
        if isinstance(value, (list, tuple)):
            for each in value:
                walk(each)

    walk(talk)
    assert {type(value).__name__ for value in seen.values()} <= {
        "Talk", "Turn", "str", "int", "float", "bool", "NoneType", "list", "tuple", "dict",
    }  # fmt: skip
    assert sum(len(value) for value in seen.values() if isinstance(value, str)) < 500_000


def test_a_picture_that_is_kept_no_longer_is_said_so(handlers: Handlers) -> None:
    talk = Talk()
    handlers.take(talk, png(64, 48))
    assert talk.picture is not None
    handlers.engine.forget(talk.picture)
    for asked in (handlers.ask(talk, QUESTION, "off", "off", False), handlers.point(talk, event(point=[1, 2]))):
        with pytest.raises(gr.Error) as caught:
            all_of(asked)
        assert "choose it again" in str(caught.value.message)
    assert talk.turns == []


def test_an_example_that_is_kept_no_longer_is_read_again(handlers: Handlers) -> None:
    talk = Talk()
    handlers.choose(talk, event(name="table"))
    assert talk.picture is not None
    handlers.engine.forget(talk.picture)
    all_of(handlers.ask(talk, "How many cubes are there?", "off", "off", False))
    assert len(talk.history) == 1
    assert handlers.engine.picture(talk.picture).id == talk.picture


def test_files_that_cannot_be_written_are_said_so(handlers: Handlers, talk: Talk, tmp_path: Path) -> None:
    own = object.__new__(Handlers)
    own.engine, own.levels, own.folder = handlers.engine, handlers.levels, tmp_path / "missing"
    with pytest.raises(gr.Error):
        all_of(own.ask(talk, "How many pyramids are there?", "off", "off", False))
    assert talk.turns[0].text
    assert not talk.busy


def test_a_click_segments_what_is_there(handlers: Handlers, talk: Talk) -> None:
    viewer, conversation = all_of(handlers.point(talk, event(point=CYLINDER)))[-1]
    turn = conversation["turns"][0]
    assert turn["question"] == "Point at 162, 196"
    assert [piece["text"] for piece in turn["pieces"]] == ["object 1"]
    assert pixels(viewer["turns"][0][0]["path"])[CYLINDER[1], CYLINDER[0]]
    assert not viewer["busy"]


def test_a_box_segments_what_is_in_it(handlers: Handlers, talk: Talk) -> None:
    all_of(handlers.point(talk, event(box=[112, 132, 214, 260])))
    mask = pixels(talk.turns[0].drawn[0]["path"])
    rows, columns = np.nonzero(mask)
    assert mask.sum() > 500
    assert 90 < columns.mean() < 236
    assert 110 < rows.mean() < 282
    assert talk.turns[0].question == "Box at 112, 132, 214, 260"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"point": "here"},
        {"point": [float("nan"), 2]},
        {"point": [900, 3]},
        {"point": [1, 2, 3]},
        {"box": [9, 9, 3, 3]},
        {"box": [1, None, 3, 4]},
    ],
)
def test_a_place_that_is_none_is_refused(handlers: Handlers, talk: Talk, data: dict[str, object]) -> None:
    with pytest.raises(gr.Error):
        all_of(handlers.point(talk, event(**data)))
    assert talk.turns == []
    assert not talk.busy


@pytest.mark.parametrize(
    "content", [None, b"", b"just a text", png(20_000, 4_000)], ids=["none", "empty", "text", "large"]
)
def test_what_is_no_picture_is_refused(handlers: Handlers, talk: Talk, content: bytes | None) -> None:
    before = talk.picture
    with pytest.raises(gr.Error) as caught:
        handlers.take(talk, content)
    assert caught.value.message.endswith(".")
    assert talk.picture is before


def test_questions_that_cannot_be_asked(handlers: Handlers, talk: Talk) -> None:
    for visitor, question in ((Talk(), QUESTION), (talk, "  "), (talk, "x" * 20_000)):
        with pytest.raises(gr.Error):
            all_of(handlers.ask(visitor, question, "auto", "auto", False))
    with pytest.raises(gr.Error):
        handlers.choose(Talk(), event(name="../../etc/passwd"))
    assert talk.turns == []


def test_a_message_is_plain_text() -> None:
    assert problem("no <img src=x>").message == "no &lt;img src=x&gt;"


def test_a_full_queue_is_said_so(handlers: Handlers) -> None:
    engine = Engine(handlers.engine.model, EngineSettings(queue_size=1))  # not started: what is asked waits
    own, talk = Handlers(engine, handlers.folder), Talk()
    own.take(talk, SAMPLE.read_bytes())

    async def two() -> str:
        first = own.ask(talk, QUESTION, "auto", "auto", False)
        await anext(first)
        waiting = asyncio.ensure_future(anext(first))
        while not engine.workload().waiting:
            await asyncio.sleep(0.01)
        other = Talk()
        own.take(other, SAMPLE.read_bytes())
        with pytest.raises(gr.Error) as caught:
            async for _ in own.ask(other, QUESTION, "auto", "auto", False):
                pass
        assert other.turns == []
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return str(caught.value.message)

    assert "1 " in asyncio.run(two())
    assert talk.turns[0].note == "stopped"
    assert engine.workload().waiting == 0


def test_who_stops_frees_the_place(handlers: Handlers, talk: Talk) -> None:
    async def stop_early() -> None:
        async with aclosing(handlers.ask(talk, QUESTION, "on", "on", False)) as steps:
            async for _, conversation, _ in steps:
                if "segment" in (conversation["turns"][-1]["progress"] or ""):
                    break

    asyncio.run(stop_early())
    _, conversation = handlers.stop(talk)
    assert conversation["turns"][-1]["note"] == "stopped"
    assert not conversation["busy"]
    until = time.monotonic() + 10
    while handlers.engine.workload().running:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_another_picture_ends_what_was_asked_about_the_one_before(handlers: Handlers, talk: Talk) -> None:
    async def choose_meanwhile() -> list[tuple[dict[str, Any], dict[str, Any], str]]:
        steps = []
        async for step in handlers.ask(talk, QUESTION, "on", "on", False):
            steps.append(step)
            if talk.turns and talk.turns[0].drawn:
                handlers.choose(talk, event(name="table"))
        return steps

    viewer, conversation, _ = asyncio.run(choose_meanwhile())[-1]  # gradio sends once more what was yielded last
    assert viewer["picture"] == talk.preview
    assert conversation["turns"] == []
    assert talk.turns == []
    assert talk.depth is None
    assert not talk.busy
