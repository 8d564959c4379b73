"""Space: channels that are dead, constant or there twice, and what pools make of dead space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from attar.auditing.measure import Array, Block, Part
from attar.auditing.moments import WIDE, Moments, signs
from attar.auditing.places import independent_places, is_map
from attar.auditing.plain import LayeredSection
from attar.errors import ArgumentError
from attar.models import Model
from attar.models.layers import ModelLayer

__all__ = ["Duplicate", "LayerSpace", "PoolSpace", "Space", "SpaceSection"]


@dataclass(frozen=True)
class Duplicate:
    """A channel that is a multiple of an earlier one, plus a constant.

    Attributes
    ----------
    channel, of : int
    correlation : float
        Negative where the one rises when the other falls.
    """

    channel: int
    of: int
    correlation: float


@dataclass(frozen=True)
class LayerSpace:
    """The channels of a layer. docs/metrics.md has the definitions.

    Attributes
    ----------
    name, kind, task : str
    channels : int
    places : int
        Values of each channel that were looked at, in all images together.
    independent_places : int
        How many of these share no pixel of an image.
    zero_fraction : float
        Of all values.
    rectified : bool
        Whether no value is below 0, and so 0 means that nothing was found.
    dead, nearly_dead, always_on, constant : tuple of int
        Channels. None is in two of the first three; `always_on` is empty where not `rectified`.
    duplicates : tuple of Duplicate
    compared : int
        How many channels were compared: those that vary, and are not 0 in at least 10 places.
    exact : bool
        Whether correlations come from all values, or from random sums of them.
    unseen : float
        A dead channel may be active in up to this fraction of places and still not show, with a
        probability of 5 %.
    """

    name: str
    kind: str
    task: str
    channels: int
    places: int
    independent_places: int
    zero_fraction: float
    rectified: bool
    dead: tuple[int, ...]
    nearly_dead: tuple[int, ...]
    always_on: tuple[int, ...]
    constant: tuple[int, ...]
    duplicates: tuple[Duplicate, ...]
    compared: int
    exact: bool
    unseen: float


@dataclass(frozen=True)
class PoolSpace:
    """What a pool makes of dead space.

    Attributes
    ----------
    name, before : str
        The pool, and the layer that it takes.
    zeros_before, zeros_after : float
        The fraction of values that are exactly 0.
    intensification : float or None
        Active fraction after over that before.
    strength : float or None
        Mean after over mean before.
    """

    name: str
    before: str
    zeros_before: float
    zeros_after: float
    intensification: float | None
    strength: float | None


@dataclass(frozen=True)
class SpaceSection(LayeredSection[LayerSpace]):
    """Channels that do nothing, and pools.

    Attributes
    ----------
    images : int
        How many were seen: what is said holds of these.
    layers : tuple of LayerSpace
    pools : tuple of PoolSpace
    dead_fraction, duplicate_fraction : float or None
        Of the channels of all layers that detect: activations but softmax, and filters whose
        answers are `rectified`. None where there is none.
    nearly_dead_below : float
        The active fraction that makes a channel nearly dead.
    duplicate_from : float
        The correlation that makes one a duplicate.
    """

    images: int
    layers: tuple[LayerSpace, ...]
    pools: tuple[PoolSpace, ...]
    dead_fraction: float | None
    duplicate_fraction: float | None
    nearly_dead_below: float
    duplicate_from: float


class Space:
    """The measure "space": every channel of every layer, over all images.

    Parameters
    ----------
    nearly_dead_below : float
        A channel that is active in a smaller fraction of places is nearly dead.
    duplicate_from : float
        Two channels whose correlation is at least this, as a magnitude, are duplicates.
    seed : int
        Of the random sums for layers with more than 256 channels.

    Examples
    --------
    >>> import attar
    >>> from attar import layers
    >>> model = attar.open_model(
    ...     attar.Sequential([
    ...         layers.Input((8, 8, 1)),
    ...         layers.Rescaling(-1.0, name="negative"),
    ...         layers.ReLU(name="detect"),
    ...     ])
    ... )
    >>> measure = Space()
    >>> block = Block(np.random.default_rng(0).random((2, 8, 8, 1), np.float32), None, 0)
    >>> section = measure.combine(model, [measure.work(model, block)])
    >>> section.layer("detect").dead, section.layer("detect").places, section.dead_fraction
    ((0,), 128, 1.0)
    """

    name: ClassVar[str] = "space"

    def __init__(
        self, nearly_dead_below: float = 0.001, duplicate_from: float = 0.999, seed: int = 0
    ) -> None:
        for name, value in (
            ("nearly_dead_below", nearly_dead_below),
            ("duplicate_from", duplicate_from),
        ):
            if not 0 <= value <= 1:
                raise ArgumentError(f"audit: space: {name} must be in [0, 1], got {value!r}")
        self.nearly_dead_below = nearly_dead_below
        self.duplicate_from = duplicate_from
        self.seed = seed

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "version": 1,
            "nearly_dead_below": self.nearly_dead_below,
            "duplicate_from": self.duplicate_from,
            "seed": self.seed,
        }

    def passes(self, model: Model) -> int:
        """Return how many forward passes it makes for one image."""
        return 1

    def work(self, model: Model, block: Block) -> Part:
        """Return the moments of each layer's channels, over the images of a block."""
        images = model.input.fit("audit", block.images)
        size = (images.shape[1], images.shape[2])
        layers = _watched(model.layers_at(*size))
        found: dict[str, Moments] = {}
        done = 0
        for piece in model.stream(images, layers):
            for name, maps in piece.maps.items():
                for k, map in enumerate(maps):
                    more = self._moments(map, block.first + piece.start + k)
                    found[name] = found[name].and_(more) if name in found else more
            block.tick(max(0, piece.stop - done))  # layers may come in several groups
            done = max(done, piece.stop)
        part: Part = {"images": np.array(len(images)), "size": np.array(size)}
        part["independent"] = np.array(
            [independent_places(layer, size) * len(images) for layer in layers.values()]
        )
        for i, name in enumerate(layers):
            part.update(found[name].arrays(str(i)))
        return part

    def _moments(self, map: Array, index: int) -> Moments:
        values = map.reshape(-1, map.shape[-1])
        if values.shape[1] <= WIDE:
            return Moments.of(values)
        return Moments.of(values, signs(np.random.default_rng([self.seed, index]), len(values)))

    def combine(self, model: Model, parts: Iterable[Part]) -> SpaceSection:
        """Return the verdicts over all parts."""
        together: dict[str, Moments] = {}
        images, independent, layers = 0, np.zeros(0), dict[str, ModelLayer]()
        for part in parts:
            if not images:
                layers = _watched(model.layers_at(int(part["size"][0]), int(part["size"][1])))
                independent = np.zeros(len(layers))
            images += int(part["images"])
            independent = independent + part["independent"]
            for i, name in enumerate(layers):
                more = Moments.read(part, str(i))
                together[name] = together[name].and_(more) if name in together else more
        if not images:
            raise ArgumentError("audit: space: there is no part to combine")
        spaces = tuple(
            self._layer(layer, together[name], int(alone))
            for (name, layer), alone in zip(layers.items(), independent, strict=True)
        )
        return SpaceSection(
            images,
            spaces,
            tuple(
                _pool(layer, together)
                for layer in layers.values()
                if layer.task == "condense" and layer.inputs[:1] and layer.inputs[0] in together
            ),
            *_fractions(spaces),
            self.nearly_dead_below,
            self.duplicate_from,
        )

    def _layer(self, layer: ModelLayer, of: Moments, independent: int) -> LayerSpace:
        count = int(of.count)
        active = of.active / count
        rectified = bool(of.minimum.min() >= 0)
        return LayerSpace(
            layer.name,
            layer.kind,
            layer.task,
            len(of.active),
            count,
            independent,
            float(1 - active.mean()),
            rectified,
            _where(active == 0),
            _where((active > 0) & (active < self.nearly_dead_below)),
            _where((of.active == of.count) & rectified),
            _where((of.minimum == of.maximum) & (active > 0)),
            tuple(Duplicate(*each) for each in of.alike(self.duplicate_from)),
            len(of.compared),
            not of.weight.ndim,
            1 - 0.05 ** (1 / independent),
        )


