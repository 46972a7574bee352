"""A batch of queries, answered by the model."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from perceptio.decoding.answering import Answering, full_mask
from perceptio.decoding.events import Done
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.perceiving import LoadedPictures, Perceived, perceive
from perceptio.decoding.questions import Questions, Stopwatch
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, Mask, Trace
from perceptio.segmentation.prompted_objects import segment_objects
from perceptio.serving.engine.pictures import StoredPicture
from perceptio.serving.engine.queries import Clicked, Finished, Usage
from perceptio.serving.engine.tickets import Ticket


class BatchAnswers:
    """Answers batches of queries; one thread at a time may call it.

    Args:
        asked: the model.
    """

    def __init__(self, asked: Perceptio) -> None:
        self._model, self._processor = asked.model, asked.processor
        self._answering = Answering(asked.model, asked.processor)

    def answer(self, batch: Sequence[Ticket]) -> None:
        """Deliver to each query what is found for it, until it is answered or gone."""
        watch = Stopwatch()
        for ticket in batch:
            ticket.began = time.monotonic()
        with watch.timed("read"):
            self._perceive([ticket.query.picture for ticket in batch])
        clicked = {ticket: self._segment(ticket, watch) for ticket in batch if ticket.objects is not None}
        for ticket, masks in clicked.items():
            ticket.send(Clicked(masks))
            if ticket.ids is None:
                answer = Answer("", [], None, Trace(raw=""), ticket.query.picture.image)
                ticket.send(Finished(answer, masks, timings_ms=_timings(ticket, watch)))
        asking = [ticket for ticket in batch if ticket.ids is not None and not ticket.gone]
        if not asking:
            return
        questions = _questions(asking, watch)
        stops = [ticket.query.stop for ticket in asking]
        for row, event in self._answering.events(questions, stops, lambda row: asking[row].gone):
            ticket = asking[row]
            if isinstance(event, Done):
                ticket.send(_finished(ticket, event.answer, clicked.get(ticket, []), watch))
            else:
                ticket.send(event)

    def _perceive(self, pictures: Sequence[StoredPicture]) -> None:
        """Perceive those that no query was about before."""
        new = [picture for picture in dict.fromkeys(pictures) if picture.perceived is None]
        if not new:
            return
        alone = [picture.loaded for picture in new]
        found = perceive(self._model, self._processor, LoadedPictures.together(alone))
        for picture, perceived in zip(new, found.apart(alone), strict=True):
            picture.perceived = perceived

    def _segment(self, ticket: Ticket, watch: Stopwatch) -> list[Mask]:
        """One mask for each object that a query clicks or boxes."""
        objects, picture = ticket.objects, ticket.query.picture
        assert objects is not None
        with watch.timed("masks"):
            index = torch.zeros(len(objects), dtype=torch.int64)
            features = _perceived(picture).features(self._model)
            found = segment_objects(self._model.sam, features, index, objects, picture.size)
            return [full_mask(one, picture.size, gate=True) for one in found.apart()]


def _perceived(picture: StoredPicture) -> Perceived:
    assert picture.perceived is not None
    return picture.perceived


def _questions(asking: Sequence[Ticket], watch: Stopwatch) -> Questions:
    """The questions of a batch; one picture serves all that are about it."""
    pictures = list(dict.fromkeys(ticket.query.picture for ticket in asking))
    options = [ticket.options for ticket in asking if ticket.options is not None]
    return Questions(
        Perceived.together([_perceived(picture) for picture in pictures]),
        [pictures.index(ticket.query.picture) for ticket in asking],
        [ticket.ids for ticket in asking if ticket.ids is not None],
        DecodingOptions(
            seg=tuple(each.seg[0] for each in options),
            depth=tuple(each.depth[0] for each in options),
            max_new_tokens=tuple(each.given_budget() for each in options),
        ),
        watch,
    )


def _finished(ticket: Ticket, answer: Answer, clicked: list[Mask], watch: Stopwatch) -> Finished:
    assert ticket.ids is not None
    prompt = _perceived(ticket.query.picture).read.cache.lengths[0] + len(ticket.ids)
    usage = Usage(prompt, answer.trace.tokens, answer.trace.spatial_tokens)
    return Finished(answer, clicked, "stop" if answer.trace.ended else "length", usage, _timings(ticket, watch))


def _timings(ticket: Ticket, watch: Stopwatch) -> dict[str, float]:
    """Milliseconds: of the stages of a query's batch so far, and of itself in the queue and in all."""
    seconds = {
        "queue": ticket.began - ticket.submitted,
        **watch.seconds,
        "total": time.monotonic() - ticket.submitted,
    }
    return {stage: round(value * 1000, 1) for stage, value in seconds.items()}
