"""Which layer adds what to the error under shift, and by which of its habits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attar.auditing.measure import Array
from attar.auditing.places import is_map
from attar.models.layers import ModelLayer

__all__ = ["Blamed", "Judged", "blame", "known"]

_NOTHING = 1e-4  # relative L2 that rounding leaves: 20 layers of float32 stay below 1e-5


class Judged(NamedTuple):
    """A layer with what was measured of it; NaN where that is nothing.

    Attributes
    ----------
    layer : ModelLayer
    errors : ndarray, (shifts, 3), or None
        Equivariance error of the whole map, its interior and its border; None of a vector.
    aligned : ndarray of bool, (shifts,)
        Which shifts are multiples of its stride.
    by_shift : ndarray, (shifts,)
        The error that counts.
    """

    layer: ModelLayer
    errors: Array | None
    aligned: Array
    by_shift: Array


class Blamed(NamedTuple):
    """What is said of a layer. `attar.auditing.lost.LayerLoss` explains the fields."""

    aliasing: float | None
    padding: float | None
    split: str | None
    position: float | None
    error: float | None
    added: float | None
    cause: str | None
    part_of: str | None


class _Split(NamedTuple):
    aliasing: float
    padding: float
    other: float  # what is wrong in the interior at multiples of the stride
    by: str


def blame(judged: Sequence[Judged]) -> list[Blamed]:
    """Tell what each layer adds to the error of those that it takes.

    Parameters
    ----------
    judged : sequence of Judged
        In the order in which they are computed.

    Returns
    -------
    list of Blamed
    """
    by_name = {each.layer.name: each for each in judged}
    splits = {name: _split(each) for name, each in by_name.items()}
    errors = {name: _mean(each.by_shift) for name, each in by_name.items()}
    chains = _chains([each.layer for each in judged])
    heads = {name: head for head, chain in chains.items() for name in chain}

    def before(name: str) -> list[str]:
        """Return the nearest layers before a layer whose error is known; none for the image."""
        found: list[str] = []
        for other in by_name[name].layer.inputs:
            if other in by_name:
                found.extend([other] if np.isfinite(errors[other]) else before(other))
        return found

    blamed = []
    for name, each in by_name.items():
        split = splits[name]
        last = chains.get(name, [name])[-1]  # where what comes of the layer is judged
        added, position, cause = np.nan, np.nan, None
        if name not in heads and np.isfinite(errors[last]):
            inputs = before(name)
            added = errors[last] - max((errors[other] for other in inputs), default=0.0)
            flattened = not is_map(each.layer) and any(is_map(by_name[o].layer) for o in inputs)
            if flattened:
                position = added
            if added > _NOTHING and flattened:
                cause = "position"
            elif added > _NOTHING:
                cause = _cause(by_name[last], splits[last], [splits[other] for other in inputs])
        blamed.append(
            Blamed(
                None if split is None else known(split.aliasing),
                None if split is None else known(split.padding),
                None if split is None else split.by,
                known(position),
                known(errors[name]),
                known(added),
                cause,
                heads.get(name),
            )
        )
    return blamed


def _chains(layers: Sequence[ModelLayer]) -> dict[str, list[str]]:
    """Return what works number by number behind a filter or a sum, up to its activation.

    Some frameworks have it as layers, others within the filter. A map before its activation is far
    from 0 in most places, so its relative error is small, and grows where the activation cuts most
    of it off. Who made the error is the filter.
    """
    takers: dict[str, list[ModelLayer]] = {}
    for layer in layers:
        for name in layer.inputs:
            takers.setdefault(name, []).append(layer)
    chains: dict[str, list[str]] = {}
    for head in layers:
        chain, last = list[str](), head
        while head.task in ("filter", "merge") and len(takers.get(last.name, ())) == 1:
            (taker,) = takers[last.name]
            if len(taker.inputs) > 1 or not _is_by_number(taker, last):
                break
            chain.append(taker.name)
            last = taker
            if taker.task == "detect":
                break
        if chain:
            chains[head.name] = chain
    return chains


def _is_by_number(layer: ModelLayer, before: ModelLayer) -> bool:
    """Whether a layer changes numbers one by one, as far as it is known."""
    if layer.output_shape != before.output_shape or layer.task not in ("detect", "other"):
        return False
    same = (layer.receptive_field, layer.stride) == (before.receptive_field, before.stride)
    return same and (layer.task == "detect" or layer.receptive_field is not None)


def known(number: float) -> float | None:
    """Return a number, or None where it is none.

    Examples
    --------
    >>> known(0.5), known(float("nan"))
    (0.5, None)
    """
    return float(number) if np.isfinite(number) else None


def _split(judged: Judged) -> _Split | None:
    """Tell stride aliasing from padding leakage.

    Convolutions and pools do the same everywhere. So in the interior nothing is wrong at multiples
    of the stride, and what is wrong at other shifts is aliasing; what is wrong at the border beyond
    that is padding. Where no interior is left, what is wrong at multiples of the stride is padding,
    and what other shifts add is aliasing. Neither is below 0: they are means over different shifts.
    """
    if judged.errors is None:
        return None
    whole, interior, border = judged.errors.T
    aligned = judged.aligned
    if np.isfinite(interior).any():
        where = aligned if np.isfinite(interior[aligned]).any() else ~aligned
        steady = _mean(interior[aligned], 0.0)
        aliasing = _mean(interior[~aligned], steady) - steady
        # A map without border has no padding that it sees.
        padding = _mean(border[where] - interior[where], 0.0)
        return _Split(max(0.0, aliasing), max(0.0, padding), steady, "place")
    if np.isfinite(whole[aligned]).any():
        padding = _mean(whole[aligned])
        aliasing = _mean(whole[~aligned], padding) - padding
        return _Split(max(0.0, aliasing), padding, 0.0, "shift")
    return None


def _cause(judged: Judged, split: _Split | None, before: list[_Split | None]) -> str:
    if judged.errors is None:
        return "other"  # a vector out of vectors
    told = [each for each in before if each is not None]
    if split is None or len(told) < len(before):
        return "unknown"
    grown = {
        cause: getattr(split, cause) - max((getattr(each, cause) for each in told), default=0.0)
        for cause in ("aliasing", "padding", "other")
    }
    most = max(grown, key=lambda cause: grown[cause])
    return most if grown[most] > 0 else "other"


def _mean(values: Array, otherwise: float = np.nan) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else otherwise
