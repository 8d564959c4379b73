"""Condense images some rows at a time: those on disk, and those that are decoded by rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.arrays import from_caller
from attar.nn.extract_plan import ExtractPlan, plan_extract
from attar.nn.streaming import BAND_BYTES, Maps, check_stored_out, extract_rows, extract_stages
from attar.on_disk import is_on_disk, let_go, rows_of_a_chunk
from attar.operands import as_bias, as_filters, as_kernel, nn_arguments, wrong_rank
from attar.rasters import ArrayRaster, Raster
from attar.spec import ExtractionSpec, resolve
from attar.stats import MapStats, Tally

__all__ = ["STAGES", "ByRows", "Stage", "condense_by_rows", "is_by_rows", "measure_by_rows"]

Array: TypeAlias = NDArray[Any]
Stage: TypeAlias = Literal["image", "filter", "detect", "condense"]

STAGES: tuple[Stage, ...] = ("image", "filter", "detect", "condense")


def is_by_rows(image: object) -> bool:
    """Whether an image is on disk, or is read by rows.

    Examples
    --------
    >>> is_by_rows(np.zeros((2, 2)))
    False
    """
    return type(image) is not np.ndarray and (is_on_disk(image) or isinstance(image, Raster))


class ByRows(NamedTuple):
    """What condensing an image, or a batch of one shape, by rows takes.

    Attributes
    ----------
    shape : tuple of int
        Of the image: (H, W), (H, W, C) or (N, H, W, C).
    dtype : dtype
        That is computed in.
    kernel : ndarray, of that dtype
    spec : ExtractionSpec
    filters : (kh, kw, C, K) ndarray
    plan : ExtractPlan
        For one image.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    kernel: Array
    spec: ExtractionSpec
    filters: Array
    plan: ExtractPlan

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        kernel: Any,
        *,
        in_memory: bool = False,
        **options: Any,
    ) -> ByRows:
        """Resolve the arguments of `attar.extract` for an image of this shape and dtype.

        Examples
        --------
        >>> work = ByRows.of((32768, 32768), np.dtype(np.float32), "edge", pool_size=4)
        >>> work.shapes["detect"], work.shapes["condense"]
        ((32768, 32768), (8192, 8192))
        """
        if len(shape) not in (2, 3, 4):
            raise wrong_rank(shape)
        weights = as_kernel(kernel, dtype)
        one = (1, *shape[-3:]) if len(shape) > 2 else (1, *shape, 1)
        filters = as_filters(weights, shape)
        spec = resolve(kernel, weights.shape, **options)
        arguments = nn_arguments(spec)
        arguments["pooling_type"] = arguments["pooling_type"] or "NONE"
        plan = plan_extract(
            "extract", one, filters.shape, dilations=1, data_format="NHWC", in_memory=in_memory,
            **arguments,
        )  # fmt: skip
        return cls(shape, dtype, weights, spec, np.ascontiguousarray(filters), plan)

    @property
    def shapes(self) -> dict[Stage, tuple[int, ...]]:
        """The shape of every map, as that of the image: with or without images and channels."""
        plan, count = self.plan, self.filters.shape[3]
        sizes = {
            "filter": (plan.y.out, plan.x.out),
            "detect": (plan.y.out, plan.x.out),
            "condense": (plan.pool_y.out, plan.pool_x.out),
        }
        before = self.shape[:1] if len(self.shape) == 4 else ()
        after = () if len(self.shape) == 2 and count == 1 else (count,)
        return {
            name: self.shape if name == "image" else (*before, *sizes[name], *after)
            for name in STAGES
        }

    def condense(self, image: Any, write: Callable[[Array], None], together: int = 1) -> None:
        """Condense an image of this shape.

        Parameters
        ----------
        image : array, memory map, Zarr array or Raster
        write : callable
            Given the next rows of the condensed map. A batch comes image after image.
        together : int
            Rows of the condensed map that are stored together.
        """
        for raster, rows in self._images(image):
            extract_rows(
                self.plan, self.filters, self._bias, rows,
                lambda _first, _last, answer: write(self._in_layout(answer[0])),
                together=together,
            )  # fmt: skip
            if isinstance(raster, ArrayRaster):
                raster.close()

    def stages(self, image: Any, visit: Callable[[Stage, Array], None], together: int = 1) -> None:
        """Condense an image of this shape, and show every row of every map on the way, once.

        Parameters
        ----------
        image : array, memory map, Zarr array or Raster
        visit : callable
            Given the name of a map and its next rows. A batch comes image after image.
        together : int
            Rows of the condensed map that are stored together.
        """
        height = self.plan.y.size
        row_bytes = math.prod(self.shape[-2:] if len(self.shape) > 2 else self.shape[1:])
        step = max(1, BAND_BYTES // (row_bytes * self.dtype.itemsize))
        for raster, rows in self._images(image):
            seen = 0

            def watched(begin: int, end: int, rows: Any = rows, raster: Raster = raster) -> Array:
                nonlocal seen
                while seen < begin:  # rows that the filter steps over
                    until = min(begin, seen + step)
                    visit("image", raster.rows(seen, until))
                    seen = until
                band: Array = rows(begin, end)
                if end > seen:
                    found = band[0, seen - begin :]
                    visit("image", found if len(self.shape) > 2 else found[..., 0])
                    seen = end
                return band

            def show(maps: Maps) -> None:
                for name, values in zip(STAGES[1:], maps, strict=True):
                    if len(values):
                        visit(name, self._in_layout(values))

            extract_stages(self.plan, self.filters, self._bias, watched, show, together=together)
            if seen < height:
                watched(height, height)
            if isinstance(raster, ArrayRaster):
                raster.close()

    @property
    def _bias(self) -> Array | None:
        return as_bias(self.spec, self.dtype)

    def _images(self, image: Any) -> Any:
        """Yield every image as a raster, and what reads its rows as a batch of one."""
        for index in range(self.shape[0]) if len(self.shape) == 4 else (None,):
            raster = image if isinstance(image, Raster) else ArrayRaster(image, index)

            def rows(begin: int, end: int, raster: Raster = raster) -> Array:
                found = raster.rows(begin, end)
                return found[None] if found.ndim == 3 else found[None, :, :, None]

            yield raster, rows

    def _in_layout(self, values: Array) -> Array:
        """Return rows of a map with the axes of `shapes`."""
        return values if len(self.shapes["condense"]) > 2 else values[..., 0]


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
    shape = tuple(image.shape)
    dtype = image.dtype if isinstance(image, Raster) else ArrayRaster(image).dtype
    work = ByRows.of(shape, dtype, kernel, in_memory=not is_on_disk(out), **options)
    answer = work.shapes["condense"]
    result = np.empty(answer, dtype) if out is None else out
    check_stored_out("extract", image, result, answer, dtype)
    batched = len(shape) == 4
    place = 0

    def write(rows: Array) -> None:
        nonlocal place
        height = answer[1] if batched else answer[0]
        index, first = divmod(place, height)
        part = slice(first, first + len(rows))
        result[(index, part) if batched else part] = rows
        place += len(rows)
        let_go(result)

    work.condense(image, write, rows_of_a_chunk(result, int(batched), written=True))
    return work.kernel, result, work.spec


def measure_by_rows(image: Any) -> MapStats:
    """Return the numbers of an image, or a batch, as it is filtered, from some rows at a time.

    Parameters
    ----------
    image : array, memory map, Zarr array or Raster

    Examples
    --------
    >>> measure_by_rows(np.array([[0, 255]], np.uint8)).maximum
    1.0
    """
    shape = tuple(image.shape)
    batched = len(shape) == 4
    height = shape[1] if batched else shape[0]
    tally = Tally(shape, batched=batched)
    for index in range(shape[0]) if batched else (None,):
        raster = image if isinstance(image, Raster) else ArrayRaster(image, index)
        row_bytes = math.prod(raster.shape[1:]) * raster.dtype.itemsize
        step = max(1, BAND_BYTES // max(1, row_bytes))
        for begin in range(0, height, step):
            tally.add(raster.rows(begin, min(begin + step, height)))
        if isinstance(raster, ArrayRaster):
            raster.close()
    return tally.result()
