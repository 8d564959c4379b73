"""What may stand in the place of a stride: filters, means, and a choice of phase."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from attar.errors import ArgumentError

__all__ = ["Kind", "PoolName", "kind_of", "taps_for", "weights_of"]

PoolName: TypeAlias = Literal["blur3", "blur5", "blur7", "average", "polyphase"]


@dataclass(frozen=True)
class Kind:
    """One of `PoolName`.

    Attributes
    ----------
    name : str
    taps : int
        Of the filter of a blur; 0 where it is none.
    """

    name: PoolName
    taps: int = 0

    @property
    def is_linear(self) -> bool:
        """Whether it adds with weights that sum to 1, and so passes through a filter of 1 × 1."""
        return self.name != "polyphase"


def kind_of(operation: str, pool: Any) -> Kind:
    """Check the name of a kind.

    Examples
    --------
    >>> kind_of("repair", "blur5")
    Kind(name='blur5', taps=5)
    """
    names = get_args(PoolName)
    if pool not in names:
        raise ArgumentError(
            f"{operation}: pool must be one of {', '.join(map(repr, names))}, got {pool!r}"
        )
    name: PoolName = pool
    return Kind(name, int(name[4:]) if name.startswith("blur") else 0)


def taps_for(taps: int, stride: int, cells: int | None) -> int:
    """Return the taps of a blur along an axis: one where nothing is left out.

    A map of few cells is mirrored no farther than it has cells; None where they are not known.

    Examples
    --------
    >>> taps_for(5, 2, 2), taps_for(5, 2, None), taps_for(5, 1, 9)
    (3, 5, 1)
    """
    if stride == 1:
        return 1
    return taps if cells is None else min(taps, 2 * cells - 1)


def weights_of(taps: int) -> list[float]:
    """Return a row of Pascal's triangle that sums to 1.

    Examples
    --------
    >>> weights_of(3)
    [0.25, 0.5, 0.25]
    """
    return [math.comb(taps - 1, k) / 2 ** (taps - 1) for k in range(taps)]
