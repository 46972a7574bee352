"""How the parts of a model are joined, and the defaults: the paper's and its parents' choices.

This is their one place: `perceptio init`, `perceptio convert`, `PerceptioConfig` and recipes read them here. Nano's
recipe and files name their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perceptio.tokens import DepthDecoding, Order

DepthPositions = Literal["sequence", "image"]
SamPrompts = Literal["alone", "padded"]


@dataclass(frozen=True)
class Design:
    """What a model is built like, beside its sizes."""

    # rotary positions of a depth span: one after the other, as in AURORA (2412.03548), or each code at the visual token
    # that shows its cell ("image", see `model.positions`; ours)
    depth_positions: DepthPositions = "sequence"
    # whether [SEG] states also point at visual tokens (`segmentation.pointing`; ours); without, they are projected
    # only, as in LISA (2308.00692) and Sa2VA (2501.04001)
    pointing: bool = False
    # whether a projected state is SAM 2's whole prompt, as in LISA, or stands as Sa2VA's does ("padded", see
    # `segmentation.bridge`)
    sam_prompts: SamPrompts = "alone"
    # whether the answer's words follow the spatial tokens (the paper's order), lead ("answer_first", a control), or
    # hold each [SEG] where they speak of its object ("interleaved", Sa2VA's)
    order: Order = "spans_first"
    # whether a mask is dropped where SAM 2's object score rules its object out; only for a model whose score has learnt
    # from [SEG] states, with absent objects among them
    mask_gate: bool = False
    # how the codes of a depth span are found where a call does not say (`decoding.depth_span`); "parallel" gives the
    # model a learnt query token, which must be trained
    depth_decoding: DepthDecoding = "exact"
