"""Position: how well it can be read from each layer where in the image a feature is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from attar import features
from attar.auditing.measure import Array, Block, Part
from attar.auditing.places import disguised, is_map
from attar.auditing.plain import LayeredSection
from attar.auditing.probes import cosine_sums, held_out, read
from attar.errors import ArgumentError, ShapeError
from attar.models import Model
from attar.models.layers import ModelLayer

__all__ = ["Curve", "LayerPosition", "Position", "PositionSection", "Readout"]

Ground: TypeAlias = Literal["plain", "image"]

_READOUTS = ("placed", "pooled")
_LADDERS = 3  # in an image
_RUNGS = 6  # 0, 1, 3, 7, 15 and 31 pixels on: 15 distances from 1 to 31
_FOLDS = 4


@dataclass(frozen=True)
class Curve:
    """How often two positions are told apart, by their distance.

    Attributes
    ----------
    distances : tuple of int
        Pixels along one axis.
    accuracy : tuple of float
        How often the one that lies further down (or to the right) is read as such; 0.5 is chance.
    pairs : tuple of int
        How many pairs were tried.
    """

    distances: tuple[int, ...]
    accuracy: tuple[float, ...]
    pairs: tuple[int, ...]


@dataclass(frozen=True)
class Readout:
    """What a linear probe reads.

    Attributes
    ----------
    r2 : float
        1 − the squared error over that of the best constant; at most 1, and about 0 where nothing
        can be read.
    error : float
        Mean distance from what is read to where the feature is, pixels.
    curve : Curve
    """

    r2: float
    error: float
    curve: Curve


@dataclass(frozen=True)
class LayerPosition:
    """How well the position of a feature can be read from a layer.

    Attributes
    ----------
    name, kind, task : str
    placed : Readout or None
        From the whole map; None of a vector.
    pooled : Readout
        From each channel's mean over the map; of a vector, from the vector.
    """

    name: str
    kind: str
    task: str
    placed: Readout | None
    pooled: Readout

    @property
    def best(self) -> Readout:
        """What is there to be read at all: from the whole map where there is one."""
        return self.placed or self.pooled


@dataclass(frozen=True)
class PositionSection(LayeredSection[LayerPosition]):
    """How well positions can be read, layer by layer.

    Attributes
    ----------
    images : int
    size : (int, int)
        Of the images as the model sees them, pixels.
    feature : int
        Diameter of the disc that is placed, pixels.
    places : int
        How many places of each image the probes learn from and are tried on.
    chance_error : float
        Mean distance from the best constant to where the feature is, pixels.
    layers : tuple of LayerPosition
    """

    images: int
    size: tuple[int, int]
    feature: int
    places: int
    chance_error: float
    layers: tuple[LayerPosition, ...]


class Position:
    """The measure "position": a disc is placed on each image, and its place is read.

    Parameters
    ----------
    places : int
        How many random places in each image; at least 8.
    waves : int
        How finely a probe may weight the places of a map: `attar.auditing.probes.cosine_sums`.
    ground : {"plain", "image"}
        What the disc lies on: the mean colour of the image, or the image. On an image the disc
        covers something else at each place, which a probe cannot know: so it reads less well from
        any layer, the first one too.
    seed : int

    Examples
    --------
    >>> import attar
    >>> from attar import layers
    >>> model = attar.open_model(
    ...     attar.Sequential([
    ...         layers.Input((32, 32, 1)),
    ...         layers.MaxPool2D(4, name="condense"),
    ...         layers.GlobalAveragePooling2D(name="mean"),
    ...     ])
    ... )
    >>> measure = Position()
    >>> block = Block(np.full((2, 32, 32, 1), 0.25, np.float32), None, 0)
    >>> section = measure.combine(model, [measure.work(model, block)])
    >>> section.layer("condense").best.r2 > 0.8, section.layer("mean").best.r2 < 0.1
    (True, True)
    """

    name: ClassVar[str] = "position"

    def __init__(
        self, places: int = 32, waves: int = 4, ground: Ground = "plain", seed: int = 0
    ) -> None:
        for name, value, least in (("places", places, 8), ("waves", waves, 2)):
            if value < least:
                raise ArgumentError(
                    f"audit: position: {name} must be at least {least}, got {value!r}"
                )
        if ground not in ("plain", "image"):
            raise ArgumentError(
                f"audit: position: ground must be 'plain' or 'image', got {ground!r}"
            )
        self.places, self.waves, self.seed = places, waves, seed
        self.ground: Ground = ground

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "version": 1,
            "places": self.places,
            "waves": self.waves,
            "ground": self.ground,
            "seed": self.seed,
        }

    def passes(self, model: Model) -> int:
        """Return how many forward passes it makes for one image."""
        return self.places + _LADDERS * _RUNGS

    def work(self, model: Model, block: Block) -> Part:
        """Return where discs were, and where they are read, by layer, readout and image."""
        images = model.input.fit("audit", block.images)
        size = (images.shape[1], images.shape[2])
        layers = _watched(model.layers_at(*size))
        all_places = np.stack([self._places(size, block.first + i) for i in range(len(images))])
        folds, free = np.arange(self.places) % _FOLDS, _free(size)
        found = np.full((len(layers), len(_READOUTS), *all_places.shape), np.nan, np.float32)
        for i, (image, places) in enumerate(zip(images, all_places, strict=True)):
            if self.ground == "plain":
                image = np.broadcast_to(image.mean(axis=(0, 1), keepdims=True), image.shape)
            rows = self._rows(model, layers, _drawn(image, places), block)
            where, learnt = places.astype(np.float64), slice(self.places)
            for (layer, readout), held in rows.items():
                tried = held_out(held[learnt], where[learnt], folds)
                asked = read(held[learnt], where[learnt], held[self.places :])
                # The disc is on the image, which whoever reads may know.
                found[layer, readout, i] = np.clip(np.concatenate([tried, asked]), 0, free - 1)
        return {"places": all_places, "read": found, "size": np.array(size)}

    def _places(self, size: tuple[int, int], index: int) -> Array:
        """Return the corners (y, x) at which discs are drawn: random ones, then ladders."""
        generator = np.random.default_rng([self.seed, index])
        free = _free(size)
        # One in each of as many rows and columns: so none of the image is left out by chance.
        even = [
            (generator.permutation(self.places) + generator.random(self.places)) / self.places
            for _ in range(2)
        ]
        found = [np.floor(np.stack(even, axis=1) * free)]
        steps = 2 ** np.arange(_RUNGS) - 1
        for _ in range(_LADDERS):
            rungs = np.stack([generator.permutation(steps), generator.permutation(steps)], axis=1)
            # Half the image at most, or a ladder would always stand at the border. On small images
            # it ends on its last rung more than once.
            rungs = np.minimum(rungs, (free - 1) // 2)
            found.append(rungs + generator.integers(0, free - rungs.max(axis=0)))
        return np.concatenate(found).astype(np.int32)

    def _rows(
        self, model: Model, layers: dict[str, ModelLayer], images: Array, block: Block
    ) -> dict[tuple[int, int], Array]:
        """Return what probes may read, by layer and readout: (images, features)."""
        index = {name: i for i, name in enumerate(layers)}
        rows: dict[tuple[int, int], list[Array]] = {}
        done = 0
        for piece in model.stream(images, layers):
            for name, maps in piece.maps.items():
                held = {"pooled": maps.reshape(len(maps), -1)}
                if is_map(layers[name]):
                    held["placed"] = cosine_sums(maps, self.waves)
                    held["pooled"] = held["placed"][:, : maps.shape[-1]]  # wave 0 is the mean
                for readout, values in held.items():
                    key = index[name], _READOUTS.index(readout)
                    rows.setdefault(key, []).append(values.astype(np.float64))
            block.tick(max(0, piece.stop - done))  # layers may come in several groups
            done = max(done, piece.stop)
        return {key: np.concatenate(parts) for key, parts in rows.items()}

    def combine(self, model: Model, parts: Iterable[Part]) -> PositionSection:
        """Return the numbers of all parts."""
        found = list(parts)
        if not found:
            raise ArgumentError("audit: position: there is no part to combine")
        size = max((int(part["size"][0]), int(part["size"][1])) for part in found)
        places = np.concatenate([part["places"] for part in found]).astype(np.float64)
        answers = np.concatenate([part["read"] for part in found], axis=2)
        layers = _watched(model.layers_at(*size))
        chance = np.linalg.norm(_apart(places[:, : self.places]), axis=2)
        read_from = [[self._readout(places, answer) for answer in of_layer] for of_layer in answers]
        return PositionSection(
            len(places),
            size,
            _diameter(size),
            self.places,
            float(chance.mean()),
            tuple(
                LayerPosition(layer.name, layer.kind, layer.task, placed, pooled)
                for layer, (placed, pooled) in zip(layers.values(), read_from, strict=True)
                if pooled is not None
            ),
        )

    def _readout(self, places: Array, answers: Array) -> Readout | None:
        """Compare where discs were with where they are read, (images, places, 2)."""
        fine = np.isfinite(answers).all(axis=(1, 2))
        if not fine.any():
            return None
        places, answers = places[fine], answers[fine].astype(np.float64)
        where, told = places[:, : self.places], answers[:, : self.places]
        missed = told - where
        return Readout(
            float(1 - (missed**2).sum() / (_apart(where) ** 2).sum()),
            float(np.linalg.norm(missed, axis=2).mean()),
            _curve(places[:, self.places :], answers[:, self.places :]),
        )


def _apart(places: Array) -> Array:
    """Return how far places are from the mean of their image."""
    return np.asarray(places - places.mean(axis=1, keepdims=True))


def _curve(places: Array, answers: Array) -> Curve:
    """Count, for all pairs of a ladder along each axis, how often their order is read rightly."""
    shape = (len(places), _LADDERS, _RUNGS, 2)
    first, second = np.triu_indices(_RUNGS, 1)
    apart, told = (
        each[:, :, second] - each[:, :, first]
        for each in (places.reshape(shape), answers.reshape(shape))
    )
    # Two that are read at the same place up to rounding are told apart by a coin.
    right = np.where(np.abs(told) < 1e-4, 0.5, np.sign(told) == np.sign(apart))
    distance = np.abs(apart).astype(int)
    distances = [int(each) for each in np.unique(distance) if each > 0]
    return Curve(
        tuple(distances),
        tuple(float(right[distance == each].mean()) for each in distances),
        tuple(int((distance == each).sum()) for each in distances),
    )


def _watched(layers: tuple[ModelLayer, ...]) -> dict[str, ModelLayer]:
    """Return all layers but those that are a map in another shape."""
    hidden = disguised(layers)
    return {layer.name: layer for layer in layers if layer.name not in hidden}


def _diameter(size: tuple[int, int]) -> int:
    return 2 * max(1, min(size) // 16) + 1


def _free(size: tuple[int, int]) -> Array:
    """Return at how many places a disc fits, down and across."""
    free = np.array(size) - _diameter(size) + 1
    if min(free) < 2:
        raise ShapeError(
            f"audit: position: images must be at least 4 × 4 pixels, got {size[0]} × {size[1]}: "
            "there is no place to tell from another"
        )
    return free


def _drawn(image: Array, places: Array) -> Array:
    """Return the image with a disc at each of the places: white, or black on a bright image."""
    diameter = _diameter((image.shape[0], image.shape[1]))
    disc = features.circle(diameter, diameter // 2, filled=True)[..., None] > 0
    drawn = np.repeat(image[None], len(places), axis=0)
    for one, (y, x) in zip(drawn, places, strict=True):
        under = one[y : y + diameter, x : x + diameter]
        under[...] = np.where(disc, image.dtype.type(image.mean() < 0.5), under)
    return drawn
