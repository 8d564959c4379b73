"""The numbers of maps: how strong, where, and how much of them is dead space."""

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar import nn

__all__ = ["Measured", "as_maps", "as_prediction", "measure", "plain", "relative_difference"]

Array: TypeAlias = NDArray[Any]

_TOP = 5  # classes of a prediction
_SUM_TOLERANCE = 1e-3  # how far from 1 probabilities may add up to


class Measured(NamedTuple):
    """What is known of each map of a layer: arrays of one number for each channel.

    Attributes
    ----------
    dead_space : float64
        The fraction of the map that is exactly 0.
    mean, maximum : float32
        The maximum steps over NaN.
    strength : float64
        Mean of the absolute values: what maps are sorted by.
    place : int64
        Where the maximum is, as index into the pixels of the map.
    """

    dead_space: Array
    mean: Array
    maximum: Array
    strength: Array
    place: Array


def as_maps(values: Array) -> Array:
    """Return the answer of a layer to one image as maps (H, W, C); vectors as maps of one pixel.

    Examples
    --------
    >>> as_maps(np.zeros((1, 10))).shape, as_maps(np.zeros((1, 4, 5, 3))).shape
    ((1, 1, 10), (4, 5, 3))
    """
    image: Array = values[0]
    if image.ndim == 3:
        return image
    return image.reshape(1, -1, image.shape[-1]) if image.ndim > 1 else image[None, None]


def measure(maps: Array) -> Measured:
    """Measure maps (H, W, C).

    Examples
    --------
    >>> found = measure(np.array([[[0.0], [3.0], [1.0], [0.0]]]))
    >>> found.dead_space.tolist(), found.maximum.tolist(), found.place.tolist()
    ([0.5], [3.0], [1])
    """
    pixels = maps.reshape(-1, maps.shape[-1])
    sizes = np.abs(pixels)
    strength = np.add.reduce(sizes, axis=0, dtype=np.float64)
    known = maps
    # Looked for where there is one alone: it takes longer than the rest.
    if np.isnan(strength).any():
        strength = np.asarray(np.nansum(sizes, axis=0, dtype=np.float64))
        known = np.where(np.isnan(maps), -np.inf, maps)
    maximum, place = nn.max_pool_with_argmax(
        known[None], maps.shape[:2], 1, "VALID", output_dtype=np.int64
    )
    return Measured(
        1 - np.count_nonzero(pixels, axis=0) / len(pixels),
        np.mean(pixels, axis=0),
        maximum.ravel(),
        strength / len(pixels),
        place.ravel() // maps.shape[-1],
    )


def relative_difference(first: Array, second: Array) -> float | None:
    """Return how far two answers of a layer are apart: ``‖first − second‖ / ‖first‖``.

    None where the first one is 0 everywhere or something is not finite, or their shapes differ.

    Examples
    --------
    >>> relative_difference(np.array([3.0, 4.0]), np.array([3.0, 3.0]))
    0.2
    """
    if first.shape != second.shape:
        return None
    size = float(np.linalg.norm(first.ravel().astype(np.float64)))
    apart = float(np.linalg.norm((first.astype(np.float64) - second).ravel()))
    return apart / size if size and math.isfinite(apart / size) else None


def as_prediction(answer: Array) -> dict[str, Any] | None:
    """Return the strongest classes of a model's answer; None where it is no vector.

    Probabilities stay as they are. Other numbers go through softmax, and ``"how"`` says so.

    Examples
    --------
    >>> as_prediction(np.array([[0.25, 0.75]]))
    {'how': 'probabilities', 'count': 2, 'top': [[1, 0.75], [0, 0.25]]}
    """
    values = answer.ravel().astype(np.float64)
    if max(answer.shape) != values.size or values.size < 2 or not np.isfinite(values).all():
        return None
    how = "probabilities"
    if values.min() < 0 or abs(values.sum() - 1) > _SUM_TOLERANCE:
        how = "softmax"
        values = np.exp(values - values.max())
        values /= values.sum()
    top = np.argsort(-values, kind="stable")[:_TOP]
    return {"how": how, "count": values.size, "top": [[int(i), float(values[i])] for i in top]}


def plain(number: float) -> float | None:
    """Return a number as JSON has it: None where it is not finite."""
    return float(number) if math.isfinite(number) else None
