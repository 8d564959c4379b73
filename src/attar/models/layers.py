"""The layers of an opened model, told from what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attar.models.calls import IMAGE, Call, Field, Task, fields
from attar.models.protocol import Described

__all__ = ["ModelLayer", "layers_of"]


@dataclass(frozen=True)
class ModelLayer:
    """A layer of an opened model: something that can be watched.

    Attributes
    ----------
    name : str
        As in the framework; behind the second call of a shared layer stands ``:2``.
    kind : str
        What the framework calls it: ``Conv``, ``MaxPooling2D``, ``ReLU``.
    task : {"filter", "detect", "condense", "merge", "other"}
        The same in every framework: convolutions and dense layers, activations, pools, sums and
        concatenations.
    inputs : tuple of str
        Names of the layers whose answers it takes; ``""`` is the image.
    output_shape : tuple of (int or None)
        For one image: (H, W, C) of a map, (features,) of a vector. None where it depends on the
        size of the image.
    receptive_field, stride : (int, int), optional
        Height and width of what a pixel far from every border looks at, in pixels of the image, and
        how far apart the fields of neighbours are; 0 behind a global pool. None where no box
        says it: behind flattening, attention or resizing, or where it depends on the size of the
        image.
    parameters : int
        Numbers in its weights; 0 where they are those of a layer above.
    multiply_adds : int, optional
        Multiplications with weights for one image; None where they depend on its size.
    """

    name: str
    kind: str
    task: Task
    inputs: tuple[str, ...]
    output_shape: tuple[int | None, ...]
    receptive_field: tuple[int, int] | None
    stride: tuple[int, int] | None
    parameters: int
    multiply_adds: int | None


def layers_of(
    described: Sequence[Described], sizes: Sequence[tuple[int, int]]
) -> tuple[ModelLayer, ...]:
    """Return what can be watched, with what is the same for every size of image.

    Parameters
    ----------
    described : sequence of Described
        The same model for images of one size, or of several.
    sizes : sequence of (int, int)
        These sizes.
    """
    calls = [each.calls for each in described]
    if len({tuple(call.name for call in each) for each in calls}) > 1:
        calls = calls[:1]  # a model that computes something else for other sizes
    found = [fields(each, size) for each, size in zip(calls, sizes, strict=False)]
    return tuple(
        _layer(calls[0], versions, seen)
        for versions, seen in zip(zip(*calls, strict=True), zip(*found, strict=True), strict=True)
        if versions[0].name
    )


def _layer(
    calls: tuple[Call, ...], versions: tuple[Call, ...], seen: tuple[Field | None, ...]
) -> ModelLayer:
    """Make a layer of what is the same for every size of image."""
    call = versions[0]
    shape: tuple[int | None, ...] = call.shape
    if len({len(each.shape) for each in versions}) == 1:
        sizes = zip(*(each.shape for each in versions), strict=True)
        shape = tuple(size[0] if len(set(size)) == 1 else None for size in sizes)
    works = {each.multiply_adds for each in versions}
    field = seen[0] if len(set(seen)) == 1 else None
    return ModelLayer(
        call.name,
        call.kind,
        call.task,
        _named_inputs(calls, call),
        shape,
        None if field is None else field.size,
        None if field is None else field.stride,
        call.parameters,
        works.pop() if len(works) == 1 else None,
    )


def _named_inputs(calls: tuple[Call, ...], call: Call) -> tuple[str, ...]:
    """Return the nearest layers before a call that can be watched; the image is ``""``."""
    names: dict[str, None] = {}
    waiting = list(reversed(call.inputs))
    while waiting:
        i = waiting.pop()
        if i == IMAGE or calls[i].name:
            names["" if i == IMAGE else calls[i].name] = None
        else:
            waiting.extend(reversed(calls[i].inputs))
    return tuple(names)
