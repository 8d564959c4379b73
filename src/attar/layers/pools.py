"""Condense: pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from attar import nn
from attar.arrays import Array
from attar.geometry import Axis, flag, pool_axes
from attar.layers.arguments import Shape, check_data_format, pair, read_padding, read_shape
from attar.layers.base import Layer

__all__ = [
    "AveragePooling2D",
    "AvgPool2D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "MaxPool2D",
    "MaxPooling2D",
    "WindowPooling2D",
]


class WindowPooling2D(Layer):
    """A pool with windows: what maximum and mean share, blurred or not."""

    pixelwise = False
    kind: ClassVar[Literal["MAX", "AVG"]]

    def __init__(
        self,
        pool_size: Any,
        strides: Any,
        padding: Any,
        data_format: str | None,
        ceil_mode: bool,
        options: dict[str, Any],
    ) -> None:
        super().__init__(**options)
        check_data_format(self.where, data_format)
        self.pool_size = pair(self.where, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(self.where, "strides", strides)
        self.padding = read_padding(self.where, padding)
        self.ceil_mode = flag(self.where, "ceil_mode", ceil_mode)

    def _axis(self, i: int, size: int) -> Axis:
        padding = self.padding.upper() if isinstance(self.padding, str) else (self.padding[i],)
        (axis,) = pool_axes(
            self.where,
            (size,),
            (self.pool_size[i],),
            (self.strides[i],),
            (1,),
            padding,
            self.ceil_mode,
        )
        return axis

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return (N, OH, OW, C)."""
        shape = read_shape(self.where, "input_shape", input_shape, rank=4)
        sizes = tuple(
            None if size is None else self._axis(i, size).out for i, size in enumerate(shape[1:3])
        )
        return (shape[0], *sizes, shape[3])

    def windows(self, input_shape: Any) -> tuple[Axis, Axis] | None:
        """Tell what an output pixel sees."""
        return self._axis(0, input_shape[1]), self._axis(1, input_shape[2])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        pairs = self.padding if isinstance(self.padding, str) else [list(p) for p in self.padding]
        return super().get_config() | {
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": pairs,
            "ceil_mode": self.ceil_mode,
        }


class MaxPooling2D(WindowPooling2D):
    """Condense: the maximum of each window.

    Parameters
    ----------
    pool_size : int or 2 ints
        Height and width of the window.
    strides : int or 2 ints, optional
        The window by default.
    padding : {"valid", "same"} or ((top, bottom), (left, right))
        Never wins: a maximum is taken over real values.
    data_format : {"channels_last", None}
    name : str, optional
    ceil_mode : bool
        Keep the last window also where it reaches over the end, with PyTorch's meaning. Keras
        does not have it.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> layers.MaxPool2D()(image)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
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
        **options: Any,
    ) -> None:
        super().__init__(
            pool_size, strides, padding, data_format, ceil_mode, {"name": name, **options}
        )

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Take the maxima."""
        nn.max_pool(
            arrays[0],
            self.pool_size,
            self.strides,
            self.padding,
            "NHWC",
            ceil_mode=self.ceil_mode,
            out=out,
        )


class AveragePooling2D(WindowPooling2D):
    """Condense: the mean of each window.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, ceil_mode
        As of `MaxPooling2D`. A mean is divided by the number of real values.
    count_include_pad : bool
        Divide by the cells of padding too, with PyTorch's meaning. Keras does not have it.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> layers.AveragePooling2D(2)(image)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
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
        **options: Any,
    ) -> None:
        super().__init__(
            pool_size, strides, padding, data_format, ceil_mode, {"name": name, **options}
        )
        self.count_include_pad = flag(self.where, "count_include_pad", count_include_pad)

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Take the means."""
        nn.avg_pool(
            arrays[0],
            self.pool_size,
            self.strides,
            self.padding,
            "NHWC",
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
            out=out,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"count_include_pad": self.count_include_pad}


class _GlobalPooling2D(Layer):
    """A pool with one window for each map."""

    pixelwise = False
    kind: ClassVar[str]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        check_data_format(self.where, data_format)
        self.keepdims = flag(self.where, "keepdims", keepdims)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return (N, C), or (N, 1, 1, C) with `keepdims`."""
        n, _, _, channels = read_shape(self.where, "input_shape", input_shape, rank=4)
        return (n, 1, 1, channels) if self.keepdims else (n, channels)

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Reduce each map."""
        nn.global_pool(arrays[0], self.kind, "NHWC", keepdims=self.keepdims, out=out)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"keepdims": self.keepdims}


class GlobalMaxPooling2D(_GlobalPooling2D):
    """Condense each map to its maximum.

    Parameters
    ----------
    data_format : {"channels_last", None}
    keepdims : bool
        Keep height and width, of size 1.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.GlobalMaxPooling2D()(np.ones((1, 4, 4, 3), np.float32)).shape
    (1, 3)
    """

    kind = "MAX"


class GlobalAveragePooling2D(_GlobalPooling2D):
    """Condense each map to its mean.

    Parameters
    ----------
    data_format : {"channels_last", None}
    keepdims : bool
        Keep height and width, of size 1.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.GlobalAveragePooling2D(keepdims=True)(np.ones((1, 4, 4, 3), np.float32)).shape
    (1, 1, 1, 3)
    """

    kind = "AVG"


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
