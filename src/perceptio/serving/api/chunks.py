"""The engine's events as OpenAI's chunks."""

from __future__ import annotations

from perceptio.decoding.events import DepthProgress, DepthReady, SegmentFound, TextDelta
from perceptio.serving.api.encoding import depth_object, mask_parts, usage_object
from perceptio.serving.api.schemas.chat_reply import ChatCompletionChunk, ChunkChoice, Delta, FinishReason
from perceptio.serving.api.schemas.perception import PerceivedPart, Perception
from perceptio.serving.engine import Clicked, EngineEvent, Finished


class Chunks:
    """Makes the chunks of one answer.

    Args:
        template: a chunk without choices, with what all chunks of the answer share.
        perception: says in which forms masks and depth go out.
        image_id: of the picture.
        ignored: settings of the request that have no effect.
        include_usage: whether every chunk has a usage, and one more at the end gives it.
    """

    def __init__(
        self,
        template: ChatCompletionChunk,
        perception: Perception,
        image_id: str,
        ignored: list[str],
        include_usage: bool,
    ) -> None:
        self._template, self._perception = template, perception
        self._image_id, self._ignored, self._include_usage = image_id, ignored, include_usage

    def first(self) -> str:
        """The chunk that says who speaks."""
        return self._chunk(Delta(role="assistant", content=""))

    def of(self, event: EngineEvent) -> list[str]:
        """The chunks of an event. Slow where it brings a mask or a map: call it in a thread."""
        forms = self._perception
        match event:
            case DepthProgress():
                return []
            case TextDelta(text):
                return [self._chunk(Delta(content=text))]
            case SegmentFound(mask=mask, index=index):
                return [self._part(PerceivedPart(masks=mask_parts([mask], forms.mask_form, index)))]
            case DepthReady(depth):
                return [self._part(PerceivedPart(depth=depth_object(depth, forms.depth_format)))]
            case Clicked(masks):
                return [self._part(PerceivedPart(clicked=mask_parts(masks, forms.mask_form)))]
            case Finished():
                return self._end(event)
        raise AssertionError(event)

    def _end(self, finished: Finished) -> list[str]:
        answer = finished.answer
        rest = PerceivedPart(
            image_id=self._image_id,
            labels=[mask.phrase for mask in answer.masks],
            absent=answer.trace.no_target,
            timings_ms=finished.timings_ms,
            ignored=self._ignored,
        )
        chunks = [self._part(rest, finished.reason)]
        if self._include_usage:
            update = {"choices": [], "usage": usage_object(finished)}
            chunks.append(self._template.model_copy(update=update).model_dump_json())
        return chunks

    def _part(self, part: PerceivedPart, reason: FinishReason | None = None) -> str:
        return self._chunk(Delta(perceptio=part), reason)

    def _chunk(self, delta: Delta, reason: FinishReason | None = None) -> str:
        update = {"choices": [ChunkChoice(delta=delta, finish_reason=reason)]}
        return self._template.model_copy(update=update).model_dump_json()
