"""Arrays of other frameworks: in without a copy, and back out as what they came as."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar import _core
from attar.errors import ArgumentError, DTypeError, ShapeError

__all__ = [
    "CACHE_LINE",
    "Array",
    "addressable",
    "answer_array",
    "check_out",
    "contiguous",
    "copy_into",
    "core_view",
    "empty_aligned",
    "from_caller",
    "number_of",
    "require_float",
    "require_grad",
    "require_real",
    "require_whole",
]

Array: TypeAlias = NDArray[Any]
Return: TypeAlias = Callable[[Array], Any]

_SMALL_COPY = 1 << 14  # numbers that NumPy copies before another thread has woken up

CACHE_LINE = 64
"""Bytes."""

# Steps of the search for a shared element: strides made to be hard end it, not the session.
_OVERLAP_WORK: Any = 10_000
_CPU_DEVICES = (1, 3)  # DLPack: kDLCPU, kDLCUDAHost


def _unchanged(array: Array) -> Array:
    return array


def from_caller(operation: str, argument: str, value: Any) -> tuple[Array, Return]:
    """Return `value` as a NumPy array, and the function that gives results the caller's type.

    NumPy arrays and anything with ``__dlpack__`` on the CPU are not copied. Numbers and nested
    lists become arrays; floating-point ones float32, as in TensorFlow.
    """
    if type(value) is np.ndarray:
        return value, _unchanged
    if isinstance(value, np.ndarray):  # memory-mapped, a matrix, ...
        if isinstance(value, np.ma.MaskedArray):
            raise ArgumentError(
                f"{operation}: {argument} is a masked array, and what is masked would count; "
                "say what it is to count as with .filled()"
            )
        return np.asarray(value), _unchanged
    if hasattr(value, "__dlpack__"):
        return _from_dlpack(operation, argument, value), _to_framework_of(value)
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ShapeError(f"{operation}: {argument} is not an array: {error}") from error
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        array = array.astype(np.float32)
    return array, _to_framework_of(value)


def _from_dlpack(operation: str, argument: str, value: Any) -> Array:
    try:
        device, _ = value.__dlpack_device__()
    except (BufferError, RuntimeError, ValueError):  # a device that DLPack has no name for
        device = None
    if device not in _CPU_DEVICES:
        raise ArgumentError(f"{operation}: {argument} must be on the CPU, got {_describe(value)}")
    if getattr(value, "requires_grad", False):
        raise ArgumentError(
            f"{operation}: {argument} requires a gradient, which attar.nn does not record; "
            "pass it detached (.detach())"
        )
    if str(getattr(value, "dtype", "")).strip("'>").endswith("bfloat16"):
        return _from_bfloat16(operation, argument, value)
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError) as error:
        raise DTypeError(
            f"{operation}: {argument} cannot be used as a NumPy array: {_describe(value)} ({error})"
        ) from error


def _from_bfloat16(operation: str, argument: str, value: Any) -> Array:
    # NumPy learns the type from ml_dtypes. DLPack has a name for it that NumPy does not read.
    try:
        from ml_dtypes import bfloat16
    except ImportError as error:
        raise DTypeError(
            f"{operation}: {argument} is bfloat16, which NumPy knows from ml_dtypes only; "
            "install it (pip install ml_dtypes), or pass float32"
        ) from error
    if _framework_of(value) == "torch":
        bits: Array = np.from_dlpack(value.view(sys.modules["torch"].int16))
        return bits.view(bfloat16)
    return np.asarray(value)


def _describe(value: Any) -> str:
    kind = type(value)
    details = [
        f"{name}={found}" for name in ("dtype", "device") if (found := getattr(value, name, None))
    ]
    return f"{kind.__module__}.{kind.__qualname__}({', '.join(details)})"


def _framework_of(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _to_torch(array: Array) -> Any:
    torch = sys.modules["torch"]
    if _is_bfloat16(array):
        return torch.from_dlpack(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_dlpack(array)


def _to_jax(array: Array) -> Any:
    jax_numpy = sys.modules["jax"].numpy
    return jax_numpy.asarray(array) if _is_bfloat16(array) else jax_numpy.from_dlpack(array)


def _to_framework_of(value: Any) -> Return:
    framework = _framework_of(value)
    if framework == "torch":
        return _to_torch
    if framework in ("jax", "jaxlib"):
        return _to_jax
    if framework == "tensorflow":
        return lambda array: sys.modules["tensorflow"].convert_to_tensor(array)
    return _unchanged


_FLOATS = ("float32", "float64", "float16", "bfloat16")
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NUMBERS = {name: number for number, name in enumerate(_FLOATS + _WHOLE)}


def number_of(array: Array) -> int:
    """Return the core's number for the dtype of the array."""
    return _NUMBERS[_name_of(array.dtype)]


@lru_cache(maxsize=256)  # NumPy puts the name together anew each time
def _name_of(dtype: np.dtype[Any]) -> str:
    return dtype.name if dtype.isnative else str(dtype)


def core_view(array: Array) -> Array:
    """View the array as the core takes it: bfloat16, which has no DLPack of NumPy's, as its bits.

    Examples
    --------
    >>> core_view(np.zeros(3, np.float16)).dtype
    dtype('float16')
    """
    return array.view(np.uint16) if _is_bfloat16(array) else array


def _is_bfloat16(array: Array) -> bool:
    return _name_of(array.dtype) == "bfloat16"  # ml_dtypes need not be there to ask


