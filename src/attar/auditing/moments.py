"""Means, extremes and covariances of channels, from numbers that come a piece at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from attar.auditing.measure import Array

__all__ = ["FEWEST", "SKETCHES", "WIDE", "Moments", "signs"]

WIDE = 256
"""Channels up to which covariances are exact: then they take up to 256 KiB a layer and block."""

SKETCHES = 128
"""Sums with random signs that stand for the places of a wider layer."""

FEWEST = 10
"""Values that are not 0, below which a channel is compared with no other. Of 4096 channels with 5
random values each, a hundred pairs have a correlation of 0.999; with 10, none."""

_FIELDS = ("count", "active", "minimum", "maximum", "mean", "spread", "weight")


@dataclass(frozen=True)
class Moments:
    """What is known of the channels of a layer.

    Attributes
    ----------
    count : ndarray of int64, ()
        Values of each channel.
    active : ndarray of int64, (C,)
        How many of them are not 0. A NaN is not 0.
    minimum, maximum, mean : ndarray of float64, (C,)
    spread : ndarray of float64
        (C, C): sums of products of what two channels differ from their means by. Of a layer with
        more than `WIDE` channels (`SKETCHES`, C): sums of these differences, each with a random
        sign. Channels that are multiples of each other have sketches that are so too.
    weight : ndarray of float64, (SKETCHES,) or ()
        Sums of the signs.
    """

    count: Array
    active: Array
    minimum: Array
    maximum: Array
    mean: Array
    spread: Array
    weight: Array

    @classmethod
    def of(cls, values: Array, random: Array | None = None) -> Self:
        """Measure values, (places, C).

        Parameters
        ----------
        values : ndarray of float32, (places, C)
            At least one place.
        random : ndarray, (SKETCHES, places), optional
            Signs, for a layer with more than `WIDE` channels.
        """
        exact = values.astype(np.float64)
        mean = exact.mean(axis=0)
        apart = exact - mean
        return cls(
            np.array(len(values)),
            np.count_nonzero(values, axis=0).astype(np.int64),
            exact.min(axis=0),
            exact.max(axis=0),
            mean,
            apart.T @ apart if random is None else random @ apart,
            np.zeros(()) if random is None else random.sum(axis=1).astype(np.float64),
        )

    def and_(self, other: Self) -> Self:
        """Return the moments of both together.

        Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983), section 2:
        no large numbers are subtracted from each other.

        Examples
        --------
        >>> values = np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 13.0]])
        >>> both = Moments.of(values[:1]).and_(Moments.of(values[1:]))
        >>> both.mean.tolist(), np.allclose(both.spread, Moments.of(values).spread)
        ([3.0, 7.0], True)
        """
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        if self.weight.ndim:
            spread = (
                self.spread
                + np.outer(self.weight, self.mean - mean)
                + other.spread
                + np.outer(other.weight, other.mean - mean)
            )
        else:
            between = self.count * other.count / count
            spread = self.spread + other.spread + np.outer(step, step) * between
        return type(self)(
            count,
            self.active + other.active,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            mean,
            spread,
            self.weight + other.weight,
        )

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the arrays, by names that begin with a prefix; the largest of them as float32."""
        small = {"spread": self.spread.astype(np.float32)}
        return {f"{prefix}.{name}": small.get(name, getattr(self, name)) for name in _FIELDS}

    @classmethod
    def read(cls, arrays: Mapping[str, Array], prefix: str) -> Self:
        """Return what `arrays` gave."""
        found = [np.asarray(arrays[f"{prefix}.{name}"]) for name in _FIELDS]
        spread = _FIELDS.index("spread")
        found[spread] = found[spread].astype(np.float64)
        return cls(*found)

    @property
    def compared(self) -> Array:
        """The channels that vary, and are not 0 often enough to be compared."""
        return np.flatnonzero((self.maximum > self.minimum) & (self.active >= FEWEST))

    def alike(self, least: float) -> list[tuple[int, int, float]]:
        """Return channels that are a multiple of an earlier one, with the correlation.

        Parameters
        ----------
        least : float
            The smallest correlation, as a magnitude.

        Returns
        -------
        list of (channel, earlier channel, correlation)
            For each of the channels that are `compared` the first that it is like.

        Examples
        --------
        >>> channel = np.arange(1.0, 20.0)
        >>> values = np.stack([channel, channel**2, 1 - 2 * channel], axis=1)
        >>> [(one, other, round(by, 9)) for one, other, by in Moments.of(values).alike(0.999)]
        [(2, 0, -1.0)]
        """
        varies = self.compared
        sketched = self.weight.ndim > 0
        norms = np.linalg.norm(self.spread, axis=0) if sketched else np.sqrt(np.diag(self.spread))
        rows = self.spread / np.where(norms > 0, norms, 1)
        found = []
        for i, channel in enumerate(varies[1:], 1):  # a row at a time: C² of them are not kept
            before = varies[:i]
            if sketched:
                likeness = rows[:, channel] @ rows[:, before]
            else:
                likeness = rows[channel, before] / norms[channel]
            match = np.flatnonzero(np.abs(likeness) >= least)
            if len(match):
                first = int(match[0])
                value = float(np.clip(likeness[first], -1, 1))
                found.append((int(channel), int(before[first]), value))
        return found


def signs(generator: np.random.Generator, places: int) -> Array:
    """Draw `SKETCHES` random signs for each place, (SKETCHES, places)."""
    bits = np.frombuffer(generator.bytes(SKETCHES * places // 8), np.uint8)
    return np.unpackbits(bits).reshape(SKETCHES, places).astype(np.float32) * 2 - 1
