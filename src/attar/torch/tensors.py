"""Tensors as the native core takes them, and tensors for its answers in the input's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from attar.arrays import Array

__all__ = ["FLOATS", "REALS", "channels_last", "dense", "empty", "empty_like", "number", "volumes"]

# In the order of the numbers that the core has for them.
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_WHOLE = (
    torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip
_NUMBERS = {dtype: number for number, dtype in enumerate(_FLOATS + _WHOLE)}
FLOATS = frozenset(_FLOATS)
REALS = frozenset(_NUMBERS)

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
# From (N, C, *spatial) to (n, z, y, x, c): the order of the axes, and which are missing.
_ORDERS: dict[int, tuple[int, ...]] = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
_MISSING: dict[int, Any] = {3: (slice(None), None, None), 4: (slice(None), None), 5: ()}


def channels_last(x: Tensor) -> bool:
    """Tell whether PyTorch would answer with the channels innermost for this input.

    The strides decide, not the content of the batch: a slice of such a tensor counts too.

    Examples
    --------
    >>> x = torch.zeros(2, 3, 8, 8).to(memory_format=torch.channels_last)
    >>> channels_last(x), channels_last(x[:, :, ::2]), channels_last(x.contiguous())
    (True, True, False)
    """
    if x.ndim not in _CHANNELS_LAST or x.is_contiguous():
        return False
    strides, sizes = x.stride(), x.shape
    if strides[1] == 0:
        return False
    least = 0
    for axis in (1, *range(x.ndim - 1, 1, -1), 0):
        if sizes[axis] == 0 or strides[axis] < least:
            return False
        if axis == 0 and least == strides[1]:  # one channel in one place: either layout fits
            return False
        least = strides[axis] * max(1, sizes[axis])
    return True


def empty(x: Tensor, shape: Sequence[int], last: bool, dtype: Any = None) -> Tensor:
    """Return a new tensor beside `x`, with the channels innermost where `last` says so."""
    made = torch.contiguous_format
    if last:
        made = _CHANNELS_LAST[len(shape)]
    return torch.empty(shape, dtype=dtype or x.dtype, device=x.device, memory_format=made)


def empty_like(x: Tensor, shape: Sequence[int], dtype: Any = None) -> Tensor:
    """Return a new tensor in the layout that `x` has."""
    return empty(x, shape, channels_last(x) and len(shape) == x.ndim, dtype)


def dense(x: Tensor) -> Array:
    """View the numbers of a tensor as NumPy does; bfloat16 as its bits."""
    if x.dtype == torch.bfloat16:
        x = x.view(torch.uint16)
    array: Array = x.numpy(force=True)
    return array


def volumes(x: Tensor) -> Array:
    """View (N, C, *spatial) as the core takes it: (n, z, y, x, c), any strides."""
    rank = x.ndim
    view: Array = dense(x).transpose(_ORDERS[rank])[_MISSING[rank]]
    return view


def number(x: Tensor) -> int:
    """Return the core's number for the dtype."""
    found: int = _NUMBERS[x.dtype]
    return found
