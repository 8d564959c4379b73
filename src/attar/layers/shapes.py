"""Layers that move numbers and change none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from attar.arrays import Array
from attar.errors import ArgumentError, ShapeError
from attar.geometry import Axis
from attar.layers.arguments import Shape, check_data_format, read_shape, whole_number
from attar.layers.base import Layer

__all__ = [
    "Dropout",
    "Flatten",
    "Identity",
    "Permute",
    "Reshape",
    "SpatialDropout2D",
    "ZeroPadding2D",
]


class Identity(Layer):
    """Change nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Identity()(np.ones((1, 2), np.float32))
    array([[1., 1.]], dtype=float32)
    """

    @property
    def is_view(self) -> bool:
        """The input itself."""
        return True


class Dropout(Identity):
    """Change nothing: what is dropped is dropped in training only.

    Parameters
    ----------
    rate : float
        In [0, 1].
    noise_shape, seed
        For training: accepted, without effect.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Dropout(0.5)(np.ones((1, 2), np.float32))
    array([[1., 1.]], dtype=float32)
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: Any = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ArgumentError(f"{self.where}: rate must be in [0, 1], got {rate!r}")
        self.rate = rate

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"rate": self.rate}


class SpatialDropout2D(Dropout):
    """Change nothing: whole maps are dropped, and in training only.

    Parameters
    ----------
    rate : float
        In [0, 1].
    data_format : {"channels_last", None}
    seed
        For training: accepted, without effect.
    name : str, optional
    """

    def __init__(
        self, rate: float, data_format: str | None = None, seed: Any = None, **options: Any
    ) -> None:
        super().__init__(rate, **options)
        check_data_format(self.where, data_format)


class Flatten(Layer):
    """Lay the numbers of an image in one row: row by row, pixel by pixel, channel by channel.

    Parameters
    ----------
    data_format : {"channels_last", None}
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Flatten()(np.ones((2, 4, 4, 3), np.float32)).shape
    (2, 48)
    """

    pixelwise = False

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        check_data_format(self.where, data_format)

    @property
    def is_view(self) -> bool:
        """The same numbers in another shape."""
        return True

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return (N, features)."""
        n, *sizes = read_shape(self.where, "input_shape", input_shape)
        known = [size for size in sizes if size is not None]
        return (n, math.prod(known) if len(known) == len(sizes) else None)


class Reshape(Layer):
    """Give the numbers of an image another shape.

    Parameters
    ----------
    target_shape : tuple of int
        Without the batch; one of the sizes may be -1, which follows from the others.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Reshape((4, -1))(np.ones((2, 8, 3), np.float32)).shape
    (2, 4, 6)
    """

    pixelwise = False

    def __init__(self, target_shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(target_shape, list | tuple):
            raise ArgumentError(
                f"{self.where}: target_shape must be a tuple of sizes, got {target_shape!r}"
            )
        self.target_shape = tuple(
            whole_number(self.where, "target_shape", size, least=-1) for size in target_shape
        )
        if self.target_shape.count(-1) > 1 or 0 in self.target_shape:
            raise ArgumentError(
                f"{self.where}: sizes of target_shape must be at least 1, but for one -1, got "
                f"{self.target_shape}"
            )

    @property
    def is_view(self) -> bool:
        """The same numbers in another shape."""
        return True

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the target shape with the batch in front."""
        shape = read_shape(self.where, "input_shape", input_shape)
        n, *sizes = shape
        known = [size for size in sizes if size is not None]
        given = math.prod(size for size in self.target_shape if size != -1)
        if len(known) < len(sizes):
            return (n, *(None if size == -1 else size for size in self.target_shape))
        count = math.prod(known)
        if count % given or (-1 not in self.target_shape and count != given):
            raise ShapeError(
                f"{self.where}: an input of shape {shape} has {count} numbers, which do not fit "
                f"target_shape {self.target_shape}"
            )
        return (n, *(count // given if size == -1 else size for size in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"target_shape": list(self.target_shape)}


class Permute(Layer):
    """Change the order of the axes behind the batch.

    Parameters
    ----------
    dims : tuple of int
        The axes of the input in the order of the answer, counted from 1.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Permute((3, 1, 2))(np.ones((2, 8, 9, 3), np.float32)).shape
    (2, 3, 8, 9)
    """

    pixelwise = False

    def __init__(self, dims: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(dims, list | tuple) or sorted(dims) != list(range(1, len(dims) + 1)):
            raise ArgumentError(
                f"{self.where}: dims must be the axes 1, 2, ... in another order, got {dims!r}"
            )
        self.dims = tuple(dims)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the sizes in the new order."""
        shape = read_shape(self.where, "input_shape", input_shape, rank=len(self.dims) + 1)
        return (shape[0], *(shape[axis] for axis in self.dims))

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Move the axes."""
        out[...] = arrays[0].transpose(0, *self.dims)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"dims": list(self.dims)}


class ZeroPadding2D(Layer):
    """Lay zeros around the image.

    Parameters
    ----------
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Rows and columns, in pixels.
    data_format : {"channels_last", None}
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.ZeroPadding2D(((1, 0), (0, 2)))(np.ones((1, 4, 4, 3), np.float32)).shape
    (1, 5, 6, 3)
    """

    pixelwise = False

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        check_data_format(self.where, data_format)
        sides = padding if isinstance(padding, list | tuple) else (padding, padding)
        pairs = [side if isinstance(side, list | tuple) else (side, side) for side in sides]
        if len(pairs) != 2 or any(len(pair) != 2 for pair in pairs):
            raise ArgumentError(
                f"{self.where}: padding must be a number, (vertical, horizontal) or ((top, "
                f"bottom), (left, right)), got {padding!r}"
            )
        (top, bottom), (left, right) = (
            (whole_number(self.where, "padding", a, 0), whole_number(self.where, "padding", b, 0))
            for a, b in pairs
        )
        self.padding = ((top, bottom), (left, right))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape with the zeros around."""
        n, height, width, channels = read_shape(self.where, "input_shape", input_shape, rank=4)
        (top, bottom), (left, right) = self.padding
        return (
            n,
            None if height is None else top + height + bottom,
            None if width is None else left + width + right,
            channels,
        )

    def windows(self, input_shape: Any) -> tuple[Axis, Axis] | None:
        """Tell that each pixel sees one of the input, so many to the left and above."""
        height, width = (
            Axis(size, 1, 1, 1, before, behind, before + size + behind)
            for size, (before, behind) in zip(input_shape[1:3], self.padding, strict=True)
        )
        return height, width

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Copy the image, and write zeros around it."""
        _, height, width, _ = arrays[0].shape
        (top, _), (left, _) = self.padding
        out[:, :top] = 0
        out[:, top + height :] = 0
        rows = out[:, top : top + height]
        rows[:, :, :left] = 0
        rows[:, :, left + width :] = 0
        np.copyto(rows[:, :, left : left + width], arrays[0])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"padding": [list(pair) for pair in self.padding]}
