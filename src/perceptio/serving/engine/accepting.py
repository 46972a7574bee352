"""From a query to a ticket: its limits are checked before it waits."""

from __future__ import annotations

from dataclasses import replace

from perceptio.decoding.arguments import check_text
from perceptio.decoding.options import check_context, context
from perceptio.pipeline import Perceptio
from perceptio.segmentation.prompted_arguments import read_objects
from perceptio.serving.engine.queries import Query
from perceptio.serving.engine.settings import EngineSettings
from perceptio.serving.engine.tickets import Deliver, Ticket


def accept(asked: Perceptio, settings: EngineSettings, query: Query, deliver: Deliver, deadline_s: float) -> Ticket:
    """Check a query, and make the language model's ids of it.

    Args:
        asked: the model.
        settings: with limits.
        query: of a client.
        deliver: takes what is found.
        deadline_s: from now on.

    Raises:
        ValueError, TypeError: with what is wrong, in one sentence.
    """
    texts = [*(text for turn in query.history for text in turn), *(() if query.prompt is None else (query.prompt,))]
    for text in texts:
        check_text("prompt", text)
    if len(query.history) > settings.max_turns:
        raise ValueError(f"{len(query.history)} earlier turns; the limit here is {settings.max_turns}: leave some out")
    characters = sum(map(len, texts))
    if characters > settings.max_prompt_chars:
        raise ValueError(f"the texts have {characters:,} characters; the limit here is {settings.max_prompt_chars:,}")
    if any(not stop for stop in query.stop):
        raise ValueError("a text to stop at is empty")
    objects = None
    if query.has_objects:
        objects = read_objects(query.points, query.labels, query.boxes, query.picture.size)
    if query.prompt is None:
        if objects is None:
            raise ValueError("there is nothing to answer: ask a question, or give points or boxes")
        return Ticket(query, None, None, objects, deadline_s, deliver)
    vocabulary, tiles = asked.model.config.vocabulary, query.picture.loaded.tiles[0]
    options = query.options(vocabulary)
    processor = asked.processor
    question = processor.question_ids(query.prompt, options.seg[0], options.depth[0], tiles)
    ids = [*processor.history_ids(query.history, tiles), *question]
    length = len(processor.prefix_ids(tiles)) + len(ids)
    room, most = context(asked.model) - length, options.given_budget()
    if most is not None and most > room >= options.least_budget(vocabulary):
        options = replace(options, max_new_tokens=room)  # clients name bounds without knowing the model
    check_context(asked.model, length, options)
    return Ticket(query, ids, options, objects, deadline_s, deliver)