def _watched(layers: tuple[ModelLayer, ...]) -> dict[str, ModelLayer]:
    """Return the layers whose channels are looked at: all but those that only move numbers."""
    return {layer.name: layer for layer in layers if layer.task != "other" or is_map(layer)}


def _where(flags: Array) -> tuple[int, ...]:
    return tuple(np.flatnonzero(flags).tolist())


def _pool(layer: ModelLayer, together: dict[str, Moments]) -> PoolSpace:
    before, after = together[layer.inputs[0]], together[layer.name]
    live = [each.active.sum() / (each.count * len(each.active)) for each in (before, after)]
    means = [float(each.mean.mean()) for each in (before, after)]
    return PoolSpace(
        layer.name,
        layer.inputs[0],
        float(1 - live[0]),
        float(1 - live[1]),
        float(live[1] / live[0]) if live[0] else None,
        means[1] / means[0] if means[0] > 0 else None,
    )


def _fractions(layers: tuple[LayerSpace, ...]) -> tuple[float | None, float | None]:
    """Return the fractions of channels that are dead, and duplicates, in layers that detect."""
    detecting = [
        each
        for each in layers
        if each.task == "detect" or (each.task == "filter" and each.rectified)
        if "softmax" not in each.kind.lower()  # which finds nothing, but shares what was found
    ]
    channels = sum(each.channels for each in detecting)
    if not channels:
        return None, None
    dead = sum(len(each.dead) for each in detecting)
    return dead / channels, sum(len(each.duplicates) for each in detecting) / channels
