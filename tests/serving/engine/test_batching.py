"""Queries of many clients against the answers that each would get alone."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image

from perceptio.decoding.events import DepthProgress, DepthReady, SegmentFound, TextDelta
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.serving.engine import (
    Clicked,
    ClosingError,
    DeadlineError,
    Engine,
    EngineError,
    EngineEvent,
    EngineSettings,
    Finished,
    Observer,
    Query,
    QueueFullError,
    StoredPicture,
)
from perceptio.tokens import Switch

OFF, AUTO, ON = Switch.OFF, Switch.AUTO, Switch.ON
PROMPTS = ("hello", "Segment the small green cone.", "Where is the cube?", "Which point is nearer, A or B?")
BUDGET = 45
T = TypeVar("T")


class Counting(Observer):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    def batch(self, size: int) -> None:
        self.heard.append(("batch", size))

    def finished(self, finished: Finished) -> None:
        self.heard.append(("finished", finished.usage.completion_tokens))

    def refused(self) -> None:
        self.heard.append(("refused", None))

    def given_up(self, ending: object) -> None:
        self.heard.append(("given up", ending))


def png(seed: int, width: int = 60, height: int = 90) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def engine(tiny: Perceptio) -> Iterator[Engine]:
    """Not started yet."""
    engine = Engine(tiny)
    yield engine
    engine.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    async def in_time() -> T:
        async with asyncio.timeout(120):
            return await work

    return asyncio.run(in_time())


async def collect(engine: Engine, query: Query, **options: Any) -> list[EngineEvent]:
    return [event async for event in engine.stream(query, **options)]


async def submitted(engine: Engine, *queries: Query) -> list[asyncio.Task[list[EngineEvent]]]:
    """Tasks of queries that all wait in the queue."""
    before = engine.workload().waiting
    tasks = [asyncio.create_task(collect(engine, query)) for query in queries]
    while engine.workload().waiting < before + len(queries):
        await asyncio.sleep(0.001)
    return tasks


def finished(events: list[EngineEvent]) -> Finished:
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Finished) for event in events[:-1])
    return events[-1]


def assert_equal(one: Answer, other: Answer) -> None:
    assert (one.text, one.trace.raw, one.trace.no_target) == (other.text, other.trace.raw, other.trace.no_target)
    assert [mask.phrase for mask in one.masks] == [mask.phrase for mask in other.masks]
    for mask, expected in zip(one.masks, other.masks, strict=True):
        assert (mask.array != expected.array).mean() < 1e-3
    assert (one.depth is None) == (other.depth is None)
    if one.depth is not None and other.depth is not None:
        np.testing.assert_array_equal(one.depth.codes, other.depth.codes)
        np.testing.assert_allclose(one.depth.array, other.depth.array, atol=1e-3)


@contextmanager
def failing(engine: Engine, *, above: int) -> Iterator[None]:
    """The language model fails at more than so many rows."""

    def fail(module: object, args: object, kwargs: dict[str, Any]) -> None:
        if len(kwargs["inputs_embeds"]) > above:
            raise RuntimeError("out of memory at /secret/path")

    language_model = engine.model.model.vlm.model.language_model
    hook = language_model.register_forward_pre_hook(fail, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def test_a_batch_of_different_pictures_switches_and_budgets_answers_each_as_alone(
    engine: Engine, tiny: Perceptio
) -> None:
    observer = Counting()
    engine.observe(observer)
    pictures = [png(0), png(1, 40, 30), png(2)]
    asked = [
        (0, PROMPTS[0], ON, ON, None),
        (1, PROMPTS[1], OFF, ON, BUDGET),
        (0, PROMPTS[2], AUTO, AUTO, None),
        (2, PROMPTS[3], ON, OFF, 20),
        (1, PROMPTS[0], OFF, OFF, 3),
    ]
    stored = [engine.add_picture(each) for each in pictures]
    queries = [
        Query(stored[number], prompt, seg=seg, depth=depth, max_new_tokens=most)
        for number, prompt, seg, depth, most in asked
    ]

    async def ask() -> list[list[EngineEvent]]:
        tasks = await submitted(engine, *queries)
        engine.start()
        return await asyncio.gather(*tasks)

    answers = run(ask())
    assert ("batch", 5) in observer.heard
    for (number, prompt, seg, depth, most), events in zip(asked, answers, strict=True):
        last = finished(events)
        alone = tiny.ask(pictures[number], prompt, seg=seg, depth=depth, max_new_tokens=most)
        assert_equal(last.answer, alone)
        assert last.reason == ("stop" if alone.trace.ended else "length")
        assert last.usage.completion_tokens == alone.trace.tokens
        assert last.usage.perception_tokens == alone.trace.spatial_tokens
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == alone.text
        assert sum(isinstance(event, SegmentFound) for event in events) == len(alone.masks)
        assert sum(isinstance(event, DepthReady) for event in events) == (alone.depth is not None)
        progress = [event for event in events if isinstance(event, DepthProgress)]
        if alone.depth is not None:
            assert progress[-1].codes == tuple(alone.depth.codes.flatten())
            assert all(progress[-1].codes[: each.written] == each.codes for each in progress)
        assert {"queue", "read", "generate", "total"} <= set(last.timings_ms)
    assert sum(kind == "finished" for kind, _ in observer.heard) == 5


def test_a_picture_is_perceived_once_and_answers_later_questions_the_same(engine: Engine, tiny: Perceptio) -> None:
    tower = engine.model.model.vlm.model.vision_tower
    calls = []
    hook = tower.register_forward_hook(lambda *_: calls.append(1))
    engine.start()
    picture = engine.add_picture(png(0))
    answers = [finished(run(collect(engine, Query(picture, prompt, seg=ON, depth=ON)))).answer for prompt in PROMPTS]
    hook.remove()
    assert len(calls) == 1
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        assert_equal(answer, tiny.ask(png(0), prompt, seg=ON, depth=ON))


def test_turns_clicks_and_boxes_are_those_of_an_opened_picture(engine: Engine, tiny: Perceptio) -> None:
    engine.start()
    picture = engine.add_picture(png(0))
    with tiny.open(png(0)) as opened:
        first = opened.ask(PROMPTS[0]).text
        expected = opened.ask(PROMPTS[2], history=True)
        masks = opened.segment(points=[[[5, 6]], [[30, 40], [31, 41]]])
        (boxed,) = opened.segment(boxes=[2, 3, 50, 60])
    history = ((PROMPTS[0], first),)
    events = run(collect(engine, Query(picture, PROMPTS[2], history, points=[[[5, 6]], [[30, 40], [31, 41]]])))
    assert_equal(finished(events).answer, expected)
    (told,) = [event for event in events if isinstance(event, Clicked)]
    assert told.masks is finished(events).clicked
    for mask, other in zip(told.masks, masks, strict=True):
        np.testing.assert_array_equal(mask.array, other.array)
    clicks, last = run(collect(engine, Query(picture, boxes=[2, 3, 50, 60])))
    assert isinstance(clicks, Clicked)
    np.testing.assert_array_equal(clicks.masks[0].array, boxed.array)
    assert isinstance(last, Finished)
    assert (last.answer.text, last.answer.masks, last.usage.completion_tokens) == ("", [], 0)


def test_words_end_before_a_stop(engine: Engine, tiny: Perceptio) -> None:
    engine.start()
    picture = engine.add_picture(png(0))
    prompt = max(PROMPTS, key=lambda each: len(tiny.ask(png(0), each, seg=OFF, depth=OFF).text))
    whole = tiny.ask(png(0), prompt, seg=OFF, depth=OFF)
    stop = whole.text[3:6]
    assert len(stop) == 3
    events = run(collect(engine, Query(picture, prompt, seg=OFF, depth=OFF, stop=("never said", stop))))
    last = finished(events)
    expected = whole.text[: whole.text.index(stop)]
    assert last.answer.text == expected
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == expected
    assert last.reason == "stop"
    assert last.answer.trace.malformed == []
    assert last.usage.completion_tokens < whole.trace.tokens
    assert whole.trace.raw.startswith(last.answer.trace.raw)


@pytest.mark.parametrize(("most", "spans"), [(5, (OFF, OFF)), (20, (AUTO, OFF)), (40, (AUTO, AUTO))])
def test_what_may_be_left_out_is_left_out_where_it_does_not_fit(
    engine: Engine, tiny: Perceptio, most: int, spans: tuple[Switch, Switch]
) -> None:
    engine.start()
    last = finished(run(collect(engine, Query(engine.add_picture(png(0)), PROMPTS[2], max_new_tokens=most))))
    assert_equal(last.answer, tiny.ask(png(0), PROMPTS[2], seg=spans[0], depth=spans[1], max_new_tokens=most))


def test_a_bound_beyond_the_context_is_the_room_that_is_left(engine: Engine, tiny: Perceptio) -> None:
    engine.start()
    query = Query(engine.add_picture(png(0)), PROMPTS[2], seg=ON, depth=ON, max_new_tokens=4096)
    last = finished(run(collect(engine, query)))
    assert_equal(last.answer, tiny.ask(png(0), PROMPTS[2], seg=ON, depth=ON, max_new_tokens=900))


def test_large_pictures_share_no_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceptio.serving.engine.batching._BATCH_PIXELS", 2 * 60 * 90)
    observer = Counting()
    engine.observe(observer)
    small, large = engine.add_picture(png(0)), engine.add_picture(png(1, 200, 90))

    async def ask() -> None:
        tasks = await submitted(engine, *(Query(each, PROMPTS[0]) for each in (small, small, small, large, small)))
        engine.start()
        await asyncio.gather(*tasks)

    run(ask())
    assert [size for kind, size in observer.heard if kind == "batch"] == [2, 1, 1, 1]


def test_answers_that_nobody_has_taken_yet_are_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceptio.serving.engine.batching.MOST_OPEN_PIXELS", 2 * 60 * 90)
    engine.start()
    query = Query(engine.add_picture(png(0)), PROMPTS[0])

    async def ask() -> None:
        unread = [engine.stream(query), engine.stream(query)]
        for each in unread:
            await anext(each)
        while engine.workload().running:
            await asyncio.sleep(0.001)
        with pytest.raises(QueueFullError):
            await collect(engine, query)
        rest = [event async for event in unread[0]]  # all there, however late it is fetched
        assert isinstance(rest[-1], Finished)
        await collect(engine, query)
        await unread[1].aclose()

    run(ask())


def test_a_full_queue_refuses_and_takes_again_what_is_cancelled(tiny: Perceptio) -> None:
    engine = Engine(tiny, EngineSettings(queue_size=2))
    observer = Counting()
    engine.observe(observer)
    query = Query(engine.add_picture(png(0)), PROMPTS[0])

    async def ask() -> None:
        first, second = await submitted(engine, query, query)
        with pytest.raises(QueueFullError) as refusal:
            await collect(engine, query)
        assert refusal.value.retry_after_s >= 1
        first.cancel()
        await asyncio.wait([first])
        third = asyncio.create_task(collect(engine, query))
        await asyncio.sleep(0.01)
        engine.start()
        assert finished(await second).answer.text == finished(await third).answer.text

    run(ask())
    engine.close()
    assert sorted(kind for kind, _ in observer.heard) == ["batch", "finished", "finished", "given up", "refused"]
    assert ("batch", 2) in observer.heard
    assert ("given up", "cancelled") in observer.heard


def test_who_leaves_in_the_middle_frees_the_slot_at_once(engine: Engine) -> None:
    observer = Counting()
    engine.observe(observer)
    query = Query(engine.add_picture(png(0)), PROMPTS[1], seg=ON, depth=ON)
    rows: list[int] = []
    language_model = engine.model.model.vlm.model.language_model
    hook = language_model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )

    async def leave() -> None:
        leaving = engine.stream(query)
        staying = await submitted(engine, query)
        first = asyncio.create_task(anext(leaving))
        while engine.workload().waiting < 2:
            await asyncio.sleep(0.001)
        engine.start()
        await first
        await leaving.aclose()
        assert engine.workload().running <= 1
        finished(await staying[0])

    run(leave())
    hook.remove()
    engine.close()
    assert rows[1] == 2
    assert rows[-1] == 1
    assert ("given up", "cancelled") in observer.heard


def test_a_query_that_is_late_ends_with_an_error_and_is_not_computed(engine: Engine) -> None:
    observer = Counting()
    engine.observe(observer)
    query = Query(engine.add_picture(png(0)), PROMPTS[0])
    with pytest.raises(DeadlineError):
        run(collect(engine, query, deadline_s=0.02))
    with pytest.raises(DeadlineError):
        run(collect(engine, query, deadline_s=0.02))
    engine.start()
    finished(run(collect(engine, query)))
    engine.close()
    assert observer.heard.count(("given up", "deadline")) == 2
    assert [size for kind, size in observer.heard if kind == "batch"] == [1]


def test_closing_answers_what_was_accepted_and_takes_no_more(engine: Engine) -> None:
    query = Query(engine.add_picture(png(0)), PROMPTS[0], seg=ON)

    async def ask() -> None:
        tasks = await submitted(engine, *[query] * 20)
        engine.start()
        assert engine.ready
        await asyncio.to_thread(engine.close)
        assert not engine.ready
        assert len({finished(events).answer.text for events in await asyncio.gather(*tasks)}) == 1

    run(ask())
    with pytest.raises(ClosingError):
        run(collect(engine, query))


def test_what_is_not_answered_within_the_grace_is_told(engine: Engine) -> None:
    async def ask() -> None:
        (task,) = await submitted(engine, Query(engine.add_picture(png(0)), PROMPTS[0]))
        engine.close(grace_s=0.01)
        with pytest.raises(ClosingError):
            await task

    run(ask())


def test_a_batch_that_fails_is_answered_one_by_one(engine: Engine, tiny: Perceptio) -> None:
    query = Query(engine.add_picture(png(0)), PROMPTS[0])

    async def ask() -> list[list[EngineEvent]]:
        tasks = await submitted(engine, query, query, query)
        with failing(engine, above=1):
            engine.start()
            return await asyncio.gather(*tasks)

    expected = tiny.ask(png(0), PROMPTS[0])
    for events in run(ask()):
        assert_equal(finished(events).answer, expected)


def test_a_failure_tells_nothing_of_the_machine_and_does_not_end_the_engine(engine: Engine) -> None:
    engine.start()
    query = Query(engine.add_picture(png(0)), PROMPTS[0])
    with failing(engine, above=0), pytest.raises(EngineError) as failure:
        run(collect(engine, query))
    assert "/secret" not in str(failure.value)
    assert "/secret" in str(failure.value.__cause__)
    finished(run(collect(engine, query)))


@pytest.fixture
def stored(engine: Engine) -> StoredPicture:
    return engine.add_picture(png(0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": " "},
        {"prompt": None},
        {"prompt": "a" * 8001},
        {"prompt": "hi", "history": (("q", "a" * 8000),)},
        {"prompt": "hi", "history": (("q", "a"),) * 33},
        {"prompt": "hi", "seg": ON, "depth": ON, "max_new_tokens": 20},
        {"prompt": "hi", "max_new_tokens": 0},
        {"prompt": "hi", "stop": ("",)},
        {"prompt": None, "points": [[60.5, 3]]},
        {"prompt": None, "labels": [1]},
        {"prompt": "hi\ud800"},
    ],
)
def test_a_wrong_query_is_refused_before_it_waits(engine: Engine, stored: StoredPicture, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        run(collect(engine, Query(stored, **wrong)))
    assert engine.workload().waiting == 0


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"batch_size": 0}, ValueError), ({"deadline_s": float("nan")}, ValueError), ({"pictures": 1.5}, TypeError),
     ({"queue_size": True}, TypeError), ({"max_pixels": 10**12}, ValueError)],
)  # fmt: skip
def test_settings_are_checked(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(wrong))):
        EngineSettings(**wrong)