def require_float(operation: str, argument: str, array: Array, *, half: bool = False) -> Array:
    """Return the array such that the core can address it: float32 or float64, aligned.

    With `half` also float16 and bfloat16. Strides may be anything that is a whole number of
    elements; rarer arrays are copied.
    """
    if half:
        accepted = "float16, bfloat16, float32 or float64"
        return _require(operation, argument, array, _FLOATS, accepted)
    return _require(operation, argument, array, _FLOATS[:2], "float32 or float64")


def require_real(operation: str, argument: str, array: Array) -> Array:
    """Return the array such that the core can address it: any real numbers, aligned.

    Examples
    --------
    >>> require_real("relu", "features", np.array([True]))
    Traceback (most recent call last):
    attar.errors.DTypeError: relu: features must be float16, bfloat16, float32, float64, int8 to
    int64 or uint8 to uint64, got bool; convert it, for example with .astype(np.float32)
    """
    accepted = "float16, bfloat16, float32, float64, int8 to int64 or uint8 to uint64"
    return _require(operation, argument, array, _FLOATS + _WHOLE, accepted)


def _require(
    operation: str, argument: str, array: Array, names: tuple[str, ...], accepted: str
) -> Array:
    if _name_of(array.dtype) not in names:
        hint = "" if array.dtype == object else "; convert it, for example with .astype(np.float32)"
        raise DTypeError(f"{operation}: {argument} must be {accepted}, got {array.dtype}{hint}")
    return array if addressable(array) else np.array(array, order="C")


def addressable(array: Array) -> bool:
    """Whether the core can take it as it lies: aligned, with strides of whole elements."""
    flags = array.flags
    return flags.aligned and (
        flags.c_contiguous or not any(step % array.itemsize for step in array.strides)
    )


def require_whole(operation: str, argument: str, array: Array) -> None:
    """Refuse numbers that are not whole by their dtype."""
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{operation}: {argument} must be whole numbers, got {array.dtype}")


def require_grad(
    operation: str, grad: Array, shape: tuple[int, ...], input: Array | None = None
) -> Array:
    """Return the gradient for an answer of this shape such that the core can address it."""
    if grad.shape != shape:
        raise ShapeError(
            f"{operation}: grad must have the shape of the answer, {shape}, got {grad.shape}"
        )
    if input is not None and grad.dtype != input.dtype:
        raise DTypeError(
            f"{operation}: grad must be {input.dtype} like the input, got {grad.dtype}"
        )
    return require_float(operation, "grad", grad, half=True)


def answer_array(
    operation: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *inputs: Array | None
) -> Array:
    """Return the array that a result is written to: `out` once it is checked, or a new one."""
    if out is None:
        return np.empty(shape, dtype)
    return check_out(operation, out, shape, dtype, *inputs)


def copy_into(target: Array, source: Array) -> None:
    """Copy between arrays of one shape and dtype whose memory may be laid out in different orders.

    Examples
    --------
    >>> image = np.arange(6).reshape(1, 2, 3)
    >>> turned = np.empty((3, 1, 2), image.dtype)
    >>> copy_into(turned, image.transpose(2, 0, 1))
    >>> turned[:, 0].tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    known = addressable(source) and addressable(target) and source.itemsize in (1, 2, 4, 8)
    if not known or source.size < _SMALL_COPY or source.ndim > 5:
        np.copyto(target, source)
        return
    missing = (None,) * (5 - source.ndim)
    _core.copy(core_view(source)[missing], core_view(target)[missing])


def contiguous(array: Array) -> Array:
    """Return the array dense: itself, or copied on every thread.

    Examples
    --------
    >>> contiguous(np.arange(6).reshape(2, 3).T).flags.c_contiguous
    True
    """
    if array.flags.c_contiguous:
        return array
    dense = np.empty(array.shape, array.dtype)
    copy_into(dense, array)
    return dense


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a new array that begins with a line of the cache."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % CACHE_LINE
    return memory[begin : begin + size].view(dtype).reshape(shape)


def check_out(
    operation: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *inputs: Array | None
) -> Array:
    """Return `out` as an array that a result of this shape and dtype can be written to."""
    if isinstance(out, np.ndarray):
        array = out
    elif hasattr(out, "__dlpack__"):
        array, _ = from_caller(operation, "out", out)
    else:
        raise DTypeError(f"{operation}: out must be an array, got {type(out).__name__}")
    if array.shape != shape:
        raise ShapeError(f"{operation}: out must have the shape {shape}, got {array.shape}")
    if array.dtype != dtype:
        raise DTypeError(f"{operation}: out must be {dtype} like the input, got {array.dtype}")
    if not array.flags.writeable:
        raise ArgumentError(f"{operation}: out is read-only")
    if not addressable(array):
        raise ArgumentError(
            f"{operation}: out must be aligned, with strides of whole elements, "
            f"got strides of {array.strides} bytes"
        )
    if not array.flags.c_contiguous and array.size > 1 and _overlaps_itself(array):
        raise ArgumentError(f"{operation}: elements of out share memory with one another")
    for other in inputs:
        if other is not None and np.may_share_memory(array, other) and _overlap(array, other):
            raise ArgumentError(f"{operation}: out must not share memory with an input")
    return array


def _overlap(a: Array, b: Array) -> bool:
    try:
        return np.shares_memory(a, b, max_work=_OVERLAP_WORK)
    except np.exceptions.TooHardError:
        return True


def _overlaps_itself(array: Array) -> bool:
    # A broadcast or sliding view. Sorted by stride, each axis must step over all smaller ones.
    reach = array.itemsize
    for step, count in sorted(
        (abs(step), count)
        for step, count in zip(array.strides, array.shape, strict=True)
        if count > 1
    ):
        if step < reach:
            return True
        reach = step * (count - 1) + reach
    return False
