"""The numbers of the measure "shift". docs/metrics.md defines each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from attar.auditing.intervals import Estimate
from attar.auditing.plain import PlainSection
from attar.auditing.protocols import ProtocolShift

__all__ = [
    "Accuracy",
    "ClassShift",
    "Fragile",
    "ModeShift",
    "OutputShift",
    "Radii",
    "ShiftSection",
    "Table",
]

Table: TypeAlias = tuple[tuple[float | None, ...], ...]
"""A number for each shift: a row for each dy and a column for each dx, as in `ModeShift.offsets`.
None where no image was moved so."""


@dataclass(frozen=True)
class Radii:
    """How far images can be moved, by any shift up to there, and keep their class.

    Attributes
    ----------
    pixels : tuple of float
        The radii that there are: of max(abs(dy), abs(dx)).
    images : tuple of int
        How many images keep their class up to each of them and no further.
    mean : float
        Pixels.
    """

    pixels: tuple[float, ...]
    images: tuple[int, ...]
    mean: float


@dataclass(frozen=True)
class Accuracy:
    """How often the class is right, of the images that have a label.

    Attributes
    ----------
    images : int
    unmoved : Estimate
    worst : Estimate
        Images whose class is right unmoved and at every shift.
    map : Table
        For each shift.
    worst_shift : (float, float) or None
        The shift (dy, dx) at which fewest are right. None where images were tried with different
        shifts.
    at_worst_shift : float or None
    """

    images: int
    unmoved: Estimate
    worst: Estimate
    map: Table
    worst_shift: tuple[float, float] | None
    at_worst_shift: float | None


@dataclass(frozen=True)
class ClassShift:
    """How the class changes, and the probability of the class that the unmoved image has.

    Attributes
    ----------
    consistency : Estimate
        Fraction of the shifts that keep the class, mean over images.
    pairwise : Estimate or None
        Fraction of the pairs of shifts that have the same class, mean over images. None where
        there is one shift alone.
    always : Estimate
        Fraction of images that keep their class at every shift.
    radii : Radii
    wobble_mean, wobble_largest : float
        Of the change of the probability, absolute, 0 to 1: over all shifts and images.
    wobble_worst : float
        Mean over images of the largest change of each.
    consistency_map, wobble_map : Table
        Both for each shift, mean over images.
    accuracy : Accuracy or None
        None where no image has a label.
    """

    consistency: Estimate
    pairwise: Estimate | None
    always: Estimate
    radii: Radii
    wobble_mean: float
    wobble_largest: float
    wobble_worst: float
    consistency_map: Table
    wobble_map: Table
    accuracy: Accuracy | None


@dataclass(frozen=True)
class OutputShift:
    """How an answer changes that names no class: a vector or a map, compared number by number.

    Attributes
    ----------
    cosine_mean, cosine_least : float
        Of the answer with that to the unmoved image, -1 to 1.
    relative_mean, relative_largest : float
        Length of the difference by the root mean square of both lengths, 0 to 2.
    cosine_map, relative_map : Table
        For each shift, mean over images.
    """

    cosine_mean: float
    cosine_least: float
    relative_mean: float
    relative_largest: float
    cosine_map: Table
    relative_map: Table


@dataclass(frozen=True)
class Fragile:
    """One of the images that change most.

    Attributes
    ----------
    index : int
        Among all images, from 0.
    label : int or None
    predicted : int or None
        The class of the unmoved image. None where the output names none.
    score : float
        Fraction of the shifts that keep the class; without classes, the mean cosine.
    classes : tuple of tuple of (int or None), or None
        The class at each shift.
    change : Table
        Change of the probability of `predicted` at each shift, -1 to 1; without classes, the
        relative change of the answer.
    """

    index: int
    label: int | None
    predicted: int | None
    score: float
    classes: tuple[tuple[int | None, ...], ...] | None
    change: Table


@dataclass(frozen=True)
class ModeShift:
    """The numbers of one kind of shift.

    Attributes
    ----------
    mode : {"crop", "zero", "reflect", "circular", "linear", "fourier"}
    offsets : tuple of float
        The grid, in pixels that the model sees: each dy and each dx is one of them.
    shifts : int
        Tried of each image, no shift not counted.
    exhaustive : bool
        Whether these are all of the grid.
    size : (int, int) or None
        What the model saw. None where images had different sizes.
    resized : (int, int) or None
        To what size images were brought before they were moved; None if they were not.
    images : int
    classes : ClassShift or None
        None where the output names no class, and where there was no image.
    output : OutputShift or None
        Where the output names no class.
    fragile : tuple of Fragile
        The worst first.
    """

    mode: str
    offsets: tuple[float, ...]
    shifts: int
    exhaustive: bool
    size: tuple[int, int] | None
    resized: tuple[int, int] | None
    images: int
    classes: ClassShift | None
    output: OutputShift | None
    fragile: tuple[Fragile, ...]


@dataclass(frozen=True)
class ShiftSection(PlainSection):
    """What the measure "shift" found.

    Attributes
    ----------
    kind : {"probabilities", "logits", "map", "vector"}
        Of the output: the first two name classes.
    images : int
        That were measured.
    unusable : int
        Of these, those that a mode or protocol left out, since the model answered with NaN or
        infinity.
    seed : int
    modes : tuple of ModeShift
    protocols : tuple of ProtocolShift
    """

    kind: str
    images: int
    unusable: int
    seed: int
    modes: tuple[ModeShift, ...]
    protocols: tuple[ProtocolShift, ...]

    @property
    def worst(self) -> ModeShift | None:
        """The mode with the lowest consistency; None where there are no classes."""
        known = [mode for mode in self.modes if mode.classes is not None]
        return min(known, key=_consistency, default=None)

    def mode(self, name: str) -> ModeShift | None:
        """Return the numbers of a mode; None if it was not measured."""
        return next((mode for mode in self.modes if mode.mode == name), None)


def _consistency(mode: ModeShift) -> float:
    assert mode.classes is not None
    return mode.classes.consistency.value
