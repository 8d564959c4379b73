"""Linear probes: how well numbers can be read from other numbers, tried on what was not learnt."""

from __future__ import annotations

import numpy as np

from attar.auditing.measure import Array

__all__ = ["cosine_sums", "held_out", "read"]

_RIDGES = tuple(10.0**power for power in range(-4, 3))  # of the mean squared length of a row
_SAME = 1e-10  # squared: rows that differ by 1e-5 of their length are the same in float32


def cosine_sums(maps: Array, waves: int) -> Array:
    """Return maps as sums over their places, each weighted by a slow wave along both axes.

    Moving a feature by less than a place of a coarse grid would change no sum over its cells. These
    sums change with every move that changes the map.

    Parameters
    ----------
    maps : ndarray, (N, H, W, C)
    waves : int
        Of each axis: wave k is ``cos(π k (place + 1/2) / places)``; wave 0 is the plain mean.

    Returns
    -------
    ndarray of float64, (N, waves · waves · C)

    Examples
    --------
    >>> dot = np.zeros((1, 4, 4, 1))
    >>> dot[0, 0, 3] = 16
    >>> cosine_sums(dot, 2).round(2).tolist()
    [[1.0, -0.92, 0.92, -0.85]]
    """
    count, height, width, channels = maps.shape
    down, across = _waves(height, waves), _waves(width, waves)
    rows = down @ maps.reshape(count, height, width * channels)
    sums: Array = across @ rows.reshape(count, len(down), width, channels)
    return sums.reshape(count, -1).astype(np.float64)


def _waves(places: int, waves: int) -> Array:
    """Return the weights of the places for each wave, (waves, places); no more than places."""
    at = (np.arange(places) + 0.5) / places
    weights = np.cos(np.pi * np.arange(min(waves, places))[:, None] * at) / places
    return np.asarray(weights, np.float32)


def read(learnt: Array, targets: Array, asked: Array) -> Array:
    """Return what a ridge regression reads.

    It is solved by inner products of rows, of which there are few, however many numbers a row has.
    How much it is held back is chosen by generalised cross-validation: G. H. Golub, M. Heath and
    G. Wahba, "Generalized cross-validation as a method for choosing a good ridge parameter" (1979).

    Parameters
    ----------
    learnt : ndarray of float64, (n, features)
    targets : ndarray of float64, (n, outputs)
    asked : ndarray of float64, (m, features)

    Returns
    -------
    ndarray, (m, outputs)
        The mean of the targets where the rows are all the same.

    Examples
    --------
    >>> rows = np.arange(5.0)[:, None]
    >>> read(rows, 3 * rows + 1, np.array([[10.0]])).round(2).tolist()
    [[31.0]]
    """
    middle, mean = learnt.mean(axis=0), targets.mean(axis=0)
    rows, questions = learnt - middle, asked - middle
    products = rows @ rows.T
    length = float(np.trace(products)) / len(rows)
    # What float32 leaves of rows that are all the same tells nothing.
    if not length > _SAME * float(middle @ middle):
        return np.repeat(mean[None], len(asked), axis=0)
    values, vectors = np.linalg.eigh(products / length)
    values = np.maximum(values, 0)
    turned = vectors.T @ (targets - mean)
    best = min(_RIDGES, key=lambda ridge: _generalised(values, turned, ridge))
    weights = vectors @ (turned / (values + best)[:, None])
    return np.asarray(questions @ (rows.T @ weights) / length + mean)


def _generalised(values: Array, turned: Array, ridge: float) -> float:
    """Return the error that a ridge is expected to have on what was not learnt."""
    left = ridge / (values + ridge)  # what is not fitted, of each direction; 1 is the mean's
    freedom = float(left.sum()) - 1
    return float(((left[:, None] * turned) ** 2).sum()) / max(freedom, 1e-9) ** 2


def held_out(rows: Array, targets: Array, folds: Array) -> Array:
    """Return what is read from each row by a probe that learnt from the rows of other folds.

    Parameters
    ----------
    rows : ndarray, (n, features)
    targets : ndarray, (n, outputs)
    folds : ndarray of int, (n,)

    Returns
    -------
    ndarray, (n, outputs)

    Examples
    --------
    >>> rows = np.arange(6.0)[:, None]
    >>> held_out(rows, 2 * rows, np.arange(6) % 3).round(2).ravel().tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    found = np.empty(targets.shape)
    for fold in np.unique(folds):
        out = folds == fold
        found[out] = read(rows[~out], targets[~out], rows[out])
    return found
