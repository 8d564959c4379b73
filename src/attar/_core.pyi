"""The native core.

Arrays are of rank 5, logically (n, z, y, x, c), with any strides. `number` says what numbers they
hold: the index of the dtype in float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8
uint16 uint32 uint64. bfloat16 travels as a view of uint16.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Axis:
    def __init__(
        self,
        size: int,
        window: int,
        stride: int,
        dilation: int,
        pad_before: int,
        pad_after: int,
        out: int,
        /,
    ) -> None: ...
    @staticmethod
    def irregular(size: int, begins: Sequence[int], ends: Sequence[int], /) -> Axis: ...

class Pool:
    def __init__(
        self, z: Axis, y: Axis, x: Axis, kind: str, count_include_pad: bool, p: float, /
    ) -> None: ...

class Blur:
    def __init__(
        self,
        max_y: Axis,
        max_x: Axis,
        y: Axis,
        x: Axis,
        weights_y: Sequence[float],
        weights_x: Sequence[float],
        border: str,
        /,
    ) -> None: ...

def copy(input: NDArray[Any], out: NDArray[Any], /) -> None: ...
def scale(input: NDArray[Any], out: NDArray[np.float32], white: float, /) -> None: ...
def luma(
    input: NDArray[np.uint8],
    out: NDArray[np.float32],
    red: int,
    green: int,
    blue: int,
    white: float,
    /,
) -> None: ...
def relu(features: NDArray[Any], out: NDArray[Any], number: int, /) -> None: ...
def relu_grad(
    grad: NDArray[Any], features: NDArray[Any], out: NDArray[Any], number: int, /
) -> None: ...
def pool(input: NDArray[Any], out: NDArray[Any], pool: Pool, number: int, /) -> None: ...
def pool_winners(
    input: NDArray[Any],
    out: NDArray[Any],
    winners: NDArray[Any],
    pool: Pool,
    number: int,
    rectified: bool,
    /,
) -> None:
    """Maxima and winners; `rectified`: where a maximum is not positive, 0 and all bits set."""

def max_pool_grad(
    grad: NDArray[Any], winners: NDArray[Any], out: NDArray[Any], pool: Pool, number: int, /
) -> None: ...
def sum_pool_grad(grad: NDArray[Any], out: NDArray[Any], pool: Pool, number: int, /) -> None: ...
def blur(input: NDArray[Any], out: NDArray[Any], blur: Blur, number: int, /) -> None: ...
def blur_grad(grad: NDArray[Any], out: NDArray[Any], blur: Blur, number: int, /) -> None: ...
def extract(
    input: NDArray[Any],
    filters: NDArray[Any],
    bias: NDArray[Any] | None,
    out: NDArray[Any],
    y: Axis,
    x: Axis,
    pool: Pool,
    relu: bool,
    /,
) -> None: ...
def conv_filter_grad(
    grad: NDArray[Any],
    winners: NDArray[Any],
    input: NDArray[Any],
    filters: NDArray[Any],
    bias: NDArray[Any] | None,
    y: Axis,
    x: Axis,
    pool: Pool,
    /,
) -> None:
    """Write the gradients of a pooled convolution for its filters and, unless None, its bias.

    `winners` are the cells of the windows, or without a pool the map behind ReLU.
    """

def conv_input_grad(
    grad: NDArray[Any],
    winners: NDArray[Any],
    filters: NDArray[Any],
    out: NDArray[Any],
    y: Axis,
    x: Axis,
    pool: Pool,
    /,
) -> None: ...

class PackedConvolution:
    """Filters (kh, kw, C / groups, K) and bias (K,), dense, float32 or float64, packed once.

    `path` is ``"DIRECT"``, or ``"WINOGRAD2"`` or ``"WINOGRAD4"`` for windows of 3 x 3 with stride
    and dilation 1 whose pool, if any, is 2 x 2 with stride 2 and no padding in front.
    """

    def __init__(
        self, filters: NDArray[Any], bias: NDArray[Any] | None, groups: int, path: str, /
    ) -> None: ...
    def run(
        self, input: NDArray[Any], out: NDArray[Any], y: Axis, x: Axis, pool: Pool, relu: bool, /
    ) -> None:
        """Filter, detect, condense into `out`, whose channels are adjacent.

        Those of the input are too, for Winograd's paths.
        """
    def workspace(self, images: int, y: Axis, x: Axis, pool: Pool, /) -> int:
        """Bytes of memory that `run` takes beside its arrays, of all threads together."""
    @property
    def path(self) -> str: ...
    @property
    def nbytes(self) -> int:
        """Bytes of the packed filters."""

def fastest_path(
    images: int, channels: int, filters: int, groups: int, y: Axis, x: Axis, pool: Pool, /
) -> str: ...
def set_num_threads(count: int, /) -> None: ...
def get_num_threads() -> int: ...
def isa() -> str: ...
def available_isas() -> list[str]: ...
def vector_bytes() -> int: ...
