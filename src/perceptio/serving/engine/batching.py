"""The engine: one thread that owns the model and answers what waits, as many queries together as there are.

A batch is taken when the one before is done: whoever came meanwhile is in it. A query leaves its batch when its answer
is whole, its client has gone or its deadline has passed; its row is then computed no further.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Self

from perceptio.images import ImageLike
from perceptio.pipeline import Perceptio
from perceptio.serving.engine.accepting import accept
from perceptio.serving.engine.answers import BatchAnswers
from perceptio.serving.engine.errors import ClosingError, DeadlineError, EngineError, QueueFullError
from perceptio.serving.engine.observer import Observer
from perceptio.serving.engine.pictures import PictureStore, StoredPicture
from perceptio.serving.engine.queries import EngineEvent, Finished, Query
from perceptio.serving.engine.settings import EngineSettings
from perceptio.serving.engine.tickets import Deliver, Ticket

MOST_OPEN_PIXELS = 400_000_000
"""Of the pictures of all queries that are not over: masks and maps are held until their clients have taken them."""

_BATCH_PIXELS = 50_000_000  # of a batch's pictures: each has a map, and masks, of its size
_GATHER_S = 0.003  # how long a batch that is not full waits for queries that arrive at the same moment
_SWEEP_S = 10.0  # how often an idle engine drops old pictures

_CLOSING = "the server is shutting down: ask again later"
_FAILED = "the model failed at this question: ask again, or tell whoever runs the server"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workload:
    """What an engine has to do, and what it keeps."""

    waiting: int  # queries in the queue
    running: int  # queries in the batch that somebody waits for
    pictures: int


class Engine:
    """A model that many clients ask at once, from any thread or event loop.

    ```python
    with Engine(Perceptio.from_pretrained("nano")) as engine:
        picture = engine.add_picture("scene.png")
        async for event in engine.stream(Query(picture, "How many cubes are there?")):
            print(event)
    ```

    Args:
        model: asked by nobody else meanwhile.
        settings: limits.
    """

    def __init__(self, model: Perceptio, settings: EngineSettings | None = None) -> None:
        self.model = model
        self.settings = settings or EngineSettings()
        self._store = PictureStore(model.processor, self.settings)
        self._answers = BatchAnswers(model)
        self._waiting: deque[Ticket] = deque()
        self._running: Sequence[Ticket] = ()
        self._changed = threading.Condition()
        self._closing = False
        self._open_pixels = 0  # of the queries that were accepted and whose clients have not got everything yet
        self._batch_s = 1.0  # how long a batch takes, lately
        self._observer = Observer()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """By which the model was asked for."""
        return self.model.name

    @property
    def ready(self) -> bool:
        """Whether queries are taken and answered."""
        return self._thread is not None and self._thread.is_alive() and not self._closing

    def workload(self) -> Workload:
        """What there is to do at the moment."""
        with self._changed:
            waiting = sum(not ticket.gone for ticket in self._waiting)
            return Workload(waiting, sum(not ticket.gone for ticket in self._running), len(self._store))

    def observe(self, observer: Observer) -> None:
        """Let somebody count what happens, in place of the one before."""
        self._observer = observer

    def start(self) -> None:
        """Begin to answer."""
        assert self._thread is None, "an engine starts once"
        self._thread = threading.Thread(target=self._work, name="perceptio-engine", daemon=True)
        self._thread.start()

    def close(self, grace_s: float = 30.0) -> None:
        """Take no more queries, answer those that were accepted, and end.

        Args:
            grace_s: after it, what is not answered yet is given up with `ClosingError`.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(grace_s)
        with self._changed:
            left = [*self._running, *self._waiting]
            self._waiting.clear()
        for ticket in left:
            ticket.end("closing", ClosingError(_CLOSING))

    def add_picture(self, source: ImageLike) -> StoredPicture:
        """Load a picture and keep it for queries; the work is the caller's thread's, and short.

        Raises:
            ImageError: if it cannot be used, or has more pixels than the settings allow.
        """
        return self._store.add(source)

    def picture(self, image_id: str) -> StoredPicture:
        """A picture that is kept.

        Raises:
            UnknownPictureError: if it is not, or no longer.
        """
        return self._store.get(image_id)

    def forget(self, image_id: str) -> bool:
        """Keep a picture no longer; says whether it was kept. Queries about it are answered all the same."""
        return self._store.forget(image_id)

    async def stream(self, query: Query, *, deadline_s: float | None = None) -> AsyncGenerator[EngineEvent]:
        """What is found, as it comes, the last being `Finished`; to close the generator gives the query up.

        Raises:
            ValueError, TypeError: if the query is wrong.
            QueueFullError, ClosingError: if it is not taken.
            DeadlineError, EngineError, ClosingError: if it was, but is not answered.
        """
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[EngineEvent | Exception] = asyncio.Queue()

        def deliver(event: EngineEvent | Exception) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is there to be told
                loop.call_soon_threadsafe(inbox.put_nowait, event)

        ticket = self._submit(query, deliver, deadline_s)
        try:
            while True:
                if inbox.empty():
                    try:
                        async with asyncio.timeout(ticket.seconds_left):
                            event = await inbox.get()
                    except TimeoutError:
                        raise _late(ticket) from None
                else:
                    event = inbox.get_nowait()  # what is there is given out, however late it is fetched
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            ticket.end("cancelled")
            with self._changed:
                self._open_pixels -= query.pixels

    def _submit(self, query: Query, deliver: Deliver, deadline_s: float | None) -> Ticket:
        limit = self.settings.deadline_s if deadline_s is None else deadline_s
        ticket = accept(self.model, self.settings, query, deliver, limit)
        with self._changed:
            if self._closing or (self._thread is not None and not self._thread.is_alive()):
                raise ClosingError(_CLOSING)
            if len(self._waiting) >= self.settings.queue_size:
                self._drop_gone()
            pixels = self._open_pixels + query.pixels
            if len(self._waiting) >= self.settings.queue_size or (self._open_pixels and pixels > MOST_OPEN_PIXELS):
                self._tell(self._observer.refused)
                batches = 1 + len(self._waiting) / self.settings.batch_size
                raise QueueFullError(len(self._waiting), max(math.ceil(batches * self._batch_s), 1))
            self._open_pixels = pixels
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def _work(self) -> None:
        while batch := self._take():
            began = time.monotonic()
            self._tell(self._observer.batch, len(batch))
            self._answer(batch)
            for ticket in batch:
                self._let_go(ticket)
            self._store.sweep()  # what was found out of pictures takes memory too
            self._batch_s += 0.2 * (time.monotonic() - began - self._batch_s)

    def _answer(self, batch: Sequence[Ticket]) -> None:
        """Answer a batch; where it fails, its queries one by one, but for those whose clients have heard something."""
        try:
            self._answers.answer(batch)
        except Exception as error:  # whatever it is, the next batch may fare better
            _log.exception("a batch of %d questions failed", len(batch))
            for ticket in batch:
                if len(batch) > 1 and not ticket.told and not ticket.gone:
                    self._answer([ticket])
                    continue
                failure = EngineError(_FAILED)
                failure.__cause__ = error
                ticket.end("failed", failure)

    def _take(self) -> Sequence[Ticket]:
        """The next batch; none when the engine is closed and nothing waits."""
        with self._changed:
            self._running = ()
            while True:
                self._drop_gone()
                if self._waiting:
                    break
                if self._closing:
                    return ()
                if not self._changed.wait(_SWEEP_S):
                    self._store.sweep()
            until = time.monotonic() + _GATHER_S
            while len(self._waiting) < self.settings.batch_size and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            batch = [self._waiting.popleft()]
            pixels = batch[0].query.pixels
            while self._waiting and len(batch) < self.settings.batch_size:
                pixels += self._waiting[0].query.pixels
                if pixels > _BATCH_PIXELS:
                    break
                batch.append(self._waiting.popleft())
            self._running = batch
            return batch

    def _drop_gone(self) -> None:
        """Let go of what waits in vain."""
        gone = {ticket for ticket in self._waiting if ticket.gone}
        if gone:
            self._waiting = deque(ticket for ticket in self._waiting if ticket not in gone)
            for ticket in gone:
                self._let_go(ticket)

    def _let_go(self, ticket: Ticket) -> None:
        """A query is done with, whatever it came to."""
        ticket.end("deadline")
        if ticket.answered is not None:
            self._tell(self._observer.finished, ticket.answered)
        elif ticket.ending is not None:
            self._tell(self._observer.given_up, ticket.ending)

    def _tell(self, hear: Callable[..., None], *what: object) -> None:
        """Whoever counts may fail; the engine goes on."""
        try:
            hear(*what)
        except Exception:
            _log.exception("an observer failed")


def _late(ticket: Ticket) -> DeadlineError:
    ticket.end("deadline")
    return DeadlineError(f"no answer within {ticket.deadline_s:g} s: ask again later, or for less")
