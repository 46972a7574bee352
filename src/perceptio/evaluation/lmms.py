"""Perceptio as a model of lmms-eval, found through the entry point group `lmms_eval.models`.

    lmms-eval --model perceptio --model_args pretrained=nano --tasks mmbench_en_dev

A task whose generation settings hold `masks: true` gets the whole answer as JSON, masks as COCO RLE, instead of the
words; the tasks beside this file score masks that way.
"""

from __future__ import annotations

import json
from typing import Any

from lmms_eval.api.model import lmms
from tqdm import tqdm

from perceptio.pipeline import Perceptio

MASKS = "masks"  # generation setting: return JSON with masks


class PerceptioLmms(lmms):
    """One answer for each request; requests of a batch are decoded together.

    Args:
        pretrained: "nano", a folder, or a hub id.
        device: as in `Perceptio.from_pretrained`.
        batch_size: questions decoded together.
        seg: masks "off", "auto" or "on", for every request.
        depth: depth span, likewise.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "nano",
        device: str | None = None,
        batch_size: int | str = 16,
        seg: str = "auto",
        depth: str = "auto",
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise ValueError(f"perceptio has no model argument {min(unknown)!r}: known are pretrained, seg, depth")
        self.perceptio = Perceptio.from_pretrained(pretrained, device=device)
        self.batch_size = int(batch_size)
        self.seg, self.depth = seg, depth

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Answers in the order of the requests (greedy, whatever temperature a task asks for)."""
        texts: list[str] = []
        for start in tqdm(range(0, len(requests), self.batch_size), desc="perceptio", disable=self.rank != 0):
            part = [request.args for request in requests[start : start + self.batch_size]]
            answers = self.perceptio.ask_batch(
                [self._image(*arguments) for arguments in part],
                [arguments[0].replace("<image>", "").strip() for arguments in part],
                seg=self.seg,
                depth=self.depth,
                batch_size=self.batch_size,
            )
            for arguments, answer in zip(part, answers, strict=True):
                settings = arguments[1]
                texts.append(json.dumps(answer.to_dict()) if settings.get(MASKS) else _until(answer.text, settings))
        return texts

    def _image(self, context: str, _: Any, doc_to_visual: Any, doc_id: Any, task: str, split: str) -> Any:
        visuals = doc_to_visual(self.task_dict[task][split][doc_id]) or []
        if len(visuals) != 1:
            raise ValueError(
                f"perceptio answers questions about one image; {task} ({split}, {doc_id}) gives {len(visuals)}"
            )
        return visuals[0]

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Not offered: spatial tokens come before the answer, so an answer alone has no likelihood."""
        raise NotImplementedError("perceptio generates answers; choose a task with output_type generate_until")

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        """Not offered: a conversation of several rounds."""
        raise NotImplementedError("perceptio answers single questions; choose a task of one round")


def _until(text: str, settings: dict[str, Any]) -> str:
    """The text up to the first of the task's stop strings."""
    stops = settings.get("until") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.split(stop)[0]
    return text


def manifest() -> Any:
    """What the entry point gives to lmms-eval."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="perceptio", simple_class_path=f"{__name__}.{PerceptioLmms.__name__}")
