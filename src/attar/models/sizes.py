"""Which sizes of images a model takes, found by trying where it does not say."""

from __future__ import annotations

from typing import NamedTuple

from attar.errors import AttarError, ModelError
from attar.models.protocol import OPERATION, Described, Engine
from attar.tables import shape_text

__all__ = ["Settled", "settle"]

# A small one first, since most models take any; then ImageNet, small pictures, digits, and others.
_TRIED = (96, 224, 32, 28, 64, 128, 24, 48, 12, 112, 160, 192, 227, 256, 299, 331, 384, 512)
_APART = 32  # between two sizes that are tried: a multiple of the strides of most models


class Settled(NamedTuple):
    """What a model takes.

    Attributes
    ----------
    height, width : int or None
        None where any number will do.
    channels : int
    probes : dict of (int, int) to Described
        Sizes that it takes for sure, and what it computes for them: one, or two that differ
        wherever the size is free.
    says : str
    """

    height: int | None
    width: int | None
    channels: int
    probes: dict[tuple[int, int], Described]
    says: str


def settle(engine: Engine, height: int | None, width: int | None, says: str) -> Settled:
    """Find out which sizes a model takes.

    Raises
    ------
    ModelError (a ValueError)
        None that was tried.
    """
    fixed = height is not None and width is not None
    tried: dict[tuple[int, int, int], AttarError] = {}
    for channels in (engine.takes.channels,) if engine.takes.channels else (3, 1):
        for side in (0,) if fixed else _TRIED:
            size = (height or side, width or side)
            first = _described(engine, *size, channels)
            if not isinstance(first, Described):
                tried[*size, channels] = first
                continue
            if fixed:
                return Settled(height, width, channels, {size: first}, says)
            other = (height or side + _APART, width or side + _APART)
            second = _described(engine, *other, channels)
            if isinstance(second, Described):
                return Settled(height, width, channels, {size: first, other: second}, says)
            found = "found by trying: other sizes do not fit"
            return Settled(*size, channels, {size: first}, found)
    wanted, error = next(iter(tried.items()))
    why = f"{shape_text(wanted)}: {str(error).removeprefix(f'{OPERATION}: ')}"
    if fixed:
        raise ModelError(f"{OPERATION}: the model does not take images of {why}") from error
    raise ModelError(
        f"{OPERATION}: the model says no size, and takes none of those that were tried; pass "
        f"size=(height, width). At {why}"
    ) from error


def _described(engine: Engine, height: int, width: int, channels: int) -> Described | AttarError:
    try:
        return engine.describe(height, width, channels)
    except AttarError as error:
        return error
