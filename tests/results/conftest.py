"""An answer made by hand, for the tests of its forms."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from perceptio.results import Answer, DepthMap, Mask, Trace


def answer(*, depth: bool = True, **changes: Any) -> Answer:
    array = np.zeros((40, 30), dtype=bool)
    array[5:20, 3:9] = True
    whole = Answer(
        text="the red cube — “left”",
        masks=[Mask(array, 0.75, "the red cube"), Mask(~array, 0.5)],
        depth=DepthMap(np.linspace(-1, 1, 1200, dtype=np.float32).reshape(40, 30), np.arange(16).reshape(4, 4)),
        trace=Trace("[SEG][SEG]...", ["code outside a span at position 3"], {"read": 0.123456}, 12),
        image=Image.new("RGB", (30, 40), "teal"),
    )
    return dataclasses.replace(whole, **({} if depth else {"depth": None}), **changes)
