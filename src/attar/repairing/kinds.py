"""What may stand in the place of a stride: filters, means, and a choice of phase."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from attar.errors import ArgumentError

__all__ = ["Border", "Kind", "PoolName", "behind", "kind_of", "taps_for", "weights_of"]

PoolName: TypeAlias = Literal["blur3", "blur5", "blur7", "average", "polyphase"]
Border: TypeAlias = Literal["reflect", "circular"]


@dataclass(frozen=True)
class Kind:
    """What stands in the place of strides.

    Attributes
    ----------
    name : PoolName
    taps : int
        Of the filter of a blur; 0 where it is none.
    border : Border
        What a blur sees beyond a map: the map, mirrored or from its other side. If it is the other
        side, windows of pools go on there as well.
    """

    name: PoolName
    taps: int = 0
    border: Border = "reflect"

    @property
    def wraps(self) -> bool:
        """Whether a map goes on at its other side."""
        return self.border == "circular"


def kind_of(operation: str, pool: Any, border: Any = "reflect") -> Kind:
    """Check the names of a kind and a border.

    Examples
    --------
    >>> kind_of("repair", "blur5")
    Kind(name='blur5', taps=5, border='reflect')
    """
    for argument, value, accepted in (
        ("pool", pool, get_args(PoolName)),
        ("border", border, get_args(Border)),
    ):
        if value not in accepted:
            raise ArgumentError(
                f"{operation}: {argument} must be one of {', '.join(map(repr, accepted))}, "
                f"got {value!r}"
            )
    name: PoolName = pool
    return Kind(name, int(name[4:]) if name.startswith("blur") else 0, border)


def taps_for(kind: Kind, stride: int, cells: int | None) -> int:
    """Return the taps of a blur along an axis: one where nothing is left out.

    A map of few cells goes on no farther than it has cells; None where they are not known.

    Examples
    --------
    >>> blur = Kind("blur5", 5)
    >>> taps_for(blur, 2, 2), taps_for(blur, 2, None), taps_for(blur, 1, 9)
    (3, 5, 1)
    """
    if stride == 1:
        return 1
    return kind.taps if cells is None else min(kind.taps, 2 * cells + (1 if kind.wraps else -1))


def behind(
    kind: Kind, window: int, stride: int, pads: tuple[int, int], rounds_up: bool
) -> tuple[int, int]:
    """Return the padding at the end of a pool without its stride, and how much of it is surplus.

    A pool that rounds up has a last window that reaches over the padding. With as much padding more
    as a stride leaves out, but none that a window sees alone, there are as many windows as the
    stride then keeps. What chooses a phase needs as many windows for each: those are surplus, and
    so are all that begin where a map goes on at its other side.

    Examples
    --------
    >>> behind(Kind("blur3", 3), 3, 2, (0, 0), rounds_up=True)
    (1, 0)
    >>> behind(Kind("polyphase"), 2, 2, (0, 0), rounds_up=False)
    (1, 1)
    """
    before, after = pads
    if rounds_up:
        after = max(after, min(after + stride - 1, window - 1))
    if kind.name != "polyphase" or stride == 1:
        return after, 0
    most = window - 1 - before if kind.wraps else min(after + stride - 1, window - 1)
    return max(after, most), max(0, most - after)


def weights_of(taps: int) -> list[float]:
    """Return a row of Pascal's triangle that sums to 1.

    Examples
    --------
    >>> weights_of(3)
    [0.25, 0.5, 0.25]
    """
    return [math.comb(taps - 1, k) / 2 ** (taps - 1) for k in range(taps)]
