"""Colour scales: which colour a value has, where a scale ends, and its numbers as text."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, Normalize
from numpy.typing import NDArray

from attar.reach import strongest

Array = NDArray[Any]

# Red for what the filter likes, blue for its opposite, white for no response; told apart with
# every kind of colour blindness. Magma is even in lightness, so brighter is always stronger.
SIGNED_MAP = "RdBu_r"
ACTIVE_MAP = "magma"
NAN_COLOR = "#2aa876"  # in neither of the two, so that a NaN cannot pass for a value


def limits(values: Array) -> tuple[float, float]:
    """Return the least and the greatest finite value; (0, 0) when there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def reach_of(maps: Sequence[Array]) -> float:
    """Return the end of a colour scale that starts at 0, for all of `maps`; 1 where all are 0."""
    reaches = (strongest(values) for values in maps)
    return max((reach for reach in reaches if reach is not None), default=1.0)


def signed_norm(maps: Sequence[Array]) -> Normalize:
    """Return limits that are centred at 0."""
    reach = reach_of(maps)
    return Normalize(-reach, reach)


def active_norm(maps: Sequence[Array]) -> Normalize:
    """Return one pair of limits for all of `maps`, from 0."""
    return Normalize(0.0, reach_of(maps))


def colormap(name: str) -> Colormap:
    """Return a colour map in which a NaN has a colour of its own."""
    return mpl.colormaps[name].with_extremes(bad=NAN_COLOR)


def colours(values: Array, reach: float, gamma: float, *, signed: bool) -> Array:
    """Return the colours of values on a scale that ends at `reach`, uint8 (..., 3).

    `gamma` below 1 brightens what is faint: a value's place on the scale is raised to it.

    Examples
    --------
    >>> colours(np.array([0.0, 0.25, 1.0]), 1.0, 1.0, signed=False).tolist()
    [[0, 0, 3], [80, 18, 123], [251, 252, 191]]
    """
    part = np.clip(values / reach, -1, 1)
    place = np.copysign(np.abs(part) ** gamma, part)
    coloured = colormap(SIGNED_MAP if signed else ACTIVE_MAP)(
        (place + 1) / 2 if signed else place, bytes=True
    )
    return np.asarray(coloured)[..., :3]


def percent(fraction: float) -> str:
    """Return a fraction as a percentage that says 0 or 100 only when it is exactly that."""
    if 0 < fraction < 0.01:
        return "< 1 %"
    if 0.99 < fraction < 1:
        return "> 99 %"
    return f"{fraction:.0%}".replace("%", " %")


def end(limit: float, extreme: float, sign: str) -> str:
    """Return the number at an end of a colour bar, marked when values lie beyond it."""
    beyond = abs(extreme) > abs(limit) and extreme * limit > 0
    return f"{sign} {number(limit)}" if beyond else number(limit)


def number(value: float) -> str:
    """Return a number to three digits, with a minus sign that is as wide as a plus.

    Examples
    --------
    >>> [number(value) for value in (-0.125, 12.34, 1234.5, 123456, 1.5e-7)]
    ['−0.125', '12.3', '1234', '1.2e5', '1.5e−7']
    """
    text = f"{value:.3g}" if not 1000 <= abs(value) < 99_999.5 else f"{value:.0f}"
    if "e" in text:  # Two digits, and no zero in the exponent: it has to fit beside its bar.
        digits, exponent = f"{value:.1e}".split("e")
        text = f"{digits}e{int(exponent)}"
    return text.replace("-", "−")
