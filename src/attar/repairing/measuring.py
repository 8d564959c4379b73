"""What a repair bought: accuracy, consistency and latency, before and after."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.auditing.images import Images
from attar.auditing.measure import Block, Part
from attar.auditing.plain import as_plain
from attar.auditing.predictions import CLASSIFIES, predicted
from attar.auditing.shift import Shift
from attar.auditing.shift_section import ShiftSection
from attar.models import Model

__all__ = ["Bought", "Measured", "classes_of", "measure"]

Array: TypeAlias = NDArray[Any]

_BLOCK = 64  # images at once
_SECONDS = 0.5  # that latency is measured for, each model
_RUNS = (5, 200)  # at least and at most


@dataclass(frozen=True)
class Measured:
    """The numbers of one model.

    Attributes
    ----------
    accuracy : float or None
        Fraction of the images whose class is right. None without labels.
    shift : ShiftSection
        What `attar.audit` measures of moved images.
    latency_ms : float
        For one image, the median: from the picture to the answer.
    """

    accuracy: float | None
    shift: ShiftSection
    latency_ms: float


@dataclass(frozen=True)
class Bought:
    """A model before and after.

    Attributes
    ----------
    before, after : Measured
    agreement : float or None
        Fraction of the images to which both give the same class. None where the output names none.
    images : int
    """

    before: Measured
    after: Measured
    agreement: float | None
    images: int

    def consistency(self) -> tuple[float, float] | None:
        """Return the mean over all ways to move images, before and after; of classes alone."""
        found = [
            [
                mode.classes.consistency.value
                for mode in each.shift.modes
                if mode.classes is not None
            ]
            for each in (self.before, self.after)
        ]
        if not all(found):
            return None
        return float(np.mean(found[0])), float(np.mean(found[1]))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain: dict[str, Any] = as_plain(self)
        return plain


def measure(
    before: Model,
    after: Model,
    images: Images,
    labels: Array | None,
    *,
    modes: Sequence[str],
    reach: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Bought:
    """Measure both models with the same images, moved alike.

    Parameters
    ----------
    before, after : Model
    images : Images
    labels : ndarray of int64, (N,), optional
    modes, reach, seed
        As of the measure "shift".
    progress : callable (done, total), optional
        Called with forward passes, of both models together.

    Raises
    ------
    ImageError (a ValueError)
        A picture cannot be read.
    """
    shift = Shift(modes=tuple(modes), reach=reach, budget=(2 * reach + 1) ** 2, seed=seed)
    models = (before, after)
    done, total = 0, len(images) * sum(map(shift.passes, models))

    def tick(passes: int) -> None:
        nonlocal done
        done += passes
        if progress is not None:
            progress(done, total)

    parts: list[list[Part]] = [[], []]
    classes: list[list[Array]] = [[], []]
    for block in _blocks(images, labels, tick):
        for i, model in enumerate(models):
            parts[i].append(shift.work(model, block))
            if before.output_kind in CLASSIFIES:
                found = predicted(model.predict(block.images), model.output_kind)
                classes[i].append(found.classes)
    latencies = _latencies(models, images.read(0)[None])
    answers = [np.concatenate(each) if each else None for each in classes]
    measured = [
        Measured(
            None if labels is None or found is None else float(np.mean(found == labels)),
            shift.combine(model, some),
            latency,
        )
        for model, some, found, latency in zip(models, parts, answers, latencies, strict=True)
    ]
    one, other = answers
    agreement = None if one is None or other is None else float(np.mean(one == other))
    return Bought(measured[0], measured[1], agreement, len(images))


def classes_of(model: Model, images: Images) -> int | None:
    """Return how many classes a model tells apart; None where its output is no classes."""
    if model.output_kind not in CLASSIFIES:
        return None
    width = int(model.predict(images.read(0)[None]).shape[1])
    return 2 if width == 1 else width  # one number: yes or no


def _blocks(images: Images, labels: Array | None, tick: Callable[[int], None]) -> Iterator[Block]:
    for first in range(0, len(images), _BLOCK):
        some = range(first, min(first + _BLOCK, len(images)))
        block = np.stack([images.read(i) for i in some])
        yield Block(block, None if labels is None else labels[some.start : some.stop], first, tick)


def _latencies(models: Sequence[Model], image: Array) -> list[float]:
    """Run the models in turn, so that what else the machine does falls on both."""
    times: list[list[float]] = [[] for _ in models]
    for model in models:
        _run(model, image)
    while len(times[0]) < _RUNS[0] or (
        len(times[0]) < _RUNS[1] and sum(map(sum, times)) < _SECONDS * len(models)
    ):
        for model, taken in zip(models, times, strict=True):
            start = time.perf_counter()
            _run(model, image)
            taken.append(time.perf_counter() - start)
    return [1000 * statistics.median(taken) for taken in times]


def _run(model: Model, image: Array) -> None:
    for _ in model.stream(image, output=True):
        pass
