"""Many maps of a layer at once, as levels for the page: one colour scale, one array."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.explorer.levels import Scale, active_levels, reach_of, signed_levels
from attar.explorer.modelling.measures import Measured, plain
from attar.shrink import Reduction, shrink_to

__all__ = ["facts_of", "levels_of", "order_of", "scale_of"]

Array: TypeAlias = NDArray[Any]


def order_of(measured: Measured, order: str) -> Array:
    """Return the channels in the order that is asked for: ``"strongest"`` first, or ``"given"``.

    The strength is the mean of a map's absolute values, as in `attar.figures.feature_maps`.
    """
    if order == "strongest":
        return np.argsort(-measured.strength, kind="stable")
    return np.arange(len(measured.strength))


def scale_of(*sides: Array) -> tuple[Scale, float]:
    """Return the colour scale that fits maps (H, W, C) and where it ends."""
    signed = any(bool((maps < 0).any()) for maps in sides)
    return ("signed" if signed else "active"), reach_of(*sides)


def levels_of(maps: Array, channels: Array, tile: int, scale: Scale, reach: float) -> Array:
    """Return these channels as levels, uint8 (n, h, w), each at most `tile` pixels a side.

    Examples
    --------
    >>> maps = np.linspace(0, 1, 8).reshape(2, 2, 2)
    >>> levels_of(maps, np.array([1]), 96, "active", 1.0).tolist()
    [[[37, 110], [183, 255]]]
    """
    how: Reduction = "extreme" if scale == "signed" else "mean"
    shrink = min(1.0, tile / max(maps.shape[:2]))
    height, width = (max(1, round(size * shrink)) for size in maps.shape[:2])
    small = shrink_to(maps[:, :, channels], height, width, how)
    levels = signed_levels(small, reach) if scale == "signed" else active_levels(small, reach)
    return np.ascontiguousarray(levels.transpose(2, 0, 1))


def facts_of(measured: Measured, channels: Array) -> list[dict[str, Any]]:
    """Return the numbers of these channels, as JSON takes them."""
    return [
        {
            "channel": int(channel),
            "mean": plain(measured.mean[channel]),
            "maximum": plain(measured.maximum[channel]),
            "dead_space": float(measured.dead_space[channel]),
        }
        for channel in channels
    ]
