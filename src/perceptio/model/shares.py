"""How much of an optimiser step one batch is, by what each loss is a mean over.

A step adds up several batches, on several processes, which hold different numbers of words, masks, codes and so on. A
batch's mean times its share, summed over the step, is the mean over all items of the step, however it was cut.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


class Shares:
    """The shares of one batch, by name.

    Args:
        own: the batch's counts.
        step: the whole step's; the batch is the step where there are none.
    """

    def __init__(self, own: Mapping[str, Tensor], step: Mapping[str, Tensor] | None) -> None:
        self.step = own if step is None else step
        self._own, self._whole = own, step is None

    def __getitem__(self, name: str) -> Tensor | float:
        return 1.0 if self._whole else self._own[name] / self.step[name].clamp(min=1e-8)
