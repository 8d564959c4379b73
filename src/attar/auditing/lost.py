"""Where it is lost: what each layer adds to the error under shift, and by what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np

from attar import features
from attar.auditing.blame import Judged, blame, known
from attar.auditing.measure import Array, Block, Part
from attar.auditing.places import Line, Moved, disguised, is_map, lines_of
from attar.auditing.plain import LayeredSection
from attar.errors import ArgumentError
from attar.models import Model
from attar.models.layers import ModelLayer

__all__ = ["Errors", "LayerLoss", "Lost", "LostSection"]

Shift: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[slice, slice]
Mode: TypeAlias = Literal["zero", "replicate", "reflect", "circular"]

_COMPARED = ("invariance", "equivariance")
_REGIONS = ("whole", "interior", "border")
_CAUSES = ("aliasing", "padding", "position", "other", "unknown")
_SUMS = ("relative_l2", "cosine", "images")


@dataclass(frozen=True)
class Errors:
    """How far two maps are apart, mean over images and shifts; None where there is nothing.

    Attributes
    ----------
    whole, interior, border : float or None
        Relative L2, 0 to 2.
    whole_cosine, interior_cosine, border_cosine : float or None
        1 − cosine, 0 to 2.
    """

    whole: float | None
    interior: float | None
    border: float | None
    whole_cosine: float | None
    interior_cosine: float | None
    border_cosine: float | None


@dataclass(frozen=True)
class LayerLoss:
    """What becomes of a layer's answer when the image moves. docs/metrics.md has the formulas.

    Attributes
    ----------
    name, kind, task : str
    places : (int, int) or None
        Height and width of its map; None of a vector.
    stride : (int, int) or None
        In pixels of the image.
    interior : float or None
        The fraction of the map that sees neither padding nor what came in, mean over shifts.
    invariance : Errors
        The answer against the one before the shift, place by place.
    equivariance : Errors or None
        The map against the one before the shift, moved along; None of a vector.
    aliasing, padding : float or None
        Relative L2 that the layer has by stride, and by padding; None where they cannot be told
        apart.
    split : {"place", "shift"} or None
        Whether these two are told apart by interior and border, or by which shifts are multiples of
        the stride.
    position : float or None
        Where a map becomes a vector: the vector's invariance error less the map's equivariance
        error. Negative where the vector is steadier than the map.
    error : float or None
        What counts: equivariance of a map, invariance of a vector. None of a map of which neither
        says what is lost, and of a map in disguise, as behind `Flatten`.
    added : float or None
        `error` less the largest error among the layers it takes. Of a filter or a sum it is the
        error behind its normalization and activation, whether these are layers of their own or not.
    cause : {"aliasing", "padding", "position", "other", "unknown"} or None
        What most of `added` is due to, where it is more than nothing. Unknown where aliasing and
        padding cannot be told apart.
    part_of : str or None
        The filter or sum with which this normalization or activation is counted: `added` is there.
    by_shift : tuple of (float or None)
        `error` for each shift.
    """

    name: str
    kind: str
    task: str
    places: tuple[int, int] | None
    stride: tuple[int, int] | None
    interior: float | None
    invariance: Errors
    equivariance: Errors | None
    aliasing: float | None
    padding: float | None
    split: str | None
    position: float | None
    error: float | None
    added: float | None
    cause: str | None
    part_of: str | None
    by_shift: tuple[float | None, ...]


@dataclass(frozen=True)
class LostSection(LayeredSection[LayerLoss]):
    """Where shifts of the image are lost, layer by layer.

    Attributes
    ----------
    images : int
    size : (int, int)
        Of the images as the model sees them, pixels.
    mode : str
        What came in at the border.
    shifts : tuple of (int, int)
        (dy, dx) in pixels.
    layers : tuple of LayerLoss
    costliest : str or None
        The layer that adds most; None where none adds anything.
    causes : dict of str to float
        How much all layers add, by cause; relative L2.
    """

    images: int
    size: tuple[int, int]
    mode: str
    shifts: tuple[Shift, ...]
    layers: tuple[LayerLoss, ...]
    costliest: str | None
    causes: dict[str, float]


class Lost:
    """The measure "lost": every layer against itself, under shift.

    Parameters
    ----------
    distances : sequence of int
        In pixels. Those that are more than a quarter of an image's smaller side are left out for
        it, but for the smallest.
    mode : {"circular", "zero", "replicate", "reflect"}
        What comes in at the border. Of a circular shift nothing is lost: what differs is the
        model's doing.

    Examples
    --------
    >>> import attar
    >>> from attar import layers
    >>> model = attar.open_model(
    ...     attar.Sequential([
    ...         layers.Input((16, 16, 1)),
    ...         layers.Conv2D(2, 3, name="filter"),
    ...         layers.MaxPool2D(name="condense"),
    ...     ])
    ... )
    >>> measure = Lost(distances=(1, 2))
    >>> images = np.stack([features.car(16, facing=side)[..., None] for side in ("left", "right")])
    >>> block = Block(images, None, 0)
    >>> section = measure.combine(model, [measure.work(model, block)])
    >>> section.costliest, section.layer("condense").cause, section.layer("filter").error < 1e-6
    ('condense', 'aliasing', True)
    """

    name: ClassVar[str] = "lost"

    def __init__(
        self, distances: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8), mode: Mode = "circular"
    ) -> None:
        whole = all(isinstance(each, int) and each > 0 for each in distances)
        if not distances or not whole or len(set(distances)) < len(distances):
            raise ArgumentError(
                f"audit: lost: distances must be different whole numbers of at least 1, got "
                f"{tuple(distances)!r}"
            )
        if mode not in get_args(Mode):
            raise ArgumentError(
                f"audit: lost: mode must be one of {', '.join(get_args(Mode))}, got {mode!r}"
            )
        self.distances = tuple(sorted(distances))
        self.mode = mode
        self.shifts: tuple[Shift, ...] = tuple(
            shift for by in self.distances for shift in ((by, 0), (0, by), (by, by))
        )

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        return {"version": 1, "distances": list(self.distances), "mode": self.mode}

    def passes(self, model: Model) -> int:
        """Return how many forward passes it makes for one image."""
        return 1 + len(self.shifts)

    def _used(self, size: tuple[int, int]) -> list[int]:
        """Return which shifts are small enough for images of a size."""
        most = max(min(size) // 4, self.distances[0])
        return [i for i, shift in enumerate(self.shifts) if max(shift) <= most]

    def work(self, model: Model, block: Block) -> Part:
        """Return sums over the images of a block, by layer, shift, comparison and region."""
        images = model.input.fit("audit", block.images)
        size = (images.shape[1], images.shape[2])
        layers = model.layers_at(*size)
        used = self._used(size)
        views = {layer.name: lines_of(layer, size) for layer in layers}
        sums = np.zeros((len(layers), len(self.shifts), *map(len, (_COMPARED, _REGIONS, _SUMS))))
        index = {layer.name: i for i, layer in enumerate(layers)}
        for image in images:
            moved = np.stack(
                [image, *(features.shift(image, *self.shifts[s], mode=self.mode) for s in used)]
            )
            still: dict[str, Array] = {}
            done = 0
            for piece in model.stream(moved, [*index]):
                for name, maps in piece.maps.items():
                    if piece.start == 0:
                        still[name] = np.array(maps[0])  # a copy: the piece's memory is let go
                    for k in range(max(1, piece.start), piece.stop):
                        s = used[k - 1]
                        sums[index[name], s] += _compared(
                            still[name], maps[k - piece.start], views[name], self.shifts[s]
                        )
                block.tick(max(0, piece.stop - done))  # layers may come in several groups
                done = max(done, piece.stop)
            block.tick(len(self.shifts) - len(used))  # what this size of image spares
        return {"sums": sums, "images": np.array(len(images)), "size": np.array(size)}

    def combine(self, model: Model, parts: Iterable[Part]) -> LostSection:
        """Return the numbers of all parts."""
        found = list(parts)
        if not found:
            raise ArgumentError("audit: lost: there is no part to combine")
        sums = np.sum([part["sums"] for part in found], axis=0)
        size = max((int(part["size"][0]), int(part["size"][1])) for part in found)
        layers = model.layers_at(*size)
        used = self._used(size)
        losses = _losses(layers, sums[:, used], [self.shifts[s] for s in used], size)
        adding = [each for each in losses if each.cause is not None]
        costliest = max(adding, key=lambda each: each.added or 0.0, default=None)
        causes = dict.fromkeys(_CAUSES, 0.0)
        for each in adding:
            causes[str(each.cause)] += each.added or 0.0
        return LostSection(
            sum(int(part["images"]) for part in found),
            size,
            self.mode,
            tuple(self.shifts[s] for s in used),
            losses,
            None if costliest is None else costliest.name,
            causes,
        )


# ------------------------------------------------------------------------------ of one image


def _compared(still: Array, moved: Array, lines: tuple[Line, Line] | None, shift: Shift) -> Array:
    """Return the sums of one image: [invariance, equivariance] × regions × [L2, cosine, 1]."""
    found = np.zeros((len(_COMPARED), len(_REGIONS), len(_SUMS)))
    if lines is None or still.ndim != 3:
        flat = still.reshape(1, 1, -1), moved.reshape(1, 1, -1)
        found[0] = _by_region(*flat, None)
        return found
    kept, (down, across) = _where(lines, shift)
    found[0] = _by_region(still, moved, kept)
    before = across.before(down.before(still, 0), 1)
    behind = moved[down.start : down.stop, across.start : across.stop]
    found[1] = _by_region(before, behind, (_inside(down), _inside(across)))
    return found


@lru_cache(maxsize=4096)  # the same for every image
def _where(lines: tuple[Line, Line], shift: Shift) -> tuple[Box, tuple[Moved, Moved]]:
    """Return the clean places of a map that stays, and where one that moves along came from."""
    (top, left), (dy, dx) = lines, shift
    kept = slice(*top.kept(dy)), slice(*left.kept(dx))
    return kept, (top.moved(dy), left.moved(dx))


def _inside(moved: Moved) -> slice:
    return slice(moved.inside[0] - moved.start, moved.inside[1] - moved.start)


def _by_region(before: Array, behind: Array, inside: Box | None) -> Array:
    """Return relative L2, 1 − cosine and 1, for the whole, the inside of a box, and the rest."""
    parts = (behind - before, before, behind)
    planes = [np.einsum("hwc,hwc->hw", each, each).astype(np.float64) for each in parts]
    whole = [float(plane.sum()) for plane in planes]
    found = np.zeros((len(_REGIONS), len(_SUMS)))
    found[0] = _distances(*whole)
    if inside is not None:
        found[1] = _distances(*(float(plane[inside].sum()) for plane in planes))
        rim = np.ones(planes[0].shape, bool)
        rim[inside] = False
        found[2] = _distances(*(float(plane[rim].sum()) for plane in planes))
    return found


def _distances(apart: float, before: float, behind: float) -> tuple[float, float, float]:
    """Return relative L2 and 1 − cosine by squared norms: of the difference, and of the two.

    Examples
    --------
    >>> _distances(2.0, 1.0, 1.0)[:2], _distances(0.0, 0.0, 0.0)
    ((1.4142135623730951, 1.0), (0.0, 0.0, 0.0))
    """
    both = (before + behind) / 2
    if not np.isfinite(apart + both) or both == 0:
        return 0.0, 0.0, 0.0  # nothing is there, or no number: it does not count
    cosine = (both - apart / 2) / np.sqrt(before * behind) if before * behind else 0.0
    return float(np.sqrt(apart / both)), max(0.0, float(1 - cosine)), 1.0


# ------------------------------------------------------------------------------ of all images


def _losses(
    layers: tuple[ModelLayer, ...], sums: Array, shifts: list[Shift], size: tuple[int, int]
) -> tuple[LayerLoss, ...]:
    lines = [lines_of(layer, size) for layer in layers]
    hidden = disguised(layers)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[..., :2] / sums[..., 2:]  # layer, shift, comparison, region, distance
    judged = []
    for layer, of, mean in zip(layers, lines, means, strict=True):
        aligned = np.array([of is not None and _is_aligned(of, shift) for shift in shifts], bool)
        by_shift = mean[:, 0 if of is None else 1, 0, 0]
        if layer.name in hidden or (of is None and is_map(layer)):
            by_shift = np.full(len(shifts), np.nan)
        judged.append(Judged(layer, None if of is None else mean[:, 1, :, 0], aligned, by_shift))
    blamed = blame(judged)
    return tuple(
        LayerLoss(
            name=layer.name,
            kind=layer.kind,
            task=layer.task,
            places=None if of is None else (of[0].places, of[1].places),
            stride=None if of is None else (of[0].stride, of[1].stride),
            interior=None if of is None else _interior(of, shifts),
            invariance=_errors(mean[:, 0]),
            equivariance=None if of is None else _errors(mean[:, 1]),
            by_shift=tuple(known(each) for each in one.by_shift),
            **found._asdict(),
        )
        for layer, of, mean, one, found in zip(layers, lines, means, judged, blamed, strict=True)
    )


def _is_aligned(lines: tuple[Line, Line], shift: Shift) -> bool:
    return all(
        line.stride == 0 or by % line.stride == 0 for line, by in zip(lines, shift, strict=True)
    )


def _interior(lines: tuple[Line, Line], shifts: list[Shift]) -> float | None:
    if any(line.field is None for line in lines):
        return None
    parts = []
    for shift in shifts:
        (top, bottom), (left, right) = (
            line.moved(by).inside for line, by in zip(lines, shift, strict=True)
        )
        parts.append((bottom - top) * (right - left) / (lines[0].places * lines[1].places))
    return float(np.mean(parts))


def _errors(mean: Array) -> Errors:
    """Return the means over shifts of (shift, region, distance)."""
    numbers = [
        known(_mean(mean[:, region, distance])) for distance in (0, 1) for region in range(3)
    ]
    return Errors(*numbers)


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
