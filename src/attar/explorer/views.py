"""Views: the part of a map that a panel of the page shows, at the pixels that it has for it.

A map is drawn over the unit square whatever its size, so one view fits the image and every map that
came of it. What is larger than the panel is reduced to it, by the rules of `attar.figures.stages`;
what is smaller is sent as it is, and drawn with visible pixels.
"""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.explorer.asked import Asked
from attar.explorer.levels import Scale, active_levels, signed_levels
from attar.shrink import Reduction, shrink_to

__all__ = ["View", "cut", "shown", "view_of"]

Array: TypeAlias = NDArray[Any]

_MOST_PIXELS = 2048  # along a side of a panel


class View(NamedTuple):
    """The rectangle of the unit square that a panel shows, and the pixels that it has.

    `top` and `left` are where it begins, `part` is the fraction of each side that it shows.
    """

    top: float
    left: float
    part: float
    height: int
    width: int


class Box(NamedTuple):
    """The cells of a map that were cut out."""

    top: int
    left: int
    height: int
    width: int


def view_of(asked: Asked) -> View:
    """Read a view from a question: ``{"view": {"top", "left", "part", "height", "width"}}``."""
    given = asked.inner("view", required=False)
    return View(
        given.number("top", 0.0, least=0.0, most=1.0),
        given.number("left", 0.0, least=0.0, most=1.0),
        given.number("part", 1.0, least=1e-6, most=1.0),
        given.count("height", 512, most=_MOST_PIXELS),
        given.count("width", 512, most=_MOST_PIXELS),
    )


def cut(values: Array, view: View, how: Reduction) -> tuple[Array, Box]:
    """Return the cells of a map (H, W) or (H, W, C) that a view shows, reduced to its pixels.

    Examples
    --------
    >>> part, box = cut(np.arange(16.0).reshape(4, 4), View(0.5, 0.5, 0.5, 8, 8), "mean")
    >>> part.tolist(), box
    ([[10.0, 11.0], [14.0, 15.0]], Box(top=2, left=2, height=2, width=2))
    """
    top, bottom = _cells(view.top, view.part, values.shape[0])
    left, right = _cells(view.left, view.part, values.shape[1])
    part = values[top:bottom, left:right]
    return shrink_to(part, view.height, view.width, how), Box(top, left, bottom - top, right - left)


def _cells(start: float, part: float, size: int) -> tuple[int, int]:
    """Return the cells that a stretch of the unit interval touches, one at least."""
    first = min(math.floor(start * size), size - 1)
    return first, max(min(math.ceil((start + part) * size), size), first + 1)


def shown(
    values: Array, view: View, scale: Scale, reach: float = 1.0
) -> tuple[Array, dict[str, Any]]:
    """Return what the page draws of a map, uint8, and what it must know to draw it.

    Parameters
    ----------
    values : ndarray, (H, W), or (H, W, 3) for a coloured image
        An image is in [0, 1]; what lies beyond is drawn at its end.
    """
    part, box = cut(values, view, "extreme" if scale == "signed" else "mean")
    if scale == "signed":
        levels = signed_levels(part, reach)
    elif scale == "active":
        levels = active_levels(part, reach)
    else:
        levels = np.rint(np.clip(np.nan_to_num(part), 0, 1) * 255).astype(np.uint8)
    facts = {"size": values.shape[:2], "box": tuple(box), "scale": scale, "reach": reach}
    return levels, facts
