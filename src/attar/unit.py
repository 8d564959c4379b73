"""Whole numbers of pixels as floats in [0, 1]."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar import _core

__all__ = ["in_unit", "luma_in_unit"]


def in_unit(values: NDArray[Any], white: float) -> NDArray[np.float32]:
    """Return ``values / white``.

    The quotient, not a product with the reciprocal: 255 / 255 has to be 1 exactly.

    Parameters
    ----------
    values : ndarray of uint8 or uint16, any shape
    white : float
        What becomes 1.

    Examples
    --------
    >>> in_unit(np.array([0, 51, 255], np.uint8), 255)
    array([0. , 0.2, 1. ], dtype=float32)
    """
    image = np.empty(values.shape, np.float32)
    if image.size:
        _core.scale(np.ascontiguousarray(values), image, white)
    return image


def luma_in_unit(pixels: NDArray[np.uint8], weights: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the weighted mean of red, green and blue, in [0, 1].

    The sum is exact, and rounded once where it is divided: a gray pixel stays the gray that it was.

    Parameters
    ----------
    pixels : ndarray of uint8, (..., 3)
    weights : tuple of int
        For red, green, blue; below 32768 in all.

    Examples
    --------
    >>> luma_in_unit(np.array([[[255, 0, 0], [51, 51, 51]]], np.uint8), (299, 587, 114))
    array([[0.299, 0.2  ]], dtype=float32)
    """
    image = np.empty(pixels.shape[:-1], np.float32)
    if image.size:
        _core.luma(np.ascontiguousarray(pixels), image, *weights, 255.0 * sum(weights))
    return image
