"""How a number of a map came about: the pixels behind it, step by step.

Only the piece of the image behind the pixel is computed anew: attar promises that the place of a
patch in an image changes no bit of an answer, so these are the numbers that the maps hold.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.extraction import extract
from attar.geometry import Axis, conv_axes, pool_axes

__all__ = ["STAGES", "Arithmetic", "Rectangle", "axes_of", "explain", "strongest"]

Array: TypeAlias = NDArray[Any]
Cell: TypeAlias = tuple[int, int]

STAGES = ("image", "filter", "detect", "condense")


class Rectangle(NamedTuple):
    """Cells of a map; those of a patch may lie outside."""

    top: int
    left: int
    height: int
    width: int


class Arithmetic(NamedTuple):
    """One number, from the image to the condensed map.

    Attributes
    ----------
    cell : (int, int)
        Row and column of the pixel, in Filter and Detect.
    patch : Rectangle
        What the kernel lies on. It may reach over the border of the image.
    patch_values, products : ndarray, (kh, kw)
        The pixels, 0 outside; of a colour image the means of the channels, since the kernel is
        applied to each channel and the results are averaged. And the pixels times the kernel.
    channel_sums : tuple of float
        Patch × kernel for each channel.
    total : float
        The sum of the products.
    filter, detect : float
        The numbers of the maps, as computed in float32.
    condensed : (int, int) or None
        The condensed pixel; None where no window covers `cell`.
    window : Rectangle
        The cells of Detect that it is made of, and
    window_values : ndarray
        their numbers.
    winner : (int, int) or None
        The cell of Detect that is the maximum; None for an average.
    condense : float
        The condensed number.
    box : Rectangle
        What the condensed pixel sees of the image, padding included.
    """

    cell: Cell
    patch: Rectangle
    patch_values: Array
    products: Array
    channel_sums: tuple[float, ...]
    total: float
    filter: float
    detect: float
    condensed: Cell | None
    window: Rectangle
    window_values: Array
    winner: Cell | None
    condense: float
    box: Rectangle


def strongest(pixels: Array, chosen: dict[str, Any]) -> Cell:
    """Return row and column of the condensed pixel that is largest."""
    condensed = np.nan_to_num(extract(pixels, **chosen, stages=False).condense, nan=-np.inf)
    row, column = np.unravel_index(int(condensed.argmax()), condensed.shape)[:2]
    return int(row), int(column)


def explain(pixels: Array, chosen: dict[str, Any], stage: str, cell: Cell) -> Arithmetic:
    """Explain a pixel of one of `STAGES`.

    Parameters
    ----------
    pixels : ndarray, (H, W) or (H, W, C)
    chosen : dict
        The arguments of `attar.extract`; ``kernel`` is an array.
    cell : (int, int)
        Row and column. Of the image it means the kernel's place on that pixel; of the condensed map
        the cell of the window that won. What lies outside means the nearest.

    Examples
    --------
    >>> chosen = {"kernel": np.array([[-1.0, 1.0]]), "pool": "max", "pool_size": 2}
    >>> chosen |= {"conv_stride": 1, "conv_padding": "valid", "activation": "relu"}
    >>> chosen |= {"pool_stride": 2, "pool_padding": "same", "bias": 0.0}
    >>> found = explain(np.array([[0, 0, 0.5, 1]], np.float32), chosen, "condense", (0, 0))
    >>> found.winner, found.patch, found.products.tolist(), found.condense
    ((0, 1), Rectangle(top=0, left=1, height=1, width=2), [[0.0, 0.5]], 0.5)
    """
    filters, pools = axes_of(pixels, chosen)
    condensed, own = _place(filters, pools, stage, cell)
    window = [
        (own[i], own[i] + 1) if condensed is None else _clipped(pools[i], condensed[i])
        for i in (0, 1)
    ]
    found, padded = _behind(pixels, chosen, filters, pools, window, condensed)
    assert found.filter is not None
    assert found.detect is not None
    filtered, detected = _flat(found.filter), _flat(found.detect)
    winner: Cell | None = None
    if condensed is not None and chosen["pool"] != "average":
        row, column = np.unravel_index(int(detected.argmax()), detected.shape)
        winner = window[0][0] + int(row), window[1][0] + int(column)
    if stage == "condense":
        # An average has no winner; the strongest of its window tells most.
        row, column = np.unravel_index(int(detected.argmax()), detected.shape)
        own = window[0][0] + int(row), window[1][0] + int(column)
    at = own[0] - window[0][0], own[1] - window[1][0]

    kernel = chosen["kernel"]
    steps = chosen["conv_stride"]
    patch = padded[at[0] * steps :, at[1] * steps :][: kernel.shape[0], : kernel.shape[1]]
    exact = patch.astype(np.float64) * kernel[:, :, None]
    products = exact.mean(axis=2)
    begin = [axis.taps(place)[0] for axis, place in zip(filters, own, strict=True)]
    box = [_seen(axis, *span) for axis, span in zip(filters, window, strict=True)]
    return Arithmetic(
        cell=own,
        patch=Rectangle(begin[0], begin[1], *kernel.shape),
        patch_values=patch.mean(axis=2, dtype=np.float64),
        products=products,
        channel_sums=tuple(exact.sum(axis=(0, 1)).tolist()),
        total=float(products.sum()),
        filter=float(filtered[at]),
        detect=float(detected[at]),
        condensed=condensed,
        window=_rectangle(window),
        window_values=detected,
        winner=winner,
        condense=float(_flat(found.condense)[0, 0]) if condensed is not None else float("nan"),
        box=_rectangle(box),
    )


def axes_of(pixels: Array, chosen: Mapping[str, Any]) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """Return the windows of the kernel and of the pool, vertical and horizontal."""
    filters = conv_axes(
        "extract",
        (pixels.shape[0], pixels.shape[1]),
        chosen["kernel"].shape,
        (chosen["conv_stride"],) * 2,
        (1, 1),
        chosen["conv_padding"].upper(),
    )
    sizes = tuple(axis.out for axis in filters)
    if chosen["pool"] == "none":
        return filters, tuple(Axis(size, 1, 1, 1, 0, 0, size) for size in sizes)
    size, stride = chosen["pool_size"], chosen["pool_stride"]
    padding = chosen["pool_padding"].upper()
    return filters, pool_axes("extract", sizes, (size,) * 2, (stride,) * 2, (1, 1), padding)


def _place(
    filters: tuple[Axis, ...], pools: tuple[Axis, ...], stage: str, cell: Cell
) -> tuple[Cell | None, Cell]:
    """Return the condensed pixel, and the cell of Filter and Detect, that a pixel belongs to."""
    if stage == "condense":
        held = [min(cell[i], pools[i].out - 1) for i in (0, 1)]
        return (held[0], held[1]), (0, 0)  # its cell follows from the numbers
    own = []
    for axis, at in zip(filters, cell, strict=True):
        place = at
        if stage == "image":
            place = round((at + axis.pad_before - (axis.window - 1) // 2) / axis.stride)
        own.append(min(max(place, 0), axis.out - 1))
    windows = [_covering(axis, at) for axis, at in zip(pools, own, strict=True)]
    if windows[0] is None or windows[1] is None:
        return None, (own[0], own[1])
    return (windows[0], windows[1]), (own[0], own[1])


def _covering(axis: Axis, at: int) -> int | None:
    """Return the window that covers a cell; the middle one where windows overlap."""
    first = max(-(-(at + axis.pad_before - axis.window + 1) // axis.stride), 0)
    last = min((at + axis.pad_before) // axis.stride, axis.out - 1)
    return (first + last) // 2 if first <= last else None


def _clipped(axis: Axis, o: int) -> tuple[int, int]:
    taps = axis.taps(o)
    return max(taps[0], 0), min(taps[-1] + 1, axis.size)


def _seen(axis: Axis, first: int, last: int) -> tuple[int, int]:
    return axis.taps(first)[0], axis.taps(last - 1)[-1] + 1


def _rectangle(spans: list[tuple[int, int]]) -> Rectangle:
    (top, bottom), (left, right) = spans
    return Rectangle(top, left, bottom - top, right - left)


def _behind(
    pixels: Array,
    chosen: dict[str, Any],
    filters: tuple[Axis, ...],
    pools: tuple[Axis, ...],
    window: list[tuple[int, int]],
    condensed: Cell | None,
) -> tuple[Any, Array]:
    """Return the extraction of the piece of the image behind a window, and that piece, padded."""
    parts = [axis.part(*span) for axis, span in zip(filters, window, strict=True)]
    piece = pixels[tuple(slice(begin, end) for _, begin, end in parts)]
    around = tuple((part.pad_before, part.pad_after) for part, _, _ in parts)
    options = {**chosen, "conv_padding": around}
    if condensed is None:
        options["pool"] = "none"
    else:
        ends = [axis.part(o, o + 1)[0] for axis, o in zip(pools, condensed, strict=True)]
        options["pool_padding"] = tuple((end.pad_before, end.pad_after) for end in ends)
    deep = piece if piece.ndim == 3 else piece[:, :, None]
    return extract(piece, **options), np.pad(deep, (*around, (0, 0)))


def _flat(values: Array) -> Array:
    return values[..., 0] if values.ndim == 3 else values
