"""Condense such that a small shift of the image is a small change: blur before the stride."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from attar import nn
from attar.arrays import Array
from attar.errors import ArgumentError
from attar.geometry import Axis, flag
from attar.layers.arguments import pair
from attar.layers.base import Layer
from attar.layers.pools import AveragePooling2D, MaxPooling2D, WindowPooling2D

__all__ = ["AverageBlurPooling2D", "MaxBlurPooling2D", "PoolKind", "with_pool"]

_SIZES = (1, 3, 5, 7)


class _BlurPooling2D(WindowPooling2D):
    """A pool at every place, blurred, of which only every stride-th value is computed.

    The windows that the pool without a blur would have are among those of the dense pool, so that
    this layer can stand in its place: as many outputs, each over the same part of the map.
    """

    def __init__(
        self,
        pool_size: Any,
        strides: Any,
        padding: Any,
        data_format: str | None,
        ceil_mode: bool,
        size: Any,
        options: dict[str, Any],
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, ceil_mode, options)
        self.size = pair(self.where, "size", size)
        if not set(self.size) <= set(_SIZES):
            # An even filter sits between two cells: the map would move by half a cell.
            raise ArgumentError(
                f"{self.where}: size must be odd, 1 to {_SIZES[-1]}, so that the filter has a "
                f"middle, got {size!r}"
            )

    def _dense(self, i: int, size: int) -> tuple[Axis, int]:
        """Return the windows of the dense pool along an axis, and the size of the filter.

        Where the dense map has too few cells to be mirrored at its border, the filter is as large
        as it can be.
        """
        axis = self._axis(i, size)
        needed = (axis.out - 1) * axis.stride + axis.window - size - axis.pad_before
        # Not more padding than leaves a value in each window; ceil_mode may need more than is said.
        after = max(needed, min(axis.pad_after, axis.window - 1))
        out = size + axis.pad_before + after - axis.window + 1
        dense = axis._replace(stride=1, pad_after=after, out=out)
        return dense, min(self.size[i], 2 * out - 1)

    def windows(self, input_shape: Any) -> tuple[Axis, Axis] | None:
        """Tell what an output pixel sees: its filter, and the windows behind the filter."""
        height, width = (self._seen(i, size) for i, size in enumerate(input_shape[1:3]))
        return height, width

    def _seen(self, i: int, size: int) -> Axis:
        pool, (dense, filter_size) = self._axis(i, size), self._dense(i, size)
        reach = filter_size // 2
        return dense._replace(
            window=dense.window + 2 * reach,
            stride=pool.stride,
            pad_before=dense.pad_before + reach,
            pad_after=dense.pad_after + reach,
            out=pool.out,
        )

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Pool at every place, blur, and stride."""
        (image,) = arrays
        axes, sizes = zip(*map(self._dense, (0, 1), image.shape[1:3]), strict=True)
        self._pool(image, [(axis.pad_before, axis.pad_after) for axis in axes], sizes, out)

    def _pool(
        self, image: Array, padding: list[tuple[int, int]], sizes: tuple[int, ...], out: Array
    ) -> None:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"size": list(self.size)}


class MaxBlurPooling2D(_BlurPooling2D):
    """Condense: the maximum at every place, blurred, of which every stride-th value is kept.

    What becomes of `MaxPooling2D` when it is anti-aliased: the shape of the answer is the same, and
    each output stays where it was. R. Zhang, "Making Convolutional Networks Shift-Invariant
    Again", ICML 2019. Keras does not have it.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, ceil_mode
        As of `MaxPooling2D`.
    size : int or 2 ints, default 3
        Of the filter: a row of Pascal's triangle along each axis; 1, 3, 5 or 7. At a border the map
        of the maxima is mirrored.

    See Also
    --------
    attar.nn.max_blur_pool : what computes it, in one pass.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> row = np.array([0, 0, 4, 0, 0, 8], np.float32).reshape(1, 1, 6, 1)
    >>> layers.MaxBlurPooling2D(pool_size=(1, 2))(row).ravel()
    array([2., 3., 4.], dtype=float32)
    """

    kind = "MAX"

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        ceil_mode: bool = False,
        size: Any = 3,
        **options: Any,
    ) -> None:
        super().__init__(
            pool_size, strides, padding, data_format, ceil_mode, size, {"name": name, **options}
        )

    def _pool(
        self, image: Array, padding: list[tuple[int, int]], sizes: tuple[int, ...], out: Array
    ) -> None:
        nn.max_blur_pool(image, self.pool_size, sizes, self.strides, padding, "NHWC", out=out)


