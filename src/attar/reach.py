"""Where the colour scale of a map ends."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["strongest"]

_BEYOND = 0.01  # the fraction of active values that may lie beyond the scale


def strongest(values: NDArray[Any]) -> float | None:
    """Return where the strongest 1 % of what is active begins, without signs; None where all is 0.

    The responses of an edge filter have a long tail. A scale up to the very strongest leaves
    the whole picture dark for the sake of some specks. Zeros do not count, or the scale of a
    nearly dead map would be its noise; nor does what is not finite.

    Examples
    --------
    >>> strongest(np.array([0.0, -3.0, 2.0, np.inf])), strongest(np.zeros(4))
    (3.0, None)
    """
    strength = np.abs(values[np.isfinite(values) & (values != 0)])
    if not strength.size:
        return None
    place = min(int(strength.size * (1 - _BEYOND)), strength.size - 1)
    return float(np.partition(strength, place)[place])
