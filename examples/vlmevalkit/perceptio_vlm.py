"""Perceptio as a model of VLMEvalKit; README.md in this folder tells where it goes.

Written against `vlmeval/vlm/base.py` of open-compass/VLMEvalKit at commits 23757c43 and 35296269: `BaseModel.generate`
checks a message and hands it to `generate_inner` as a list of {"type": ..., "value": ...}, pictures as local files.
"""

from __future__ import annotations

from collections.abc import Sequence

from vlmeval.vlm.base import BaseModel

from perceptio import Perceptio


class PerceptioVLM(BaseModel):
    """Answers in words; masks and depth, which VLMEvalKit has no place for, are written and left out.

    Args:
        model_path: "nano", a folder, or a hub id.
        seg: masks "off", "auto" (the model decides) or "on".
        depth: depth map, likewise.
        device: "cpu", "cuda" or "cuda:0"; by default the GPU where there is one.

    Raises:
        ValueError: if the model cannot be loaded.
    """

    INSTALL_REQ = False
    INTERLEAVE = False
    allowed_types = ("text", "image")

    def __init__(
        self, model_path: str = "nano", *, seg: str = "auto", depth: str = "auto", device: str | None = None
    ) -> None:
        super().__init__()
        self.model = Perceptio.from_pretrained(model_path, device=device)
        self.seg, self.depth = seg, depth

    def generate_inner(self, message: Sequence[dict[str, str]], dataset: str | None = None) -> str:
        """The answer to the texts of a message, joined by line ends, about its one picture.

        Raises:
            ValueError: if a part is damaged; or if there is no picture, or several: scored on the first alone, a figure
                would mean nothing.
        """
        for number, part in enumerate(message):
            for field in ("type", "value"):
                if not isinstance(part, dict) or not isinstance(part.get(field), str):
                    raise ValueError(f"part {number} of a question of {dataset} has no text in its field {field!r}")
        pictures = [part["value"] for part in message if part["type"] == "image"]
        if len(pictures) != 1:
            raise ValueError(
                f"a question of {dataset} comes with {len(pictures)} pictures, but perceptio answers questions about "
                "one: choose benchmarks of one picture a question"
            )
        prompt = "\n".join(part["value"] for part in message if part["type"] == "text")
        return self.model.ask(pictures[0], prompt, seg=self.seg, depth=self.depth).text