class AverageBlurPooling2D(_BlurPooling2D):
    """Condense: the mean at every place, blurred, of which every stride-th value is kept.

    What becomes of `AveragePooling2D` when it is anti-aliased, with the same shape and places. For
    a window of 2 and a filter of 3 it is `attar.nn.blur_pool` with a filter of 4, [1 3 3 1] / 8,
    whose middle is that of the window. Keras does not have it.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, ceil_mode, count_include_pad
        As of `AveragePooling2D`. Cells that `ceil_mode` adds are padding as well.
    size : int or 2 ints, default 3
        As of `MaxBlurPooling2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> row = np.array([0, 0, 4, 0, 0, 8], np.float32).reshape(1, 1, 6, 1)
    >>> layers.AverageBlurPooling2D(pool_size=(1, 2))(row).ravel()
    array([1. , 1.5, 2. ], dtype=float32)
    """

    kind = "AVG"

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        ceil_mode: bool = False,
        count_include_pad: bool = False,
        size: Any = 3,
        **options: Any,
    ) -> None:
        super().__init__(
            pool_size, strides, padding, data_format, ceil_mode, size, {"name": name, **options}
        )
        self.count_include_pad = flag(self.where, "count_include_pad", count_include_pad)

    def _pool(
        self, image: Array, padding: list[tuple[int, int]], sizes: tuple[int, ...], out: Array
    ) -> None:
        means = nn.avg_pool(
            image, self.pool_size, 1, padding, "NHWC", count_include_pad=self.count_include_pad
        )
        nn.blur_pool(means, sizes, self.strides, "NHWC", out=out)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"count_include_pad": self.count_include_pad}


PoolKind = Literal["max", "average", "blur"]

_COMMON = ("name", "pool_size", "strides", "padding", "ceil_mode")


def with_pool(operation: str, layer: Layer, kind: PoolKind) -> Layer | None:
    """Return a pool of another kind with the windows of this layer; None where it stays as it is.

    A pool without a stride has nothing that a blur could mend, and stays.

    Examples
    --------
    >>> pool = MaxPooling2D(3, 2, name="condense")
    >>> with_pool("doc", pool, "blur")
    <MaxBlurPooling2D 'condense', not built>
    >>> with_pool("doc", MaxPooling2D(3, 1), "blur") is None
    True
    """
    if kind not in get_args(PoolKind):
        raise ArgumentError(
            f"{operation}: kind must be one of {', '.join(map(repr, get_args(PoolKind)))}, "
            f"got {kind!r}"
        )
    if not isinstance(layer, WindowPooling2D):
        return None
    wanted = _KINDS[kind, layer.kind]
    if isinstance(layer, wanted) or (kind == "blur" and layer.strides == (1, 1)):
        return None
    config = layer.get_config()
    kept = {key: config[key] for key in _COMMON}
    if wanted.kind == layer.kind == "AVG":
        kept["count_include_pad"] = config["count_include_pad"]
    if kind == "blur":
        kept["size"] = [1 if stride == 1 else 3 for stride in layer.strides]
    return wanted.from_config(kept)


_KINDS: dict[tuple[str, str], type[WindowPooling2D]] = {
    ("max", "MAX"): MaxPooling2D,
    ("max", "AVG"): MaxPooling2D,
    ("average", "MAX"): AveragePooling2D,
    ("average", "AVG"): AveragePooling2D,
    ("blur", "MAX"): MaxBlurPooling2D,
    ("blur", "AVG"): AverageBlurPooling2D,
}
