"""Layers that take several maps: what residual and dense bases join with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attar.arrays import Array
from attar.errors import ArgumentError, ShapeError
from attar.layers.arguments import Shape, read_shape, whole_number
from attar.layers.base import Layer

__all__ = ["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"]


class _Merge(Layer):
    """Maps of one shape, combined number by number; sizes of 1 are repeated, as in NumPy."""

    merges = True
    in_place = True
    _ufunc: np.ufunc

    def _shapes(self, input_shape: Any, least: int) -> list[Shape]:
        if not isinstance(input_shape, list | tuple) or len(input_shape) < least:
            count = f"{least} inputs or more" if least > 1 else "an input"
            raise ArgumentError(f"{self.where}: takes a list of {count}, got {input_shape!r}")
        shapes = [read_shape(self.where, "input_shape", shape) for shape in input_shape]
        if len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(f"{self.where}: inputs must have one rank, got the shapes {shapes}")
        return shapes

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the common shape of a list of them."""
        shapes = self._shapes(input_shape, least=2)
        return tuple(self._size(sizes, shapes) for sizes in zip(*shapes, strict=True))

    def _size(self, sizes: tuple[int | None, ...], shapes: list[Shape]) -> int | None:
        known = {size for size in sizes if size not in (None, 1)}
        if len(known) > 1:
            raise ShapeError(
                f"{self.where}: inputs must have one shape, or 1 where they differ, got {shapes}"
            )
        return known.pop() if known else None if None in sizes else 1

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Combine the first two, then the next with what there is."""
        self._ufunc(arrays[0], arrays[1], out=out)
        for array in arrays[2:]:
            self._ufunc(out, array, out=out)


class Add(_Merge):
    """Add maps.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> ones = np.ones((1, 2), np.float32)
    >>> layers.Add()([ones, ones, ones])
    array([[3., 3.]], dtype=float32)
    """

    _ufunc = np.add


class Subtract(_Merge):
    """Subtract the second map from the first.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Subtract()([np.ones((1, 1), np.float32), np.full((1, 1), 3, np.float32)])
    array([[-2.]], dtype=float32)
    """

    _ufunc = np.subtract

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the common shape of two."""
        if isinstance(input_shape, list | tuple) and len(input_shape) != 2:
            raise ArgumentError(f"{self.where}: takes a list of 2 inputs, got {len(input_shape)}")
        return super().compute_output_shape(input_shape)


class Multiply(_Merge):
    """Multiply maps number by number.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Multiply()([np.full((1, 1), 2, np.float32), np.full((1, 1), 3, np.float32)])
    array([[6.]], dtype=float32)
    """

    _ufunc = np.multiply


class Maximum(_Merge):
    """Keep the largest of each number.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Maximum()([np.full((1, 1), 2, np.float32), np.full((1, 1), 3, np.float32)])
    array([[3.]], dtype=float32)
    """

    _ufunc = np.maximum


class Minimum(_Merge):
    """Keep the smallest of each number.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Minimum()([np.full((1, 1), 2, np.float32), np.full((1, 1), 3, np.float32)])
    array([[2.]], dtype=float32)
    """

    _ufunc = np.minimum


class Average(_Merge):
    """Take the mean of maps.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Average()([np.full((1, 1), 2, np.float32), np.full((1, 1), 3, np.float32)])
    array([[2.5]], dtype=float32)
    """

    _ufunc = np.add

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Add, and divide."""
        super().compute(arrays, out)
        out /= out.dtype.type(len(arrays))


class Concatenate(_Merge):
    """Lay maps behind each other, by default their channels.

    Parameters
    ----------
    axis : int
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> maps = np.zeros((1, 8, 8, 3), np.float32)
    >>> layers.Concatenate()([maps, maps]).shape
    (1, 8, 8, 6)
    """

    in_place = False

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = whole_number(self.where, "axis", axis, least=-(2**31))

    @property
    def pixelwise(self) -> bool:  # type: ignore[override]
        """Along the channels."""
        return self.axis in (-1, 3)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape with the sizes along the axis added up."""
        shapes = self._shapes(input_shape, least=1)
        rank = len(shapes[0])
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 0 < axis < rank:
            raise ShapeError(
                f"{self.where}: axis must be one of the {rank} axes of the inputs behind the "
                f"batch, got {self.axis}"
            )
        answer: list[int | None] = []
        for i, sizes in enumerate(zip(*shapes, strict=True)):
            known = [size for size in sizes if size is not None]
            if i == axis:
                answer.append(sum(known) if len(known) == len(sizes) else None)
            elif len(set(known)) > 1:
                raise ShapeError(
                    f"{self.where}: inputs must have one shape but for axis {axis}, got {shapes}"
                )
            else:
                answer.append(known[0] if known else None)
        return tuple(answer)

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Copy one behind the other."""
        np.concatenate(arrays, axis=self.axis, out=out)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"axis": self.axis}
