"""How often a model's answer stays the same where the image is moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.auditing import protocols
from attar.auditing.measure import Block, Part
from attar.auditing.predictions import CLASSIFIES, UNUSABLE, ByClass, ByNumber, Comparison
from attar.auditing.protocols import PROTOCOLS, Protocol, ProtocolShift, trials
from attar.auditing.shift_section import ModeShift, ShiftSection
from attar.auditing.shift_tally import ClassTally, OutputTally
from attar.auditing.shifts import FRACTIONAL, MODES, Grid, Mode, moved, window
from attar.errors import ArgumentError
from attar.models import Model

__all__ = ["Shift"]

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Shift:
    """The measure "shift": docs/metrics.md defines what comes of it.

    Parameters
    ----------
    modes : tuple of str
        Kinds of shifts: "crop", "zero", "reflect", "circular" by whole pixels, "linear" and
        "fourier" by fractions; and protocols of papers: "zhang2019", "aps", "lps".
    reach : int
        Shifts by whole pixels go so far, up, down, left and right.
    fine_reach, step : float
        Shifts by fractions go so far, by multiples of `step`.
    budget : int
        Forward passes for one image and mode, at least 2. A grid that needs more is not tried as
        a whole: shifts are drawn for each image.
    seed : int
    fragile : int
        How many of the images that change most are told of.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> import attar
    >>> from attar import layers
    >>> model = attar.open_model(
    ...     attar.Sequential([
    ...         layers.Input((8, 8, 3)), layers.GlobalAveragePooling2D(), layers.Softmax(),
    ...     ])
    ... )
    >>> measure = Shift(modes=("circular", "zero"), reach=1)
    >>> images = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    >>> section = measure.combine(model, [measure.work(model, Block(images, None, 0))])
    >>> section.mode("circular").classes.consistency.value
    1.0
    """

    name: ClassVar[str] = "shift"

    modes: tuple[str, ...] = MODES
    reach: int = 3
    fine_reach: float = 1.0
    step: float = 0.5
    budget: int = 49
    seed: int = 0
    fragile: int = 8

    def __post_init__(self) -> None:
        known = (*MODES, *PROTOCOLS)
        wrong = [mode for mode in self.modes if mode not in known]
        if wrong or not self.modes or len(set(self.modes)) < len(self.modes):
            raise ArgumentError(
                f"shift: modes must be different ones of {', '.join(known)}, got {self.modes!r}"
            )
        for name, least in (("reach", 1), ("budget", 2), ("seed", 0), ("fragile", 0)):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < least:
                raise ArgumentError(
                    f"shift: {name} must be an int of at least {least}, got {value!r}"
                )
        if not 0 < self.step <= self.fine_reach < float("inf"):
            raise ArgumentError(
                "shift: step and fine_reach must be numbers, 0 < step <= fine_reach, got "
                f"{self.step!r} and {self.fine_reach!r}"
            )

    def settings(self) -> dict[str, Any]:
        """Return everything that its answers depend on beside model and images, for JSON."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return found | {"modes": list(self.modes)}

    def passes(self, model: Model) -> int:
        """Return how many forward passes it makes for one image."""
        papers = self._protocols if _classifies(model) else ()
        of_papers = sum(protocols.passes(protocol, model.input) for protocol in papers)
        unmoved = len({mode == "crop" for mode in self._modes})  # for crops, and for all others
        moved = sum(self._grid(mode).tried(self.budget) for mode in self._modes)
        return of_papers + unmoved + moved

    def work(self, model: Model, block: Block) -> Part:
        """Return what it finds in a block: small arrays, with a row for each image.

        Where the output names classes: ``MODE_class`` and ``MODE_top`` of the unmoved image,
        ``MODE_classes`` and ``MODE_tops`` of each shift, tops being the probability of the class
        that the unmoved image has; elsewhere ``MODE_cosine`` and ``MODE_relative``.
        ``MODE_cells`` is what was tried, and ``PROTOCOL_MODE`` whether pairs agree.
        """
        count = len(block.images)
        part: Part = {
            "index": np.arange(block.first, block.first + count),
            "size": np.array(block.images.shape[1:3]),
        }
        if block.labels is not None:
            part["labels"] = np.asarray(block.labels, np.int64)
        # Of maps, which may be large, the unmoved one of a single image is held.
        held = 1 if model.output_kind == "map" else count
        found = [self._modes_of(model, some) for some in _cut(block, held)]
        part |= {name: np.concatenate([each[name] for each in found]) for name in found[0]}
        if _classifies(model):
            part |= protocols.try_all(model, block, self._protocols, self.seed)
        return part

    def combine(self, model: Model, parts: Iterable[Part]) -> ShiftSection:
        """Return the numbers of all parts.

        Raises
        ------
        ArgumentError
            There is no part.
        """
        kind: type[ClassTally | OutputTally] = ClassTally if _classifies(model) else OutputTally
        tallies = [kind(mode, self._grid(mode), self.fragile, self.seed) for mode in self._modes]
        papers = [
            trial
            for protocol in (self._protocols if _classifies(model) else ())
            for trial in trials(protocol, model.input)
        ]
        agreed: dict[str, list[Array]] = {trial.key: [] for trial in papers}
        images = unusable = 0
        sizes: set[tuple[int, ...]] = set()
        for part in parts:
            images += len(part["index"])
            sizes.add(tuple(part["size"].tolist()))
            usable = np.ones(len(part["index"]), bool)
            for tally in tallies:
                usable &= tally.add(part)
            for key, found in agreed.items():
                found.append(part[key])
                usable &= (part[key] != UNUSABLE).all(axis=1)
            unusable += int((~usable).sum())
        if not images:
            raise ArgumentError("shift: there is no part to combine")
        return ShiftSection(
            kind=model.output_kind,
            images=images,
            unusable=unusable,
            seed=self.seed,
            modes=tuple(self._mode_shift(model, tally, sizes) for tally in tallies),
            protocols=tuple(
                ProtocolShift.of(trial, np.concatenate(agreed[trial.key]), self.seed)
                for trial in papers
            ),
        )

    @property
    def _modes(self) -> tuple[Mode, ...]:
        return tuple(mode for mode in MODES if mode in self.modes)

    @property
    def _protocols(self) -> tuple[Protocol, ...]:
        return tuple(protocol for protocol in PROTOCOLS if protocol in self.modes)

    def _reach(self, mode: Mode) -> int:
        return math.ceil(self.fine_reach) if mode in FRACTIONAL else self.reach

    def _grid(self, mode: Mode) -> Grid:
        if mode in FRACTIONAL:
            return Grid.reaching(self.fine_reach, self.step)
        return Grid.reaching(self.reach)

    def _modes_of(self, model: Model, block: Block) -> Part:
        """Return what every mode finds in images whose unmoved answers are held together."""
        part: Part = {}
        count = len(block.images)
        compare: Callable[..., Comparison] = ByClass if _classifies(model) else ByNumber
        comparisons: dict[bool, Comparison] = {}
        for mode in self._modes:
            grid, crops = self._grid(mode), mode == "crop"
            cells = np.stack(
                [grid.chosen(self.budget, self.seed, block.first + i) for i in range(count)]
            )
            images = moved(model.input, block.images, mode, self._reach(mode))
            if crops not in comparisons:  # unmoved, the others are all alike
                comparisons[crops] = compare(model, block, images)
            comparison = comparisons[crops]
            which = np.repeat(np.arange(count), cells.shape[1])
            found = comparison.moved(images, which, grid.shifts[cells.ravel()])
            part[f"{mode}_cells"] = cells
            part |= {f"{mode}_{name}": each for name, each in comparison.unmoved.items()}
            part |= {f"{mode}_{name}": each.reshape(cells.shape) for name, each in found.items()}
        return part

    def _mode_shift(
        self, model: Model, tally: ClassTally | OutputTally, sizes: set[tuple[int, ...]]
    ) -> ModeShift:
        mode, grid = tally.mode, self._grid(tally.mode)
        seen = {window(model.input, size, mode, self.reach) for size in sizes}
        size = seen.pop() if len(seen) == 1 else None
        margin = 2 * self.reach if mode == "crop" else 0
        resized = None
        if size is not None and sizes != {(size[0] + margin, size[1] + margin)}:
            resized = (size[0] + margin, size[1] + margin)
        exhaustive = grid.exhaustive(self.budget)
        return ModeShift(
            mode=mode,
            offsets=grid.offsets,
            shifts=grid.tried(self.budget),
            exhaustive=exhaustive,
            size=size,
            resized=resized,
            images=tally.images,
            classes=tally.numbers(exhaustive) if isinstance(tally, ClassTally) else None,
            output=tally.numbers() if isinstance(tally, OutputTally) else None,
            fragile=tuple(tally.fragile),
        )


def _classifies(model: Model) -> bool:
    return model.output_kind in CLASSIFIES


def _cut(block: Block, size: int) -> Iterator[Block]:
    for start in range(0, len(block.images), size):
        yield block._replace(
            images=block.images[start : start + size], labels=None, first=block.first + start
        )
