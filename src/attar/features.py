"""What the experiments are made of: drawn features, and ways to move them.

Drawings are float32 arrays of shape (H, W) in [0, 1], features bright on black. Transforms take
images of shape (H, W) or (H, W, C) in float32 or float64 and answer with the same shape and dtype.
Where chance is involved there is a `seed`, and the same seed gives the same image.

What lies beyond an image is said by `mode`, drawn here for the row ``1234``::

    "zero"       0000 1234 0000
    "replicate"  1111 1234 4444
    "reflect"    3432 1234 3212
    "circular"   1234 1234 1234

Examples
--------
>>> dots = two_dots((3, 6), distance=3)
>>> dots.astype(int)
array([[0, 0, 0, 0, 0, 0],
       [0, 1, 0, 0, 1, 0],
       [0, 0, 0, 0, 0, 0]])
>>> shift(dots, 1, -1).astype(int)
array([[0, 0, 0, 0, 0, 0],
       [0, 0, 0, 0, 0, 0],
       [1, 0, 0, 1, 0, 0]])
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError, DTypeError, ShapeError

__all__ = [
    "affine",
    "car",
    "circle",
    "jitter",
    "random_map",
    "rotate",
    "scale",
    "shift",
    "two_dots",
]

Image = NDArray[np.float32]
Size = int | tuple[int, int]
Mode = Literal["zero", "replicate", "reflect", "circular"]
Interpolation = Literal["linear", "fourier"]
Direction = Literal["horizontal", "vertical", "diagonal"]
Float = TypeVar("Float", np.float32, np.float64)

_STEPS: dict[Direction, tuple[int, int]] = {
    "horizontal": (0, 1),
    "vertical": (1, 0),
    "diagonal": (1, 1),
}
_FINE = 4  # samples along each axis of a pixel, where edges are smoothed
_FINEST = 16  # the same, at most, where an image is made smaller


# ---------------------------------------------------------------------- drawings


def two_dots(
    size: Size = 64,
    distance: int = 8,
    *,
    direction: Direction = "horizontal",
    at: tuple[int, int] | None = None,
    val: float = 1.0,
) -> Image:
    """Draw two dots of one pixel each.

    Parameters
    ----------
    size : int or (int, int), default 64
        Height and width in pixels.
    distance : int, default 8
        Pixels from one dot to the other, along each axis that they differ in; 0 makes them one.
    direction : {"horizontal", "vertical", "diagonal"}
        The second dot is to the right of the first, below it, or both.
    at : (int, int), optional
        Row and column of the first dot. By default the pair is in the middle.
    val : float, default 1.0
        How bright the dots are.

    Returns
    -------
    numpy.ndarray, float32 (H, W)

    Raises
    ------
    ArgumentError
        An argument is not accepted, or a dot would lie outside of the image.

    Examples
    --------
    >>> two_dots((1, 5), 2).tolist()
    [[0.0, 1.0, 0.0, 1.0, 0.0]]
    >>> np.argwhere(two_dots(8, 3, direction="diagonal", at=(1, 2))).tolist()
    [[1, 2], [4, 5]]
    """
    height, width = _size("two_dots", size)
    _whole("two_dots", "distance", distance, 0)
    _choice("two_dots", "direction", direction, Direction)
    _brightness("two_dots", val)
    down, right = (distance * step for step in _STEPS[direction])
    if at is None:
        at = (height - 1 - down) // 2, (width - 1 - right) // 2
    row, column = at
    inside = 0 <= row < height - down and 0 <= column < width - right
    if not inside:
        raise ArgumentError(
            f"features.two_dots: dots at {(row, column)} and {(row + down, column + right)} do not "
            f"both lie in {height} × {width} pixels"
        )
    image = np.zeros((height, width), np.float32)
    image[[row, row + down], [column, column + right]] = val
    return image


def circle(
    size: Size = 64,
    radius: int | None = None,
    *,
    r_shrink: int | None = None,
    val: float | None = 1.0,
    filled: bool = False,
    seed: int | None = None,
) -> Image:
    """Draw a circle in the middle, one pixel thin or filled.

    On an odd size it is the midpoint circle around the middle pixel (J. E. Bresenham, "A linear
    algorithm for incremental digital display of circular arcs", 1977), ``2 * radius + 1`` pixels
    wide. An even size has no middle pixel: there the same circle goes without its middle row or
    column, and is ``2 * radius`` wide. So it is symmetric on every size.

    Parameters
    ----------
    size : int or (int, int), default 64
        Height and width in pixels.
    radius : int, optional
        In pixels, at least 1. What lies outside of the image is cut off.
    r_shrink : int, optional
        Instead of `radius`: how much smaller than half of the shorter side. 4 by default.
    val : float or None, default 1.0
        How bright it is. None gives each pixel a random brightness in (0, 1].
    filled : bool, default False
        Fill it.
    seed : int, optional
        Needed for ``val=None``.

    Returns
    -------
    numpy.ndarray, float32 (H, W)

    Raises
    ------
    ArgumentError
        An argument is not accepted, or both `radius` and `r_shrink` are given.

    Examples
    --------
    >>> circle(8, r_shrink=1).astype(int)
    array([[0, 0, 0, 0, 0, 0, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 1, 0, 0, 1, 0, 0],
           [0, 1, 0, 0, 0, 0, 1, 0],
           [0, 1, 0, 0, 0, 0, 1, 0],
           [0, 0, 1, 0, 0, 1, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 0, 0, 0, 0, 0, 0]])
    >>> int(circle(9, 3, filled=True).sum())
    37
    """
    height, width = _size("circle", size)
    if radius is not None and r_shrink is not None:
        raise ArgumentError("features.circle: radius and r_shrink are both given; choose one")
    if radius is None:
        shrink = 4 if r_shrink is None else r_shrink
        _whole("circle", "r_shrink", shrink, 0)
        radius = min(height, width) // 2 - shrink
        if radius < 1:
            raise ArgumentError(
                f"features.circle: r_shrink is {shrink}, which leaves a radius of {radius} in "
                f"{height} × {width} pixels; it has to be at least 1"
            )
    _whole("circle", "radius", radius, 1)
    if val is not None:
        _brightness("circle", val)
    elif seed is None:
        raise ArgumentError("features.circle: val=None is random, and needs a seed")
    reach = _half_widths(radius)
    rows, columns = _from_middle(height), _from_middle(width)
    inside = (rows[:, None] <= radius) & (columns <= reach[np.minimum(rows, radius)][:, None])
    if not filled:
        # A pixel of the outline is the outermost of its row or the outermost of its column.
        outer = (columns == reach[np.minimum(rows, radius)][:, None]) | (
            rows[:, None] == reach[np.minimum(columns, radius)]
        )
        inside &= outer
    if val is not None:
        return np.where(inside, np.float32(val), np.float32(0))
    noise = 1 - np.random.default_rng(seed).random(inside.shape, np.float32)
    return np.where(inside, noise, np.float32(0))


def _half_widths(radius: int) -> NDArray[np.int64]:
    """Return how many pixels a midpoint circle reaches to the side, by rows from its middle."""
    reach = np.zeros(radius + 1, np.int64)
    for along in range(radius + 1):
        across = round(math.sqrt(radius * radius - along * along))
        if along <= across:  # the eighth that is computed; the others mirror it
            reach[along] = max(reach[along], across)
            reach[across] = max(reach[across], along)
    return reach


def _from_middle(size: int) -> NDArray[np.int64]:
    """Return each pixel's distance from the middle; on even sizes none has 0.

    Examples
    --------
    >>> _from_middle(5).tolist(), _from_middle(4).tolist()
    ([2, 1, 0, 1, 2], [2, 1, 1, 2])
    """
    half = size // 2
    front = np.arange(half, 0, -1)
    return np.concatenate([front, np.zeros(size % 2, np.int64), front[::-1]])


def random_map(size: Size = 64, *, decay_power: float = 1.0, seed: int) -> Image:
    """Draw noise whose amplitude falls with frequency f as ``1 / f ** decay_power``.

    Parameters
    ----------
    size : int or (int, int), default 64
        Height and width in pixels.
    decay_power : float, default 1.0
        0 is white noise; about 1 is as in photographs; larger is smoother.
    seed : int
        At least 0.

    Returns
    -------
    numpy.ndarray, float32 (H, W)
        Stretched to 0 … 1, and continued across its borders without a seam. One pixel is 0.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> noise = random_map(32, decay_power=2, seed=1)
    >>> noise.shape, float(noise.min()), float(noise.max())
    ((32, 32), 0.0, 1.0)
    """
    height, width = _size("random_map", size)
    _number("random_map", "decay_power", decay_power)
    if decay_power < 0:
        raise ArgumentError(
            f"features.random_map: decay_power is {decay_power}; accepted are numbers of at least 0"
        )
    _whole("random_map", "seed", seed, 0)
    white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    # In units of the lowest, so that no power of it overflows.
    frequency *= max(height, width)
    frequency[0, 0] = 1
    spectrum = white * frequency ** -float(decay_power)
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (height, width))
    low, high = noise.min(), noise.max()
    if not high > low:
        return np.zeros((height, width), np.float32)
    stretched: Image = ((noise - low) / (high - low)).astype(np.float32)
    return stretched


def car(size: Size = 64, *, facing: Literal["left", "right"] = "right") -> Image:
    """Draw a car from the side, with smooth edges.

    Parameters
    ----------
    size : int or (int, int), default 64
        Height and width in pixels. The car fills nine tenths of the width, or less where the
        image is too low for that.
    facing : {"left", "right"}

    Returns
    -------
    numpy.ndarray, float32 (H, W)
        Body 0.6, wheels 1, windows and hubs 0 to 0.3.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> image = car(64)
    >>> image.shape, round(float(image.max()), 2)
    ((64, 64), 1.0)
    >>> bool((car(64, facing="left") == image[:, ::-1]).all())
    True
    """
    height, width = _size("car", size)
    if facing not in ("left", "right"):
        raise ArgumentError(f"features.car: facing is {facing!r}; accepted are 'left' and 'right'")
    # In units of the length of the car, from its middle; y points down.
    length = min(0.9 * width, 2 * height)
    y, x = (
        ((np.arange(count * _FINE) + 0.5) / _FINE - count / 2) / length for count in (height, width)
    )
    y = y[:, None]
    image = np.zeros((y.size, x.size), np.float32)

    def paint(inside: NDArray[np.bool_], brightness: float) -> None:
        image[inside] = brightness

    def rounded(left: float, right: float, top: float, bottom: float, corner: float) -> Any:
        across = np.maximum(np.abs(x - (left + right) / 2) - (right - left) / 2 + corner, 0)
        down = np.maximum(np.abs(y - (top + bottom) / 2) - (bottom - top) / 2 + corner, 0)
        return np.hypot(across, down) <= corner

    def roof(inset: float) -> Any:
        """Return the cabin: a trapezoid, its front less steep than its back."""
        lift = (0.02 - y) / 0.2  # 0 at its foot, 1 at the roof
        back = -0.38 + 0.08 * lift + inset
        front = 0.24 - 0.14 * lift - inset
        return (y >= -0.17 + inset) & (y <= 0.0) & (x >= back) & (x <= front)

    paint(roof(0), 0.6)
    paint(rounded(-0.5, 0.5, -0.03, 0.13, 0.05), 0.6)
    window = roof(0.03) & (y <= -0.04)
    paint(window & (np.abs(x + 0.08) >= 0.015), 0.15)
    paint(rounded(0.44, 0.5, 0.0, 0.04, 0.015), 1.0)  # the head light
    for middle in (-0.29, 0.28):
        distance = np.hypot(x - middle, y - 0.13)
        paint(distance <= 0.12, 0.0)
        paint(distance <= 0.1, 1.0)
        paint(distance <= 0.045, 0.3)
    drawn = image.reshape(height, _FINE, width, _FINE).mean((1, 3), dtype=np.float32)
    return np.ascontiguousarray(drawn if facing == "right" else drawn[:, ::-1])


# ---------------------------------------------------------------------- transforms


def shift(
    image: NDArray[Float],
    dy: float,
    dx: float,
    *,
    mode: Mode = "zero",
    interpolation: Interpolation = "linear",
) -> NDArray[Float]:
    """Move an image down by `dy` and to the right by `dx` pixels.

    Whole numbers of pixels move values and change none, whatever the interpolation.

    Parameters
    ----------
    image : array of float32 or float64, (H, W) or (H, W, C)
    dy, dx : float
        Pixels; negative is up and left.
    mode : {"zero", "replicate", "reflect", "circular"}
        What comes in at the border; drawn in the head of this module.
    interpolation : {"linear", "fourier"}
        For fractions of a pixel. ``"linear"`` mixes neighbours, which blurs but stays within the
        range of the image. ``"fourier"`` turns the phases of its spectrum: it blurs nothing, and
        moving there and back gives the image again (but for the highest frequency of even sizes),
        at the price of ripples beside hard edges, which may leave [0, 1]. It is circular by its
        nature, and asks for that mode.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `image`.

    Raises
    ------
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> row = np.array([[0, 1, 2, 3]], np.float32)
    >>> shift(row, 0, 1).tolist(), shift(row, 0, 1, mode="circular").tolist()
    ([[0.0, 0.0, 1.0, 2.0]], [[3.0, 0.0, 1.0, 2.0]])
    >>> shift(row, 0, -0.5, mode="replicate").tolist()
    [[0.5, 1.5, 2.5, 3.0]]
    """
    values = _image("shift", image)
    _choice("shift", "mode", mode, Mode)
    _choice("shift", "interpolation", interpolation, Interpolation)
    for name, pixels in (("dy", dy), ("dx", dx)):
        _number("shift", name, pixels)
    if interpolation == "fourier" and mode != "circular":
        raise ArgumentError(
            f"features.shift: mode is {mode!r}; interpolation='fourier' asks for mode='circular'"
        )
    for axis, pixels in enumerate((float(dy), float(dx))):
        if interpolation == "fourier" and not pixels.is_integer():
            values = _turn(values, axis, pixels)
        else:
            values = _slide(values, axis, pixels, mode)
    return np.array(values, order="C")  # never the caller's own


def _turn(values: NDArray[Float], axis: int, pixels: float) -> NDArray[Float]:
    size = values.shape[axis]
    # Sines of the frequency that changes sign from pixel to pixel have no pixels to be seen on.
    # irfft drops that imaginary part by itself.
    phases = np.exp(-2j * math.pi * np.fft.rfftfreq(size) * pixels)
    spectrum = np.fft.rfft(values.astype(np.float64), axis=axis)
    spectrum *= phases.reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    return np.fft.irfft(spectrum, size, axis=axis).astype(values.dtype)


def _slide(values: NDArray[Float], axis: int, pixels: float, mode: Mode) -> NDArray[Float]:
    size = values.shape[axis]
    whole = math.floor(pixels)
    fraction = values.dtype.type(pixels - whole)
    near = _take(values, axis, np.arange(size) - whole, mode)
    if fraction == 0:
        return near
    far = _take(values, axis, np.arange(size) - whole - 1, mode)
    mixed: NDArray[Float] = near * (1 - fraction) + far * fraction
    return mixed


def jitter(
    image: NDArray[Float], reach: int = 3, *, mode: Mode = "replicate", seed: int
) -> NDArray[Float]:
    """Move an image at random, by whole pixels.

    Parameters
    ----------
    image : array of float32 or float64, (H, W) or (H, W, C)
    reach : int, default 3
        Each of the ``(2 * reach + 1) ** 2`` shifts of at most so many pixels is as likely as the
        others; no shift at all is one of them.
    mode : {"replicate", "zero", "reflect", "circular"}
        What comes in at the border.
    seed : int
        At least 0.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `image`.

    Raises
    ------
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> dots = two_dots(16, 2)
    >>> np.argwhere(dots).tolist(), np.argwhere(jitter(dots, seed=4)).tolist()
    ([[7, 6], [7, 8]], [[9, 9], [9, 11]])
    """
    values = _image("jitter", image)
    _whole("jitter", "reach", reach, 0)
    _whole("jitter", "seed", seed, 0)
    dy, dx = np.random.default_rng(seed).integers(-reach, reach, 2, endpoint=True)
    return shift(values, int(dy), int(dx), mode=mode)


def rotate(image: NDArray[Float], degrees: float, *, mode: Mode = "zero") -> NDArray[Float]:
    """Turn an image around its middle, counter-clockwise.

    Quarter turns of square images change no value; others mix neighbours, as `affine` does.

    Parameters
    ----------
    image : array of float32 or float64, (H, W) or (H, W, C)
    degrees : float
        Negative is clockwise.
    mode : {"zero", "replicate", "reflect", "circular"}
        What comes in at the border.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `image`; what is turned out of it is lost.

    Raises
    ------
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> rotate(np.array([[1, 2], [3, 4]], np.float32), 90).tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    """
    values = _image("rotate", image)
    _number("rotate", "degrees", degrees)
    quarter, rest = divmod(float(degrees), 90)
    if rest == 0:  # exact, where the sine of pi is not
        cosine, sine = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarter % 4)]
    else:
        angle = math.radians(math.fmod(degrees, 360))
        cosine, sine = math.cos(angle), math.sin(angle)
    return affine(values, ((cosine, -sine), (sine, cosine)), mode=mode)


def scale(
    image: NDArray[Float], factor: float | tuple[float, float], *, mode: Mode = "zero"
) -> NDArray[Float]:
    """Enlarge what is on an image, or make it smaller, around its middle; its shape stays.

    Parameters
    ----------
    image : array of float32 or float64, (H, W) or (H, W, C)
    factor : float, or (float, float) for height and width
        Above 1 is larger. Not 0; negative mirrors.
    mode : {"zero", "replicate", "reflect", "circular"}
        What comes in at the border.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `image`.

    Raises
    ------
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> scale(np.array([[0, 4, 4, 0]], np.float32), (1, 0.5)).tolist()
    [[0.0, 1.5, 1.5, 0.0]]
    """
    values = _image("scale", image)
    down, right = factor if isinstance(factor, tuple) and len(factor) == 2 else (factor, factor)
    for part in (down, right):
        _number("scale", "factor", part)
    return affine(values, ((down, 0.0), (0.0, right)), mode=mode)


def affine(
    image: NDArray[Float],
    matrix: Any,
    offset: tuple[float, float] = (0.0, 0.0),
    *,
    mode: Mode = "zero",
) -> NDArray[Float]:
    """Send each point p of an image, counted from its middle, to ``matrix @ p + offset``.

    Between pixels values are mixed linearly. Where the image is made smaller, a pixel of the
    answer is the mean of several samples along each axis (up to 16), so that fine lines get
    fainter and none is lost.

    Parameters
    ----------
    image : array of float32 or float64, (H, W) or (H, W, C)
    matrix : ((float, float), (float, float))
        On (row, column); it must have an inverse.
    offset : (float, float), default (0, 0)
        Pixels down and to the right.
    mode : {"zero", "replicate", "reflect", "circular"}
        What comes in at the border.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `image`.

    Raises
    ------
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> mirrored = affine(np.array([[1, 2, 3]], np.float32), ((1, 0), (0, -1)))
    >>> mirrored.tolist()
    [[3.0, 2.0, 1.0]]
    """
    values = _image("affine", image)
    _choice("affine", "mode", mode, Mode)
    inverse = _inverse(matrix)
    moved = np.asarray(offset, np.float64)
    if moved.shape != (2,) or not np.isfinite(moved).all():
        raise ArgumentError(
            f"features.affine: offset is {offset!r}; accepted are two finite numbers of pixels"
        )
    # How far apart the points lie that neighbouring pixels look at.
    stretch = float(np.linalg.svd(inverse, compute_uv=False)[0])
    samples = min(max(math.ceil(stretch - 1e-9), 1), _FINEST)
    total = np.zeros(values.shape, np.float64)
    within = (np.arange(samples) + 0.5) / samples - 0.5
    middle = [(size - 1) / 2 for size in values.shape[:2]]
    for below, beside in itertools.product(within, within):
        rows = np.arange(values.shape[0])[:, None] + below - middle[0] - moved[0]
        columns = np.arange(values.shape[1]) + beside - middle[1] - moved[1]
        total += _sample(
            values,
            inverse[0, 0] * rows + inverse[0, 1] * columns + middle[0],
            inverse[1, 0] * rows + inverse[1, 1] * columns + middle[1],
            mode,
        )
    return (total / samples**2).astype(values.dtype)


def _inverse(matrix: Any) -> NDArray[np.float64]:
    try:
        forward: NDArray[np.float64] = np.asarray(matrix, np.float64)
    except (TypeError, ValueError):
        forward = np.empty(0)
    if forward.shape != (2, 2) or not np.isfinite(forward).all():
        raise ArgumentError(
            f"features.affine: matrix is {matrix!r}; accepted are 2 × 2 finite numbers"
        )
    if abs(np.linalg.det(forward)) < 1e-12:
        raise ArgumentError(
            f"features.affine: matrix is {forward.tolist()}, which has no inverse: it would leave "
            "nothing but a line"
        )
    return np.asarray(np.linalg.inv(forward), np.float64)


def _sample(values: NDArray[Float], rows: Any, columns: Any, mode: Mode) -> NDArray[np.float64]:
    """Return the values at these places, mixed linearly."""
    # Arithmetic leaves whole numbers off by a few 1e-15, which would mix in a neighbour.
    rows, columns = np.round(rows, 9), np.round(columns, 9)
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, right = rows - top, columns - left
    total = np.zeros(values.shape, np.float64)
    deeper = (...,) if values.ndim == 2 else (..., None)
    for (row, above), (column, beside) in itertools.product(
        ((top, 1 - down), (top + 1, down)), ((left, 1 - right), (left + 1, right))
    ):
        y, inside_y = _border(row, values.shape[0], mode)
        x, inside_x = _border(column, values.shape[1], mode)
        weight = np.where(inside_y & inside_x, above * beside, 0)
        total += weight[deeper] * values[y, x]
    return total


def _take(values: NDArray[Float], axis: int, index: Any, mode: Mode) -> NDArray[Float]:
    place, inside = _border(index, values.shape[axis], mode)
    taken: NDArray[Float] = np.take(values, place, axis)
    if not inside.all():
        taken[(slice(None),) * axis + (~inside,)] = 0
    return taken


def _border(index: NDArray[np.int64], size: int, mode: Mode) -> tuple[Any, Any]:
    """Return the indices that `mode` sees instead, and whether they hold a value at all."""
    inside = np.ones(index.shape, bool)
    if mode == "circular":
        return index % size, inside
    if mode == "reflect":
        turn = max(2 * (size - 1), 1)
        there = index % turn
        return np.minimum(there, turn - there) if size > 1 else index * 0, inside
    if mode == "zero":
        inside = (index >= 0) & (index < size)
    return np.clip(index, 0, size - 1), inside


# ---------------------------------------------------------------------- arguments


def _image(function: str, image: Any) -> NDArray[Any]:
    values = np.asarray(image)
    if values.dtype not in (np.float32, np.float64):
        raise DTypeError(
            f"features.{function}: image is an array of {values.dtype}; accepted are float32 and "
            "float64"
        )
    if values.ndim not in (2, 3) or not values.size:
        raise ShapeError(
            f"features.{function}: image has the shape {values.shape}; accepted are (H, W) and "
            "(H, W, C), with at least one pixel"
        )
    return values


def _size(function: str, size: Any) -> tuple[int, int]:
    sizes = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(sizes) != 2 or not all(_is_whole(side) and side >= 1 for side in sizes):
        raise ArgumentError(
            f"features.{function}: size is {size!r}; accepted are an int of at least 1, or height "
            "and width"
        )
    return int(sizes[0]), int(sizes[1])


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _whole(function: str, name: str, value: Any, least: int) -> None:
    if not _is_whole(value) or value < least:
        raise ArgumentError(
            f"features.{function}: {name} is {value!r}; accepted is an int of at least {least}"
        )


def _number(function: str, name: str, value: Any) -> None:
    real = isinstance(value, int | float | np.integer | np.floating)
    if not real or isinstance(value, bool) or not math.isfinite(value):
        raise ArgumentError(
            f"features.{function}: {name} is {value!r}; accepted is a finite number"
        )


def _brightness(function: str, val: Any) -> None:
    _number(function, "val", val)
    if not 0 <= val <= 1:
        raise ArgumentError(f"features.{function}: val is {val!r}; accepted are numbers in [0, 1]")


def _choice(function: str, name: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        raise ArgumentError(
            f"features.{function}: {name} is {value!r}; accepted are "
            f"{', '.join(map(repr, get_args(choices)))}"
        )
