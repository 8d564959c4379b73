"""What a model's answer to an image says: a class with its probability, or how much it changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.auditing.measure import Block, Part
from attar.auditing.shifts import Moved, batches
from attar.models import Model

__all__ = [
    "CLASSIFIES",
    "UNUSABLE",
    "ByClass",
    "ByNumber",
    "Change",
    "Comparison",
    "Predicted",
    "answers",
    "changes",
    "predicted",
]

Array: TypeAlias = NDArray[Any]

CLASSIFIES: Final = ("probabilities", "logits")
"""Kinds of output that name a class."""

UNUSABLE: Final = -1
"""The class of an answer that is no number."""


class Predicted(NamedTuple):
    """Classes and their probabilities.

    Attributes
    ----------
    classes : ndarray of int32, (n,)
        The largest; -1 where the answer holds NaN or infinity.
    probabilities : ndarray of float32, (n, K)
        Of all classes, K at least 2.
    """

    classes: Array
    probabilities: Array

    def of(self, classes: Array) -> Array:
        """Return the probability of one class for each answer, (n,)."""
        found: Array = self.probabilities[np.arange(len(classes)), np.maximum(classes, 0)]
        return found


def predicted(output: Array, kind: str) -> Predicted:
    """Return which class each answer names, and how probable the model says each class is.

    A single number is taken as that of the second of two classes: a sigmoid, or what goes into
    one. Probabilities of logits are their softmax; those of independent sigmoids are left as
    they are, and need not add up to 1.

    Parameters
    ----------
    output : ndarray, (n, K)
    kind : {"probabilities", "logits"}

    Examples
    --------
    >>> predicted(np.array([[0.0, 2.0], [np.nan, 0.0]], np.float32), "logits").classes
    array([ 1, -1], dtype=int32)
    >>> predicted(np.array([[0.2], [0.7]]), "probabilities").probabilities
    array([[0.8, 0.2],
           [0.3, 0.7]], dtype=float32)
    """
    values = output.astype(np.float64)
    if values.shape[1] == 1:
        first = 1 - values if kind == "probabilities" else np.zeros_like(values)
        values = np.concatenate([first, values], axis=1)
    top = values.max(axis=1, keepdims=True)  # NaN where there is one
    # Minus infinity alone is the logarithm of a probability of 0.
    usable = np.isfinite(top[:, 0])
    classes = np.where(usable, values.argmax(axis=1), UNUSABLE).astype(np.int32)
    if kind == "logits":
        with np.errstate(invalid="ignore"):  # of what is not usable
            values = np.exp(values - top)
            values /= values.sum(axis=1, keepdims=True)
    values[~usable] = 0
    return Predicted(classes, values.astype(np.float32))


class Change(NamedTuple):
    """How far answers are from others.

    Attributes
    ----------
    cosine : ndarray of float32, (n,)
        Cosine of the angle between them, -1 to 1. NaN where an answer is no number.
    relative : ndarray of float32, (n,)
        Length of their difference by the root mean square of their lengths, 0 to 2.
    """

    cosine: Array
    relative: Array


def changes(before: Array, behind: Array) -> Change:
    """Compare answers one by one.

    Parameters
    ----------
    before, behind : ndarray, (n, D)

    Examples
    --------
    >>> found = changes(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [0.0, 0.0]]))
    >>> found.cosine, found.relative.round(4)
    (array([0.96, 1.  ], dtype=float32), array([0.2828, 0.    ], dtype=float32))
    """
    before, behind = before.astype(np.float64), behind.astype(np.float64)
    lengths = np.linalg.norm(before, axis=1), np.linalg.norm(behind, axis=1)
    product, mean = lengths[0] * lengths[1], np.sqrt((lengths[0] ** 2 + lengths[1] ** 2) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.clip((before * behind).sum(axis=1) / product, -1, 1)
        relative = np.linalg.norm(behind - before, axis=1) / mean
    # Where nothing is active there is no angle: nothing is like nothing, and unlike all else.
    cosine = np.where(product == 0, mean == 0, cosine)
    relative = np.where(mean == 0, 0, relative)
    return Change(cosine.astype(np.float32), relative.astype(np.float32))


class Comparison(Protocol):
    """The answers to unmoved images, with which those to moved ones are compared."""

    unmoved: Part

    def moved(self, images: Moved, which: Array, shifts: Array) -> Part:
        """Return what comes of images `which`, (m,), at `shifts`, (m, 2): arrays (m,)."""
        ...


class ByClass:
    """By the class, and by the probability of the class that the unmoved image has.

    Attributes
    ----------
    unmoved : dict of str to ndarray
        "class" and "top", (n,).
    """

    def __init__(self, model: Model, block: Block, images: Moved) -> None:
        self._model, self._block = model, block
        found = [
            predicted(output, model.output_kind)
            for _, output in answers(model, block, images, *_unmoved(block))
        ]
        self._classes = np.concatenate([each.classes for each in found])
        tops = np.concatenate([each.of(each.classes) for each in found])
        self.unmoved: Part = {"class": self._classes, "top": tops}

    def moved(self, images: Moved, which: Array, shifts: Array) -> Part:
        """Return "classes" and "tops", (m,)."""
        classes = np.empty(len(which), np.int32)
        tops = np.empty(len(which), np.float32)
        for some, output in answers(self._model, self._block, images, which, shifts):
            found = predicted(output, self._model.output_kind)
            classes[some] = found.classes
            tops[some] = found.of(self._classes[which[some]])
        return {"classes": classes, "tops": tops}


class ByNumber:
    """By what the output is made of, number by number. Of each image it holds the whole answer."""

    def __init__(self, model: Model, block: Block, images: Moved) -> None:
        self._model, self._block = model, block
        self._outputs = np.concatenate(
            # A copy, since some frameworks answer with the memory that they were given.
            [np.array(output) for _, output in answers(model, block, images, *_unmoved(block))]
        )
        self.unmoved: Part = {}

    def moved(self, images: Moved, which: Array, shifts: Array) -> Part:
        """Return "cosine" and "relative", (m,)."""
        cosine = np.empty(len(which), np.float32)
        relative = np.empty(len(which), np.float32)
        for some, output in answers(self._model, self._block, images, which, shifts):
            cosine[some], relative[some] = changes(self._outputs[which[some]], output)
        return {"cosine": cosine, "relative": relative}


def _unmoved(block: Block) -> tuple[Array, Array]:
    count = len(block.images)
    return np.arange(count), np.zeros((count, 2), np.int64)


def answers(
    model: Model, block: Block, images: Moved, which: Array, shifts: Array
) -> Iterator[tuple[slice, Array]]:
    """Yield the outputs for moved images, flat, (some, D), with which of them they are."""
    for piece in model.stream(batches(images, which, shifts), output=True):
        count = piece.stop - piece.start
        block.tick(count)
        output = piece.output
        assert (
            output is not None
        )  # it was asked for, and is in every piece where nothing is watched
        yield slice(piece.start, piece.stop), output.reshape(count, -1)
