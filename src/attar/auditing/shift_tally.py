"""Numbers of the measure "shift", gathered part by part: what is kept does not grow with shifts."""

from __future__ import annotations

from heapq import nsmallest
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.auditing.intervals import Estimate, estimate
from attar.auditing.measure import Part
from attar.auditing.predictions import UNUSABLE
from attar.auditing.shift_section import (
    Accuracy,
    ClassShift,
    Fragile,
    OutputShift,
    Radii,
)
from attar.auditing.shifts import Grid, Mode

__all__ = ["ClassTally", "OutputTally"]

Array: TypeAlias = NDArray[Any]


class _Sums:
    """Sums over images for each cell of a grid."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.sums, self.counts = np.zeros(grid.cells), np.zeros(grid.cells, np.int64)

    def add(self, cells: Array, values: Array) -> None:
        """Add numbers, (n, S), to their cells, (n, S)."""
        flat = cells.ravel()
        self.sums += np.bincount(flat, values.ravel(), self._grid.cells)
        self.counts += np.bincount(flat, minlength=self._grid.cells)

    @property
    def means(self) -> Array:
        """The mean of each cell, NaN where there is none."""
        means: Array = np.divide(
            self.sums, self.counts, out=np.full(len(self.sums), np.nan), where=self.counts > 0
        )
        return means

    @property
    def mean(self) -> float:
        """The mean of all numbers."""
        return float(self.sums.sum() / self.counts.sum())


class _Base:
    def __init__(self, mode: Mode, grid: Grid, fragile: int, seed: int) -> None:
        self.mode, self._grid, self._most, self._seed = mode, grid, fragile, seed
        self.images = 0
        self._fragile: list[tuple[float, float, Fragile]] = []

    @property
    def fragile(self) -> tuple[Fragile, ...]:
        """The images that change most, the worst first."""
        return tuple(one for *_, one in self._fragile)

    def _keep(self, candidates: list[tuple[float, float, Fragile]]) -> None:
        """Keep those with the lowest numbers, and of those that are alike the first."""
        self._fragile = nsmallest(
            self._most,
            [*self._fragile, *candidates],
            key=lambda one: (one[0], one[1], one[2].index),
        )

    def _spread(self, cells: Array, values: Array) -> Array:
        """Return the numbers of some cells among all, (cells,), NaN elsewhere."""
        whole = np.full(self._grid.cells, np.nan)
        whole[cells] = values
        return whole

    def _estimate(self, values: list[Array]) -> Estimate | None:
        return estimate(np.concatenate(values), self._seed)


class ClassTally(_Base):
    """Of outputs that name classes."""

    def __init__(self, mode: Mode, grid: Grid, fragile: int, seed: int) -> None:
        super().__init__(mode, grid, fragile, seed)
        self._same, self._wobble, self._right = _Sums(grid), _Sums(grid), _Sums(grid)
        # Of each image:
        self._consistency: list[Array] = []
        self._pairwise: list[Array] = []
        self._radii: list[Array] = []
        self._worst_wobble: list[Array] = []
        self._right_unmoved: list[Array] = []
        self._right_always: list[Array] = []

    def add(self, part: Part) -> Array:
        """Take a part; return for each of its images whether it was usable, (n,)."""
        mode = self.mode
        unmoved, moved = part[f"{mode}_class"], part[f"{mode}_classes"]
        usable: Array = (unmoved != UNUSABLE) & (moved != UNUSABLE).all(axis=1)
        unmoved, moved = unmoved[usable], moved[usable]
        cells = part[f"{mode}_cells"][usable]
        before, behind = part[f"{mode}_top"][usable], part[f"{mode}_tops"][usable]
        change = behind.astype(np.float64) - before[:, None]
        same = moved == unmoved[:, None]
        self.images += len(unmoved)
        self._same.add(cells, same)
        self._wobble.add(cells, np.abs(change))
        self._consistency.append(same.mean(axis=1))
        self._worst_wobble.append(np.abs(change).max(axis=1))
        self._radii.append(self._radius(cells, same))
        shifts = moved.shape[1]
        if shifts > 1:
            equal = (moved[:, :, None] == moved[:, None, :]).sum(axis=(1, 2))
            self._pairwise.append((equal - shifts) / (shifts * (shifts - 1)))
        labels = part.get("labels", np.full(len(usable), -1))[usable]
        self._take_labels(labels, unmoved, moved, cells)
        self._take_fragile(part["index"][usable], labels, unmoved, moved, cells, same, change)
        return usable

    def _radius(self, cells: Array, same: Array) -> Array:
        """Return the largest radius up to which every shift that was tried keeps the class."""
        levels = np.unique(self._grid.radii)
        failing = np.where(same, np.inf, self._grid.radii[cells]).min(axis=1)
        radii: Array = levels[np.searchsorted(levels, failing) - 1]
        return radii

    def _take_labels(self, labels: Array, unmoved: Array, moved: Array, cells: Array) -> None:
        known = labels >= 0
        right = moved[known] == labels[known, None]
        right_unmoved = unmoved[known] == labels[known]
        self._right.add(cells[known], right)
        self._right_unmoved.append(right_unmoved)
        self._right_always.append(right_unmoved & right.all(axis=1))

    def _take_fragile(
        self,
        indices: Array,
        labels: Array,
        unmoved: Array,
        moved: Array,
        cells: Array,
        same: Array,
        change: Array,
    ) -> None:
        # Between images that keep their class as often, by how much they wobble.
        scores, wobbles = same.mean(axis=1), np.abs(change).mean(axis=1)
        found = []
        for i in np.lexsort((-wobbles, scores))[: self._most].tolist():
            classes = self._grid.table(self._spread(cells[i], moved[i]), float(unmoved[i]))
            one = Fragile(
                index=int(indices[i]),
                label=int(labels[i]) if labels[i] >= 0 else None,
                predicted=int(unmoved[i]),
                score=float(scores[i]),
                classes=tuple(
                    tuple(None if each is None else int(each) for each in row) for row in classes
                ),
                change=self._grid.table(self._spread(cells[i], change[i]), 0.0),
            )
            found.append((one.score, -float(wobbles[i]), one))
        self._keep(found)

    def numbers(self, exhaustive: bool) -> ClassShift | None:
        """Return the numbers of all parts; None if there was no image."""
        consistency = self._estimate(self._consistency)
        always = self._estimate([each == 1 for each in self._consistency])
        if consistency is None or always is None:
            return None
        return ClassShift(
            consistency=consistency,
            pairwise=self._estimate(self._pairwise) if self._pairwise else None,
            always=always,
            radii=self._radii_of_all(),
            wobble_mean=self._wobble.mean,
            wobble_largest=float(np.concatenate(self._worst_wobble).max()),
            wobble_worst=float(np.concatenate(self._worst_wobble).mean()),
            consistency_map=self._grid.table(self._same.means, 1.0),
            wobble_map=self._grid.table(self._wobble.means, 0.0),
            accuracy=self._accuracy(exhaustive),
        )

    def _radii_of_all(self) -> Radii:
        radii = np.concatenate(self._radii)
        levels = np.unique(self._grid.radii)
        counts = [int((radii == level).sum()) for level in levels]
        return Radii(tuple(levels.tolist()), tuple(counts), float(radii.mean()))

    def _accuracy(self, exhaustive: bool) -> Accuracy | None:
        unmoved = self._estimate(self._right_unmoved)
        worst = self._estimate(self._right_always)
        if unmoved is None or worst is None:
            return None
        means = self._right.means
        worst_shift = at_worst = None
        if exhaustive:
            cell = int(np.nanargmin(means))
            worst_shift = tuple(self._grid.shifts[cell].tolist())
            at_worst = float(means[cell])
        return Accuracy(
            images=sum(map(len, self._right_unmoved)),
            unmoved=unmoved,
            worst=worst,
            map=self._grid.table(means, unmoved.value),
            worst_shift=worst_shift,
            at_worst_shift=at_worst,
        )


class OutputTally(_Base):
    """Of outputs that are compared number by number."""

    def __init__(self, mode: Mode, grid: Grid, fragile: int, seed: int) -> None:
        super().__init__(mode, grid, fragile, seed)
        self._cosine, self._relative = _Sums(grid), _Sums(grid)
        self._least, self._largest = 1.0, 0.0

    def add(self, part: Part) -> Array:
        """Take a part; return for each of its images whether it was usable, (n,)."""
        cosine = part[f"{self.mode}_cosine"].astype(np.float64)
        relative = part[f"{self.mode}_relative"].astype(np.float64)
        cells = part[f"{self.mode}_cells"]
        usable: Array = np.logical_and.reduce(np.isfinite(cosine + relative), axis=1)
        cosine, relative, cells = cosine[usable], relative[usable], cells[usable]
        if not len(cosine):
            return usable
        self.images += len(cosine)
        self._cosine.add(cells, cosine)
        self._relative.add(cells, relative)
        self._least = min(self._least, float(cosine.min()))
        self._largest = max(self._largest, float(relative.max()))
        indices = part["index"][usable]
        scores, distances = cosine.mean(axis=1), relative.mean(axis=1)
        found = []
        for i in np.lexsort((-distances, scores))[: self._most].tolist():
            one = Fragile(
                index=int(indices[i]),
                label=None,
                predicted=None,
                score=float(scores[i]),
                classes=None,
                change=self._grid.table(self._spread(cells[i], relative[i]), 0.0),
            )
            found.append((one.score, -float(distances[i]), one))
        self._keep(found)
        return usable

    def numbers(self) -> OutputShift | None:
        """Return the numbers of all parts; None if there was no image."""
        if not self.images:
            return None
        return OutputShift(
            cosine_mean=self._cosine.mean,
            cosine_least=self._least,
            relative_mean=self._relative.mean,
            relative_largest=self._largest,
            cosine_map=self._grid.table(self._cosine.means, 1.0),
            relative_map=self._grid.table(self._relative.means, 0.0),
        )
