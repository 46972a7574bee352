"""The model class that lmms-eval runs: requests in, answers out, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from tqdm import tqdm

from perceptio.decoding.options import MAX_SEGMENTS, TEXT_BUDGET
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.lmms.answers import cut, to_json
from perceptio.evaluation.ranks import own_device
from perceptio.images import ImageLike
from perceptio.pipeline import Perceptio
from perceptio.tokens import Switch

FORMATS = ("text", "json")


@dataclass(frozen=True)
class _Options:
    """What a task's `generation_kwargs` ask for; requests of equal options are answered together."""

    seg: Switch
    depth: Switch
    words: int | None  # the most tokens of text; None: as many as the model gives
    until: tuple[str, ...]  # text ends before the first of these
    response: str  # "text", or "json" with the masks


class PerceptioLmms(lmms):
    """Perceptio for lmms-eval, through its "simple" interface: a prompt and pictures.

    Decoding is greedy, whatever a task says of sampling. Of `generation_kwargs` are read: `until`, `max_new_tokens`
    (tokens of text; masks and depth have room of their own), and three of our own, `seg`, `depth` and `response`.

    Args:
        pretrained: "nano", a folder, or a hub id.
        seg: masks "off", "auto" or "on", where a task does not say.
        depth: depth map, likewise.
        constrained: decode by the grammar.
        batch_size: questions decoded together.
        max_text_tokens: bounds `max_new_tokens`: tasks name figures beyond the context of a small model.
        device: as in `Perceptio.from_pretrained`; by default the process's own GPU, where there are several.

    Raises:
        ValueError: if an argument or the model cannot be used.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "nano",
        *,
        seg: str = "auto",
        depth: str = "auto",
        constrained: bool = True,
        batch_size: int | str = 16,
        max_text_tokens: int = TEXT_BUDGET,
        device: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(constrained, bool):
            raise EvaluationError(f"constrained is True or False, not {constrained!r}")
        self.seg, self.depth = _switch("seg", seg), _switch("depth", depth)
        self.constrained = constrained
        self.batch_size = _count("batch_size", batch_size)
        self.max_text_tokens = _count("max_text_tokens", max_text_tokens)
        self.perceptio = Perceptio.from_pretrained(pretrained, device=device or own_device())

    @property
    def device(self) -> torch.device:
        """Where the model is; lmms-eval gathers counts there when several processes share a run."""
        return self.perceptio.model.device

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answer requests, in their order.

        Raises:
            EvaluationError: if a request has no picture, or several.
            ValueError: if options, a prompt or a picture cannot be used.
        """
        groups: dict[_Options, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(self._options(request.args[1]), []).append(place)
        answers = [""] * len(requests)
        with tqdm(total=len(requests), desc="perceptio", unit="question", disable=self.rank != 0) as bar:
            for options, places in groups.items():
                for start in range(0, len(places), self.batch_size):
                    part = places[start : start + self.batch_size]
                    for place, answer in zip(part, self._ask([requests[k] for k in part], options), strict=True):
                        answers[place] = answer
                    bar.update(len(part))
        return answers

    def loglikelihood(self, requests: Sequence[Instance]) -> NoReturn:
        """Refused: the words of an answer are conditioned on the masks and the depth written before them."""
        raise EvaluationError(
            "perceptio writes answers and does not rate given ones: choose a task of generate_until, not one of "
            "loglikelihood or multiple_choice"
        )

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> NoReturn:
        """Refused."""
        raise EvaluationError("perceptio answers one question at a time: choose a task of generate_until")

    def _options(self, given: dict[str, Any]) -> _Options:
        words, until = given.get("max_new_tokens"), given.get("until") or ()
        stops = (until,) if isinstance(until, str) else until
        if not isinstance(stops, (list, tuple)) or not all(isinstance(stop, str) for stop in stops):
            raise EvaluationError(f"until is a text or a list of texts, not {until!r:.80}")
        response = given.get("response", FORMATS[0])
        if response not in FORMATS:
            raise EvaluationError(f"response is {' or '.join(FORMATS)}, not {response!r:.80}")
        return _Options(
            seg=_switch("seg", given.get("seg", self.seg)),
            depth=_switch("depth", given.get("depth", self.depth)),
            words=None if words is None else min(_count("max_new_tokens", words), self.max_text_tokens),
            until=tuple(stops),
            response=response,
        )

    def _ask(self, requests: Sequence[Instance], options: _Options) -> list[str]:
        budget = None
        if options.words is not None:
            budget = self.perceptio.model.config.vocabulary.tokens_per_map + 2 + MAX_SEGMENTS + 1 + options.words
        answers = self.perceptio.ask_batch(
            [self._picture(request) for request in requests],
            [request.args[0] for request in requests],
            seg=options.seg,
            depth=options.depth,
            constrained=self.constrained,
            max_new_tokens=budget,
            batch_size=self.batch_size,
        )
        texts = [cut(self._shortened(answer.text, options.words), options.until) for answer in answers]
        if options.response == "text":
            return texts
        return [to_json(answer, text) for answer, text in zip(answers, texts, strict=True)]

    def _picture(self, request: Instance) -> ImageLike:
        _, _, doc_to_visual, number, task, split = request.args
        visuals = doc_to_visual(self.task_dict[task][split][number]) or []
        if len(visuals) != 1:
            raise EvaluationError(
                f"question {number} of {task} comes with {len(visuals)} pictures, but perceptio answers questions "
                "about one: choose tasks of one picture a question"
            )
        picture: ImageLike = visuals[0]
        return picture

    def _shortened(self, text: str, words: int | None) -> str:
        """The first tokens of a text: where no masks and no depth were written, their room has gone to words."""
        tokenizer = self.perceptio.processor.tokenizer
        ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        if words is None or len(ids) <= words:
            return text
        return str(tokenizer.decode(ids[:words], skip_special_tokens=False)).rstrip("�")


def _switch(name: str, value: Any) -> Switch:
    if not isinstance(value, str) or value not in set(Switch):
        raise EvaluationError(f"{name} is off, auto or on, not {value!r:.80}")
    return Switch(value)


def _count(name: str, value: Any) -> int:
    """A whole number, which a command line passes as text."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or len(text) > 18 or not int(text):
        raise EvaluationError(f"{name} is a whole number, at least 1, not {value!r:.80}")
    return int(text)
