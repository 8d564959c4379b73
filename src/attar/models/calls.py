"""What a model computes, one call behind the other, in words that no framework owns.

Each framework's room writes its model down as `Call`s. What a layer sees of the image is worked out
from these, here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from attar.geometry import Axis
from attar.receptive import Reach, Reaches, everything, hull, through

__all__ = [
    "EVERYTHING",
    "IMAGE",
    "PIXEL",
    "Call",
    "Field",
    "Seen",
    "Task",
    "behind",
    "blur",
    "fields",
    "slide",
]

IMAGE = -1  # as an input of a call: the model's own input

Task: TypeAlias = Literal["filter", "detect", "condense", "merge", "other"]
"""Filter: convolutions and dense layers. Detect: activations. Condense: pools."""

Seen: TypeAlias = tuple[Axis, Axis] | Literal["everything"] | None
"""What an answer sees of its inputs: a window along height and width, all of them at once, or
what no window describes, as behind `Flatten`, attention and resizing."""

EVERYTHING: Literal["everything"] = "everything"
PIXEL: tuple[Axis, Axis] = (Axis(0, 1, 1, 1, 0, 0, 0), Axis(0, 1, 1, 1, 0, 0, 0))
"""The same place of every input."""


def slide(
    windows: Sequence[int],
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
    before: Sequence[int] = (0, 0),
) -> tuple[Axis, Axis]:
    """Return windows that slide along height and width, with so much padding before the image.

    Where they end does not matter to what they see.
    """
    height, width = (
        Axis(0, window, stride, dilation, pad, 0, 0)
        for window, stride, dilation, pad in zip(windows, strides, dilations, before, strict=True)
    )
    return height, width


def blur(size: Sequence[int], strides: Sequence[int]) -> tuple[Axis, Axis]:
    """Return what a blur's answers see: its filter lies in the middle, an even one left of it."""
    return slide(size, strides, before=[(each - 1) // 2 for each in size])


def behind(first: Sequence[Axis], second: Sequence[Axis]) -> tuple[Axis, Axis]:
    """Return what windows over the answers of windows see.

    Examples
    --------
    >>> height, _ = behind(slide((3, 3), before=(1, 1)), slide((2, 2), (2, 2)))
    >>> height.extent, height.stride, height.pad_before
    (4, 2, 1)
    """
    both = list(zip(first, second, strict=True))
    return slide(
        [a.extent + (b.extent - 1) * a.stride for a, b in both],
        [a.stride * b.stride for a, b in both],
        before=[a.pad_before + b.pad_before * a.stride for a, b in both],
    )


@dataclass(frozen=True)
class Call:
    """One computation of a model.

    Attributes
    ----------
    name : str
        Empty where nobody can watch it.
    kind : str
        What the framework calls it.
    task : Task
    inputs : tuple of int
        Indices of earlier calls; -1 is the image.
    shape : tuple of int
        Of the answer to one image: (H, W, C), (features,), or whatever it is.
    seen : Seen
    parameters, multiply_adds : int
        Numbers in weights that no earlier call has; multiplications with weights.
    """

    name: str
    kind: str
    task: Task
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    seen: Seen
    parameters: int = 0
    multiply_adds: int = 0


class Field(NamedTuple):
    """A receptive field: height and width in pixels, and how far apart those of neighbours are."""

    size: tuple[int, int]
    stride: tuple[int, int]


_Both: TypeAlias = tuple[Reaches, Reaches]


def fields(calls: Sequence[Call], image_size: tuple[int, int]) -> list[Field | None]:
    """Return what each answer sees of the image, None where no box describes it.

    Examples
    --------
    >>> filter = Call("filter", "Conv", "filter", (-1,), (8, 8, 4), slide((3, 3), before=(1, 1)))
    >>> condense = Call("condense", "MaxPool", "condense", (0,), (4, 4, 4), slide((2, 2), (2, 2)))
    >>> vector = Call("vector", "Flatten", "other", (1,), (64,), None)
    >>> fields([filter, condense, vector], (8, 8))
    [Field(size=(3, 3), stride=(1, 1)), Field(size=(4, 4), stride=(2, 2)), None]
    """
    reached: list[_Both | None] = []
    start = (Reach(0, 1, 1),)
    for call in calls:
        befores = [
            ((start, start), image_size) if i == IMAGE else (reached[i], _places(calls[i].shape))
            for i in call.inputs
        ]
        known = [(both, size) for both, size in befores if both is not None]
        seen = call.seen
        if seen is None or not known or len(known) < len(befores):
            reached.append(None)
            continue
        together: tuple[list[Reach], list[Reach]] = ([], [])
        for both, size in known:
            for axis in range(2):
                # A map that is repeated along an axis where it has one position.
                repeated = size[axis] == 1 and _places(call.shape)[axis] > 1
                whole = seen == "everything" or repeated
                window = everything(size[axis]) if seen == "everything" else seen[axis]
                together[axis].extend(through(reach, window, whole) for reach in both[axis])
        reached.append((hull(together[0]), hull(together[1])))
    return [None if both is None else _field(both) for both in reached]


def _places(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[0], shape[1]) if len(shape) == 3 else (1, 1)


def _field(both: _Both) -> Field:
    height, width = (max(reach.end - reach.begin for reach in axis) for axis in both)
    down, across = (max(reach.stride for reach in axis) for axis in both)
    return Field((height, width), (down, across))
