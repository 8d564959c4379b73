"""The ways to halve a map that experiments compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from attar import nn
from attar.errors import ArgumentError

__all__ = ["POOLS", "condense", "read_pools"]

Array = NDArray[Any]

POOLS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "max": ("max pool", lambda maps: nn.max_pool(maps, 2, 2, "SAME")),
    "average": ("average pool", lambda maps: nn.avg_pool(maps, 2, 2, "SAME")),
    "blur": ("blur pool", lambda maps: nn.blur_pool(maps, 3, 2, border="zero")),
    "max_blur": ("max blur pool", lambda maps: nn.max_blur_pool(maps, 2, 3, 2, border="zero")),
    "stride": ("every second value", lambda maps: maps[:, ::2, ::2]),
}
"""By name: what tables call it, and the function, on (N, H, W, C) maps. Windows are 2 × 2."""


def condense(maps: Array, pool: str, times: int = 1) -> Array:
    """Halve maps (N, H, W, C) so many times.

    Examples
    --------
    >>> import numpy as np
    >>> condense(np.eye(4, dtype=np.float32)[None, :, :, None], "max")[0, :, :, 0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    _, halve = POOLS[pool]
    for _ in range(times):
        maps = halve(maps)
    return maps


def read_pools(operation: str, pools: Iterable[str]) -> tuple[str, ...]:
    """Read the names of pools."""
    names = (pools,) if isinstance(pools, str) else tuple(pools)
    if not names or any(name not in POOLS for name in names):
        raise ArgumentError(
            f"experiments.{operation}: pools is {pools!r}; accepted are one or more of "
            f"{', '.join(POOLS)}"
        )
    return names
