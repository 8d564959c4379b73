"""Condense images some rows at a time: those on disk, and those that are decoded by rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.arrays import from_caller
from attar.errors import ShapeError
from attar.nn.extract_plan import ExtractPlan, plan_extract
from attar.nn.streaming import extract_rows
from attar.on_disk import is_on_disk, let_go, read_part
from attar.operands import as_filters, as_floats, as_kernel, nn_arguments, wrong_rank
from attar.rasters import Raster
from attar.spec import ExtractionSpec, resolve

__all__ = ["condense_by_rows", "condensed_shape", "is_by_rows"]

Array: TypeAlias = NDArray[Any]


def is_by_rows(image: object) -> bool:
    """Whether an image is on disk, or is read by rows.

    Examples
    --------
    >>> is_by_rows(np.zeros((2, 2)))
    False
    """
    return type(image) is not np.ndarray and (is_on_disk(image) or isinstance(image, Raster))


def condense_by_rows(
    image: Any, kernel: Any, out: Any, options: Mapping[str, Any]
) -> tuple[Array, Any, ExtractionSpec]:
    """Condense an image, or a batch of them, such that only some rows are in memory.

    Parameters
    ----------
    image : array, memory map, Zarr array or Raster
    kernel, options
        As of `attar.extract`.
    out : array, memory map, Zarr array or None

    Returns
    -------
    kernel : ndarray, of the dtype that is computed in
    condensed : ndarray, or `out`
    spec : ExtractionSpec
    """
    if not is_by_rows(image):
        image, _ = from_caller("extract", "image", image)
    source: Raster = image if isinstance(image, Raster) else _Stored(image)
    shape, dtype = tuple(source.shape), source.dtype
    weights, filters, spec, plan = _planned(shape, dtype, kernel, options)
    answer = _answer_shape(shape, plan)
    result = np.empty(answer, dtype) if out is None else out
    if tuple(result.shape) != answer or result.dtype != dtype:
        raise ShapeError(
            f"extract: out must be {dtype} of the shape {answer}, got {result.dtype} of "
            f"{tuple(result.shape)}"
        )
    bias = None if spec.bias is None else np.array(spec.bias, dtype=dtype)
    for index in range(shape[0]) if len(shape) == 4 else [None]:
        one: Raster = source if index is None else _Stored(image, index)

        def rows(begin: int, end: int, one: Raster = one) -> Array:
            found = one.rows(begin, end)
            return found.reshape(1, *found.shape, *(() if found.ndim == 3 else (1,)))

        def write(first: int, last: int, found: Array, index: int | None = index) -> None:
            part: Any = slice(first, last)
            values = found.reshape(last - first, *answer[1 if index is None else 2 :])
            result[part if index is None else (index, part)] = values
            let_go(result)

        extract_rows(plan, filters, bias, rows, write)
    return weights, result, spec


def condensed_shape(shape: tuple[int, ...], kernel: Any, **options: Any) -> tuple[int, ...]:
    """Return the shape of the condensed map of an image, for an `out` to be made.

    Parameters
    ----------
    shape : tuple of int
        Of the image: (H, W), (H, W, C) or (N, H, W, C).
    kernel, options
        As of `attar.extract`.

    Examples
    --------
    >>> condensed_shape((32768, 32768), "edge", pool_size=4)
    (8192, 8192)
    """
    *_, plan = _planned(shape, np.dtype(np.float32), kernel, options)
    return _answer_shape(shape, plan)


def _planned(
    shape: tuple[int, ...], dtype: np.dtype[Any], kernel: Any, options: Mapping[str, Any]
) -> tuple[Array, Array, ExtractionSpec, ExtractPlan]:
    if len(shape) not in (2, 3, 4):
        raise wrong_rank(shape)
    weights = as_kernel(kernel, dtype)
    one = (1, *shape[-3:]) if len(shape) > 2 else (1, *shape, 1)
    like = np.empty((1, 1) if len(shape) == 2 else (1, 1, one[-1]), dtype)
    filters = as_filters(weights, like)
    spec = resolve(kernel, weights.shape, **options)
    arguments = {**nn_arguments(spec), "dilations": 1, "data_format": "NHWC"}
    arguments["pooling_type"] = arguments["pooling_type"] or "NONE"
    return weights, filters, spec, plan_extract("extract", one, filters.shape, **arguments)


def _answer_shape(shape: tuple[int, ...], plan: ExtractPlan) -> tuple[int, ...]:
    answer = plan.out_shape[1:]
    if len(shape) == 2 and answer[-1] == 1:
        answer = answer[:-1]
    return (shape[0], *answer) if len(shape) == 4 else answer


class _Stored:
    """An array, a memory map or a Zarr array as a `Raster`; of a batch, one image."""

    def __init__(self, array: Any, index: int | None = None) -> None:
        self._array = array
        self._index = index

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return as_floats(np.empty(0, self._array.dtype)).dtype

    def rows(self, begin: int, end: int) -> Array:
        rows = slice(begin, end)
        part = (rows,) if self._index is None else (self._index, rows)
        return as_floats(read_part(self._array, part))
