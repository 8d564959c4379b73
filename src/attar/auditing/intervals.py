"""How sure a mean over images is: 95 % confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "estimate"]

_Z = 1.959964  # of the normal distribution: 95 % lie within
_FEW = 50  # images, below which resampling them holds the true mean too seldom: docs/metrics.md
_RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over images, with its 95 % confidence interval.

    Attributes
    ----------
    value, low, high : float
        In [0, 1].
    method : {"bootstrap", "wilson"}
        How the interval was found.
    """

    value: float
    low: float
    high: float
    method: Literal["bootstrap", "wilson"]


def estimate(values: NDArray[Any], seed: int) -> Estimate | None:
    """Estimate the mean over all images of which these are a sample.

    Images are drawn independently, the shifts of one image are not: so it is images that are
    resampled (percentile bootstrap, 2000 times). Where each image says yes or no, where they all
    say the same, and where there are fewer than 50, it is Wilson's interval of so many images:
    resampling images that are alike would claim to be certain. No number from 0 to 1 varies more
    than yes and no do, so that this is rather too wide than too narrow.

    Parameters
    ----------
    values : ndarray, (n,)
        A number from 0 to 1 for each image.
    seed : int

    Returns
    -------
    Estimate or None
        None if there is no image.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
       JASA 22, 1927.
    .. [2] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> found = estimate(np.ones(100), seed=0)
    >>> found.value, round(found.low, 3), found.high, found.method
    (1.0, 0.963, 1.0, 'wilson')
    """
    count = len(values)
    if not count:
        return None
    values = np.asarray(values, np.float64)
    mean = float(values.mean())
    found, counts = np.unique(values, return_counts=True)
    if count < _FEW or np.isin(found, (0, 1)).all() or len(found) == 1:
        return _wilson(min(max(mean, 0.0), 1.0), count)
    # How often each value is drawn: the same as drawing images, and less to draw.
    drawn = np.random.default_rng(seed).multinomial(count, counts / count, size=_RESAMPLES)
    low, high = np.quantile(drawn @ found / count, [0.025, 0.975])
    return Estimate(mean, float(low), float(high), "bootstrap")


def _wilson(mean: float, count: int) -> Estimate:
    squared = _Z * _Z
    middle = (mean + squared / (2 * count)) / (1 + squared / count)
    spread = math.sqrt(mean * (1 - mean) / count + squared / (4 * count * count))
    half = _Z * spread / (1 + squared / count)
    # At 0 and 1 the ends are those, but for rounding.
    low = 0.0 if mean == 0 else max(0.0, middle - half)
    high = 1.0 if mean == 1 else min(1.0, middle + half)
    return Estimate(mean, low, high, "wilson")
