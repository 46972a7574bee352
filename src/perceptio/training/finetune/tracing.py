"""What a piece of a model costs, found by running it on tensors without content: kept bytes, peak bytes, operations.

torch's fake tensors have shapes and types but no memory, so that an 8B model is traced on a laptop in seconds, by the
very code that will train it. A fake tensor looks like one of the CPU: attention is torch's fused kernel, as on a GPU.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(out: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(out, query, key, value)


# the CPU's fused attention, which torch's own table of operations lacks
_FUSED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


@dataclass(frozen=True)
class Cost:
    """Of running a piece once."""

    kept: int  # bytes that autograd keeps for the way back, weights and the piece's own input left out
    peak: int  # largest number of bytes of tensors made on the way forward that were alive together
    forward: int  # floating-point operations, two for a multiplication and addition
    backward: int  # likewise, for what needs gradients only


class Tracer:
    """Runs pieces of a model on fake tensors.

    Args:
        model: on the meta device; its parameters and buffers are replaced by fake ones.
        autocast: to bfloat16.
    """

    def __init__(self, model: nn.Module, *, autocast: bool) -> None:
        self.model = model
        self.autocast = autocast
        self._mode = FakeTensorMode()
        with self._mode:
            for module in model.modules():
                for name, value in module._parameters.items():
                    if value is not None:
                        fake = torch.empty(value.shape, dtype=value.dtype, device="cpu")
                        module._parameters[name] = nn.Parameter(fake, value.requires_grad)
                for name, buffer in module._buffers.items():
                    if buffer is not None:
                        module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")
        self._weights = {value.untyped_storage()._cdata for value in (*model.parameters(), *model.buffers())}

    def run(self, piece: Callable[..., Any], *inputs: Tensor, backward: bool = True) -> Cost:
        """Cost of `piece(*inputs)`.

        Args:
            piece: returns a tensor, or tensors in any nesting.
            inputs: on any device, for their shapes, types and `requires_grad`.
            backward: trace the way back too; without, the piece runs as in use, without gradients.
        """
        with self._mode, torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            fakes = [torch.empty(x.shape, dtype=x.dtype).requires_grad_(x.requires_grad) for x in inputs]
            known = self._weights | {fake.untyped_storage()._cdata for fake in fakes}
            kept: dict[int, Tensor] = {}

            def pack(value: Tensor) -> Tensor:
                if value.untyped_storage()._cdata not in known:
                    kept[value.untyped_storage()._cdata] = value  # held: an address is not given out twice
                return value

            live = _Live()
            with (
                torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value),
                nullcontext() if backward else torch.no_grad(),
                live,
                FlopCounterMode(display=False, custom_mapping=_FUSED) as forward,
            ):
                outputs = [leaf for leaf in tree_leaves(piece(*fakes)) if isinstance(leaf, Tensor)]
            operations = 0
            if backward:
                wanted = [leaf for leaf in outputs if leaf.requires_grad]
                with FlopCounterMode(display=False, custom_mapping=_FUSED) as back:
                    torch.autograd.backward(wanted, [torch.empty_like(leaf) for leaf in wanted])
                operations = back.get_total_flops()
            size = sum(value.untyped_storage().nbytes() for value in kept.values())
            self.model.zero_grad()
            return Cost(size, live.peak, forward.get_total_flops(), operations)


class _Live(TorchDispatchMode):
    """Counts the bytes of tensors that are made, and forgets those that are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in self._known | given:
                    self._known.add(storage._cdata)
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
        return result

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
