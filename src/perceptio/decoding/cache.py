"""Keys and values of a batch whose rows have different lengths, come and go, and may step back.

Every row has a length of its own and no padding: row r's keys are in the first `lengths[r]` columns of its slot, and
what stands behind them is never looked at. So one row may write ten tokens while another writes none, a guess that
proves wrong is dropped by making its row shorter, and a row that has ended costs nothing.

Legend: B rows, R of them that take part in a call, q new tokens a row, H heads, C columns, E width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

_GROWTH = 128  # columns added at a time


class RowCache(Cache):
    """A cache for the language model of transformers, for which the caller gives masks and positions.

    Args:
        layers: of the language model.
        rows: B.
    """

    def __init__(self, layers: int, rows: int) -> None:
        super().__init__(layers=[_RowLayer() for _ in range(layers)])
        self.lengths = [0] * rows
        self._slots = list(range(rows))  # row -> where it is stored
        self._rows = list(range(rows))  # where it is stored -> row

    @classmethod
    def together(cls, caches: Sequence[Self]) -> Self:
        """A new cache of the rows of several, one after the other."""
        new = cls(len(caches[0].layers), sum(len(cache.lengths) for cache in caches))
        new.lengths = [length for cache in caches for length in cache.lengths]
        width = max(new.lengths)
        for layers in zip(new.layers, *(cache.layers for cache in caches), strict=True):
            layers[0].hold(
                [
                    (layer.keys[slot, :, : cache.lengths[row]], layer.values[slot, :, : cache.lengths[row]])
                    for cache, layer in zip(caches, layers[1:], strict=True)
                    for row, slot in enumerate(cache._slots)
                ],
                width,
            )
        return new

    def copies(self, rows: Sequence[int], room: int = _GROWTH) -> Self:
        """A new cache whose row k is a copy of row `rows[k]` of this one, with room for more columns."""
        new = type(self)(len(self.layers), len(rows))
        new.lengths = [self.lengths[row] for row in rows]
        slots = torch.tensor([self._slots[row] for row in rows])
        width = max(new.lengths)
        for layer, copy in zip(self.layers, new.layers, strict=True):
            copy.load(layer.keys[:, :, :width], layer.values[:, :, :width], slots, room)
        return new

    @property
    def tensors(self) -> list[Tensor]:
        """Keys and values of all layers."""
        return [states for layer in self.layers for states in (layer.keys, layer.values)]

    def in_front(self, rows: Sequence[int]) -> list[int]:
        """Move rows to the front, where they are read without a copy, and give them in the order they stand there."""
        chosen = set(rows)
        free = [slot for slot in range(len(rows)) if self._rows[slot] not in chosen]
        for row in rows:
            if self._slots[row] >= len(rows):
                self._swap(self._slots[row], free.pop())
        return self._rows[: len(rows)]

    def begin(self, rows: Sequence[int], count: int, spread: Sequence[int] | None = None) -> Tensor:
        """Make ready for a call of the model on the front rows, and give its mask.

        Args:
            rows: R of them, as from `in_front`.
            count: q, new tokens that each of them brings. They count only once `lengths` says so.
            spread: (q,) the last new token that each new token sees; by default itself.

        Returns:
            (R, 1, q, C) bool, True where a new token sees a column.
        """
        starts = [self.lengths[row] for row in rows]
        width = max(starts) + count
        layer = self.layers[0]
        device = layer.keys.device if layer.is_initialized else None
        starts_R = torch.tensor(starts, device=device)
        for each in self.layers:
            each.begin(starts_R, count, width, all(start == starts[0] for start in starts))
        last_q = torch.arange(count, device=device) if spread is None else torch.tensor(spread, device=device)
        return torch.arange(width, device=device) <= (starts_R[:, None] + last_q)[:, None, :, None]

    def _swap(self, one: int, other: int) -> None:
        width = max(self.lengths[self._rows[one]], self.lengths[self._rows[other]])
        for layer in self.layers:
            for buffer in (layer.keys, layer.values):
                first, second = buffer[one, :, :width], buffer[other, :, :width]
                kept = first.clone()
                first.copy_(second)
                second.copy_(kept)
        self._rows[one], self._rows[other] = self._rows[other], self._rows[one]
        self._slots[self._rows[one]], self._slots[self._rows[other]] = one, other


class _RowLayer(CacheLayerMixin):
    """One layer's keys and values, (B, H, capacity, E) each."""

    keys: Tensor
    values: Tensor

    def begin(self, starts_R: Tensor, count: int, width: int, alike: bool) -> None:
        """Say where the next new keys go: after `starts_R` columns of the first R slots; `alike` if these are equal."""
        self._starts_R, self._count, self._width, self._alike = starts_R, count, width, alike

    def load(self, keys: Tensor, values: Tensor, slots: Tensor, room: int) -> None:
        """Hold copies of some slots of (B', H, C, E) keys and values, and room for more columns."""
        self.lazy_initialization(keys, values, len(slots), keys.shape[2] + room)
        slots = slots.to(keys.device)
        for buffer, source in ((self.keys, keys), (self.values, values)):
            buffer[:, :, : source.shape[2]] = source.index_select(0, slots)

    def hold(self, rows: Sequence[tuple[Tensor, Tensor]], width: int) -> None:
        """Hold copies of rows, keys and values (H, C, E) each, whose C are at most `width`."""
        keys, values = rows[0]
        self.lazy_initialization(keys[None], values[None], len(rows), width)
        for slot, states in enumerate(rows):
            for buffer, source in zip((self.keys, self.values), states, strict=True):
                buffer[slot, :, : source.shape[1]] = source

    def lazy_initialization(
        self, key_states: Tensor, value_states: Tensor, rows: int | None = None, columns: int = _GROWTH
    ) -> None:
        rows = len(key_states) if rows is None else rows
        self.keys, self.values = (
            states.new_zeros(rows, states.shape[1], columns, states.shape[3]) for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states, columns=self._width + _GROWTH)
        self._grow()
        rows = len(key_states)
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            if self._alike:
                first = self._width - self._count
                buffer[:rows, :, first : self._width] = states
            else:
                places = self._starts_R[:, None] + torch.arange(self._count, device=states.device)
                slots = torch.arange(rows, device=states.device)[:, None]
                buffer[slots, :, places] = states.transpose(1, 2)
        return self.keys[:rows, :, : self._width], self.values[:rows, :, : self._width]

    def _grow(self) -> None:
        missing = self._width - self.keys.shape[2]
        if missing > 0:
            room = missing + _GROWTH
            # zeros and not what happens to lie there: a column of NaN would be seen through a mask
            self.keys, self.values = (
                torch.cat([old, old.new_zeros(*old.shape[:2], room, old.shape[3])], dim=2)
                for old in (self.keys, self.values)
            )

    def get_seq_length(self) -> int:
        return self._width - self._count

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._width, 0

    def get_max_length(self) -> int:
        return -1
