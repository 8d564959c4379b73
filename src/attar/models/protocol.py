"""What every opened model is underneath: the rooms of the frameworks fulfil this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import ModelError
from attar.models.calls import Call
from attar.preparation import Preparation

__all__ = [
    "OPERATION",
    "Answers",
    "Array",
    "Described",
    "Engine",
    "Layout",
    "OutputKind",
    "Takes",
    "channels_last",
    "missing",
]

OPERATION = "open_model"

Array: TypeAlias = NDArray[np.float32]
Layout: TypeAlias = Literal["NCHW", "NHWC"]
OutputKind: TypeAlias = Literal["probabilities", "logits", "map", "vector"]


class Takes(NamedTuple):
    """What a model says about its input; None where it says nothing.

    Attributes
    ----------
    batch : int, optional
        Where the number of images is fixed.
    height, width, channels : int, optional
    layout : {"NCHW", "NHWC"}
        In which the framework keeps images. The engine turns them.
    says : str
        Where this is said, for people.
    preparation : Preparation, optional
        What its numbers must be.
    preparation_says : str
    """

    batch: int | None
    height: int | None
    width: int | None
    channels: int | None
    layout: Layout
    says: str
    preparation: Preparation | None = None
    preparation_says: str = ""


class Described(NamedTuple):
    """A model for images of one size.

    Attributes
    ----------
    calls : tuple of Call
    outputs : tuple of int
        Which calls answer; -1 where none of them does.
    """

    calls: tuple[Call, ...]
    outputs: tuple[int, ...]


class Answers(NamedTuple):
    """What came of a batch.

    Attributes
    ----------
    maps : dict of str to ndarray
        float32, channels last, of what was watched.
    output : ndarray or None
    """

    maps: dict[str, Array]
    output: Array | None


class Engine(Protocol):
    """A model in the hands of its framework."""

    framework: str
    name: str
    wrapped: Any
    takes: Takes
    outputs: tuple[str, ...]

    def describe(self, height: int, width: int, channels: int) -> Described:
        """Tell what is computed for an image of this size.

        Raises
        ------
        ModelError (a ValueError)
            The model does not take this size.
        """
        ...

    def run(self, images: Array, watch: Sequence[str], output: int | None) -> Answers:
        """Compute a batch, (N, H, W, C), prepared; all of `watch`, and an output by its index."""
        ...


def missing(package: str, extra: str, error: BaseException) -> ModelError:
    """Return the error for a framework that is not installed."""
    return ModelError(
        f"{OPERATION} needs the package {package} for this; install it with pip install "
        f"'attar[{extra}]' ({error})"
    )


def channels_last(answer: Any, channels_first: bool = True) -> Array:
    """Return an answer as float32 with its channels last; a view where that is one."""
    array = np.asarray(answer)
    if channels_first and array.ndim == 4:
        array = np.moveaxis(array, 1, 3)
    return array.astype(np.float32, copy=False)
