"""What a repair bought: accuracy, consistency and latency, before and after."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.auditing.measure import Block
from attar.auditing.plain import as_plain
from attar.auditing.predictions import CLASSIFIES, predicted
from attar.auditing.shift import Shift
from attar.auditing.shift_section import ShiftSection
from attar.errors import ArgumentError, ShapeError
from attar.models import Model

__all__ = ["Bought", "Measured", "check_images", "measure"]

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

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain: dict[str, Any] = as_plain(self)
        return plain


def check_images(operation: str, images: Any, labels: Any) -> tuple[Array, Array | None]:
    """Check what a model is measured with: (N, H, W, C) in [0, 1] or bytes, and a class for each.

    Raises
    ------
    ShapeError, ArgumentError
    """
    given = np.asarray(images)
    if given.ndim != 4 or not len(given):
        raise ShapeError(
            f"{operation}: images must be (N, H, W, C), at least one, got shape {given.shape}"
        )
    if given.dtype == np.uint8:
        given = given / np.float32(255)
    given = given.astype(np.float32, copy=False)
    if labels is None:
        return given, None
    classes = np.asarray(labels)
    if classes.shape != (len(given),) or classes.dtype.kind not in "iu":
        raise ArgumentError(
            f"{operation}: labels must be {len(given)} whole numbers, a class for each image, got "
            f"{classes.dtype} of shape {classes.shape}"
        )
    return given, classes.astype(np.int64)


def measure(
    before: Model,
    after: Model,
    images: Array,
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
    images : ndarray of float32, (N, H, W, C)
    labels : ndarray of int64, (N,), optional
    modes, reach, seed
        As of the measure "shift".
    progress : callable (done, total), optional
        Called with forward passes, of both models together.
    """
    shift = Shift(modes=tuple(modes), reach=reach, budget=(2 * reach + 1) ** 2, seed=seed)
    done, total = 0, len(images) * (shift.passes(before) + shift.passes(after))

    def tick(passes: int) -> None:
        nonlocal done
        done += passes
        if progress is not None:
            progress(done, total)

    sections = [
        shift.combine(model, [shift.work(model, block) for block in _blocks(images, labels, tick)])
        for model in (before, after)
    ]
    classes = [_classes(model, images) for model in (before, after)]
    latencies = _latencies([before, after], images[:1])
    measured = [
        Measured(
            None if labels is None or found is None else float(np.mean(found == labels)),
            section,
            latency,
        )
        for section, found, latency in zip(sections, classes, latencies, strict=True)
    ]
    one, other = classes
    agreement = None if one is None or other is None else float(np.mean(one == other))
    return Bought(measured[0], measured[1], agreement, len(images))


def _blocks(images: Array, labels: Array | None, tick: Callable[[int], None]) -> Iterator[Block]:
    for first in range(0, len(images), _BLOCK):
        some = slice(first, first + _BLOCK)
        yield Block(images[some], None if labels is None else labels[some], first, tick)


def _classes(model: Model, images: Array) -> Array | None:
    if model.output_kind not in CLASSIFIES:
        return None
    found = [
        predicted(model.predict(images[first : first + _BLOCK]), model.output_kind).classes
        for first in range(0, len(images), _BLOCK)
    ]
    return np.concatenate(found)


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
