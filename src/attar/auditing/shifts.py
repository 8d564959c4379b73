"""Images moved by every shift of a grid: where to, and what comes in at the border."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from attar import features
from attar.errors import ShapeError
from attar.models.inputs import ModelInput
from attar.preparation import fitted

__all__ = [
    "FRACTIONAL",
    "MODES",
    "WHOLE",
    "Cut",
    "Grid",
    "Mode",
    "Moved",
    "Resampled",
    "batches",
    "moved",
    "window",
]

Array: TypeAlias = NDArray[Any]
Whole: TypeAlias = Literal["crop", "zero", "reflect", "circular"]
Fractional: TypeAlias = Literal["linear", "fourier"]
Mode: TypeAlias = Whole | Fractional

WHOLE: Final[tuple[Whole, ...]] = get_args(Whole)
FRACTIONAL: Final[tuple[Fractional, ...]] = get_args(Fractional)
MODES: Final[tuple[Mode, ...]] = (*WHOLE, *FRACTIONAL)
"""What comes in at the border: more of the picture; black; the picture mirrored; its other side.
The last two are circular as well, and go by fractions of a pixel."""

_PADS: Final = {"zero": "constant", "reflect": "reflect", "circular": "wrap"}  # as NumPy says it
_COPY_BYTES = 1 << 20  # of images that are moved by a fraction at once
_BATCH = 64  # images at most: more are no faster
_BATCH_BYTES = 64 << 20  # and of how many bytes together, where one image takes less


@dataclass(frozen=True)
class Grid:
    """All shifts (dy, dx) with both numbers out of `offsets`, cell by cell, row by row.

    Attributes
    ----------
    offsets : tuple of float
        In pixels, ascending; 0 is in the middle.

    Examples
    --------
    >>> grid = Grid.reaching(1)
    >>> grid.shifts.tolist()[:4], grid.cells, grid.middle
    ([[-1, -1], [-1, 0], [-1, 1], [0, -1]], 9, 4)
    >>> Grid.reaching(1, 0.5).offsets
    (-1.0, -0.5, 0.0, 0.5, 1.0)
    """

    offsets: tuple[float, ...]

    @classmethod
    def reaching(cls, reach: float, step: float = 1) -> Grid:
        """Return the grid of the multiples of a step that are no longer than `reach`."""
        most = math.floor(reach / step + 1e-9)  # 0.3 / 0.1 is 2.9999999999999996
        return cls(tuple(k * step for k in range(-most, most + 1)))

    @property
    def cells(self) -> int:
        """How many shifts there are, no shift among them."""
        return len(self.offsets) ** 2

    @property
    def middle(self) -> int:
        """The cell of no shift."""
        return self.cells // 2

    @cached_property
    def shifts(self) -> Array:
        """The shift of each cell, (cells, 2): down and to the right."""
        down, right = np.meshgrid(self.offsets, self.offsets, indexing="ij")
        return np.stack([down.ravel(), right.ravel()], axis=1)

    @cached_property
    def radii(self) -> Array:
        """How far each cell is moved: the larger of abs(dy) and abs(dx)."""
        farthest: Array = np.abs(self.shifts).max(axis=1)
        return farthest

    def exhaustive(self, budget: int) -> bool:
        """Whether so many forward passes are enough for every shift."""
        return self.cells <= budget

    def tried(self, budget: int) -> int:
        """Return how many shifts are tried with so many passes; no shift takes one of them."""
        return min(self.cells, budget) - 1

    def chosen(self, budget: int, seed: int, index: int) -> NDArray[np.int32]:
        """Return the cells to try for one image, ascending, without the middle.

        All of them if there are enough passes. Otherwise as many as there are passes for, drawn
        without replacement, by a seed and the index of the image alone: what an image is tried
        with does not depend on what it is run together with.

        Examples
        --------
        >>> Grid.reaching(1).chosen(9, seed=0, index=0).tolist()
        [0, 1, 2, 3, 5, 6, 7, 8]
        >>> [Grid.reaching(8).chosen(4, seed=0, index=i).tolist() for i in (0, 1)]
        [[148, 183, 244], [150, 256, 286]]
        """
        others = np.delete(np.arange(self.cells, dtype=np.int32), self.middle)
        if self.exhaustive(budget):
            return others
        chance = np.random.default_rng([seed, index])
        drawn = chance.choice(others, self.tried(budget), replace=False, shuffle=False)
        return np.sort(drawn)

    def table(self, values: Array, middle: float) -> tuple[tuple[float | None, ...], ...]:
        """Return a number for each cell as rows, NaN as None.

        Parameters
        ----------
        values : ndarray, (cells,)
        middle : float
            What stands for no shift.

        Examples
        --------
        >>> Grid((-1, 0, 1)).table(np.array([0, 1, 2, 3, np.nan, 5, 6, 7, np.nan]), middle=9)
        ((0.0, 1.0, 2.0), (3.0, 9.0, 5.0), (6.0, 7.0, None))
        """
        values = np.array(values, np.float64)
        values[self.middle] = middle
        side = len(self.offsets)
        return tuple(
            tuple(None if math.isnan(value) else value for value in row)
            for row in values.reshape(side, side).tolist()
        )


class Moved(Protocol):
    """Images of which each can be had at any shift."""

    size: tuple[int, int]
    channels: int

    def write(self, into: Array, image: int, dy: float, dx: float) -> None:
        """Write an image, moved down by `dy` and to the right by `dx`, into (H, W, C)."""
        ...


class Cut:
    """Images with a margin around them, of which each shift by whole pixels is a window.

    Parameters
    ----------
    pixels : ndarray of float32, (n, height, width, C)
    size : (int, int)
        Height and width of the window.
    origin : (int, int)
        Row and column of its first pixel where nothing is moved.
    """

    def __init__(self, pixels: Array, size: tuple[int, int], origin: tuple[int, int]) -> None:
        self._pixels, self.size, self._origin = pixels, size, origin
        self.channels = pixels.shape[3]

    def write(self, into: Array, image: int, dy: float, dx: float) -> None:
        """Write an image, moved down by `dy` and to the right by `dx`, into (H, W, C)."""
        height, width = self.size
        top, left = self._origin[0] - int(dy), self._origin[1] - int(dx)
        into[...] = self._pixels[image, top : top + height, left : left + width]


class Resampled:
    """Images moved by fractions of a pixel, circularly: `attar.features.shift`.

    A shift by 1.25 pixels is one by 0.25, moved by whole pixels: of each image there is a copy for
    each fraction, and each shift is a window of one of them. (A `features.shift` for every shift
    takes as long as a small model does.)

    Parameters
    ----------
    images : ndarray of float32, (n, H, W, C)
    interpolation : {"linear", "fourier"}
    margin : int
        How far they can be moved, in pixels.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((5, 7, 3), np.float32)
    >>> into = np.empty_like(image)
    >>> Resampled(image[None], "linear", 2).write(into, 0, 0.5, -1.25)
    >>> moved = features.shift(image, 0.5, -1.25, mode="circular", interpolation="linear")
    >>> bool((into == moved).all())
    True
    """

    def __init__(self, images: Array, interpolation: Fractional, margin: int) -> None:
        self._images, self._interpolation, self._margin = images, interpolation, margin
        self.size, self.channels = (images.shape[1], images.shape[2]), images.shape[3]
        self._together = max(1, _COPY_BYTES * len(images) // images.nbytes)
        self._copies: dict[tuple[float, float], Cut] = {}
        self._first = 0  # of the images that there are copies of

    def write(self, into: Array, image: int, dy: float, dx: float) -> None:
        """Write an image, moved down by `dy` and to the right by `dx`, into (H, W, C)."""
        first = image - image % self._together
        if self._first != first:
            self._first, self._copies = first, {}
        down, right = math.floor(dy), math.floor(dx)
        fractions = (dy - down, dx - right)
        if fractions not in self._copies:
            self._copies[fractions] = self._copy(*fractions)
        self._copies[fractions].write(into, image - first, down, right)

    def _copy(self, dy: float, dx: float) -> Cut:
        some = self._images[self._first : self._first + self._together]
        # Several images move as one with as many channels.
        one = np.moveaxis(some, 0, 2)
        copy = features.shift(
            one.reshape(*self.size, -1),
            dy,
            dx,
            mode="circular",
            interpolation=self._interpolation,
        )
        return _padded(np.moveaxis(copy.reshape(one.shape), 2, 0), self._margin, "circular")


def moved(given: ModelInput, images: Array, mode: Mode, reach: int) -> Moved:
    """Return images that can be had at any shift, in the size that the model sees.

    Pixels are those of the model. Where it takes one size, images are resized to that before they
    are moved, and for ``"crop"`` to a size with a margin of `reach` on each side. Where it takes
    any, ``"crop"`` cuts the margin from the images as they are.

    Parameters
    ----------
    given : ModelInput
    images : ndarray of float32, (n, H, W, C)
    mode : {"crop", "zero", "reflect", "circular", "linear", "fourier"}
    reach : int
        The longest shift, in pixels.

    Raises
    ------
    ShapeError
        An image is not larger than the shift.

    Examples
    --------
    >>> row = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 4, 1) / 4
    >>> row = np.repeat(row, 4, axis=1)
    >>> from attar.preparation import Preparation
    >>> free = ModelInput(None, None, None, 1, "NHWC", Preparation(), "", "")
    >>> into = np.empty((4, 4, 1), np.float32)
    >>> for mode in ("zero", "reflect", "circular"):
    ...     moved(free, row, mode, 1).write(into, 0, 0, 1)
    ...     print(mode, into[0, :, 0])
    zero [0.   0.25 0.5  0.75]
    reflect [0.5  0.25 0.5  0.75]
    circular [1.   0.25 0.5  0.75]
    """
    height, width = window(given, images.shape[1:3], mode, reach)
    if min(height, width) <= reach:
        raise ShapeError(
            f"audit: shifts of {reach} pixels are too long for mode {mode!r}: the model sees "
            f"{height} × {width} pixels"
        )
    if mode == "crop":
        larger = (len(images), height + 2 * reach, width + 2 * reach, given.channels)
        canvas = np.empty(larger, np.float32)
        for image, made in zip(images, canvas, strict=True):
            made[...] = fitted(image, *larger[1:])
        return Cut(canvas, (height, width), (reach, reach))
    seen = given.fit("audit", images)
    if mode == "linear" or mode == "fourier":  # which narrows the type, as `in` does not
        return Resampled(seen, mode, reach)
    return _padded(seen, reach, mode)


def _padded(images: Array, margin: int, mode: Literal["zero", "reflect", "circular"]) -> Cut:
    around = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    pad: Any = np.pad  # a name that is a variable fits none of its overloads
    pixels = pad(images, around, mode=_PADS[mode])
    return Cut(pixels, (images.shape[1], images.shape[2]), (margin, margin))


def window(given: ModelInput, size: tuple[int, ...], mode: Mode, reach: int) -> tuple[int, int]:
    """Return how many rows and columns of images of a size the model sees at any shift."""
    margin = 2 * reach if mode == "crop" else 0
    height, width = (
        own or side - margin for own, side in zip((given.height, given.width), size, strict=True)
    )
    return height, width


def batches(images: Moved, which: Array, shifts: Array) -> Iterator[Array]:
    """Yield moved images, those of several images together.

    Parameters
    ----------
    images : Moved
    which : ndarray of int, (m,)
        Index of the image for each shift.
    shifts : ndarray, (m, 2)
        Down and to the right.

    Yields
    ------
    ndarray of float32, (at most 64, H, W, C)
        Overwritten by the next.
    """
    shape = (*images.size, images.channels)
    most = max(1, min(_BATCH, _BATCH_BYTES // (4 * math.prod(shape))))
    batch = np.empty((most, *shape), np.float32)
    for start in range(0, len(which), most):
        some = which[start : start + most].tolist()
        for k, (image, (dy, dx)) in enumerate(
            zip(some, shifts[start : start + most].tolist(), strict=True)
        ):
            images.write(batch[k], image, dy, dx)
        yield batch[: len(some)]
