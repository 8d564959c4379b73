"""The native core. Arrays are float32 or float64 of rank 4, logically (n, y, x, c), any strides."""

from typing import Any

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

class Pool:
    def __init__(self, y: Axis, x: Axis, kind: str, count_include_pad: bool, /) -> None: ...

def relu(features: NDArray[Any], out: NDArray[Any], /) -> None: ...
def pool(input: NDArray[Any], out: NDArray[Any], pool: Pool, /) -> None: ...
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
def set_num_threads(count: int, /) -> None: ...
def get_num_threads() -> int: ...
def isa() -> str: ...
def available_isas() -> list[str]: ...
def vector_bytes() -> int: ...
