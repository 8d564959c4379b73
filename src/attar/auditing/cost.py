"""Cost: what each layer keeps in memory, and how much it multiplies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from attar.auditing.measure import Block, Part
from attar.auditing.plain import PlainSection
from attar.errors import ArgumentError
from attar.models import Model

__all__ = ["Cost", "CostSection", "LayerCost"]

_FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class LayerCost:
    """What a layer costs for one image. docs/metrics.md has the formulas.

    Attributes
    ----------
    name, kind, task : str
    shape : tuple of int
        Of its answer.
    activation_bytes : int
        Of its answer, as float32.
    multiply_adds : int or None
        Multiplications with weights.
    parameters : int
    activation_share, multiply_add_share : float
        Of the sum of all layers, 0 to 1.
    """

    name: str
    kind: str
    task: str
    shape: tuple[int, ...]
    activation_bytes: int
    multiply_adds: int | None
    parameters: int
    activation_share: float
    multiply_add_share: float


@dataclass(frozen=True)
class CostSection(PlainSection):
    """What a model costs for one image.

    Attributes
    ----------
    size : (int, int)
        Of the image, pixels; the largest that was seen.
    layers : tuple of LayerCost
    activation_bytes, multiply_adds, parameters : int
        Of all layers together.
    """

    size: tuple[int, int]
    layers: tuple[LayerCost, ...]
    activation_bytes: int
    multiply_adds: int
    parameters: int


class Cost:
    """The measure "cost": it looks at the size of the images and runs nothing.

    Examples
    --------
    >>> import attar
    >>> from attar import layers
    >>> model = attar.open_model(
    ...     attar.Sequential([
    ...         layers.Input((8, 8, 1)),
    ...         layers.Conv2D(4, 3, name="filter"),
    ...         layers.MaxPool2D(name="condense"),
    ...     ])
    ... )
    >>> measure = Cost()
    >>> block = Block(np.zeros((1, 8, 8, 1), np.float32), None, 0)
    >>> section = measure.combine(model, [measure.work(model, block)])
    >>> [(each.activation_bytes, each.multiply_adds) for each in section.layers]
    [(576, 1296), (144, 0)]
    """

    name: ClassVar[str] = "cost"

    def settings(self) -> dict[str, Any]:
        """Return the settings: there are none."""
        return {"version": 1}

    def passes(self, model: Model) -> int:
        """Return how many forward passes it makes for one image: none."""
        return 0

    def work(self, model: Model, block: Block) -> Part:
        """Return the size that the model sees."""
        height, width = block.images.shape[1:3]
        return {"size": np.array([model.input.height or height, model.input.width or width])}

    def combine(self, model: Model, parts: Iterable[Part]) -> CostSection:
        """Return the costs for the largest size."""
        sizes = [(int(part["size"][0]), int(part["size"][1])) for part in parts]
        if not sizes:
            raise ArgumentError("audit: cost: there is no part to combine")
        size = max(sizes, key=lambda each: each[0] * each[1])
        layers = model.layers_at(*size)
        held = [_FLOAT32 * math.prod(map(int, _shape(layer.output_shape))) for layer in layers]
        work = [layer.multiply_adds or 0 for layer in layers]
        return CostSection(
            size,
            tuple(
                LayerCost(
                    layer.name,
                    layer.kind,
                    layer.task,
                    _shape(layer.output_shape),
                    bytes_held,
                    layer.multiply_adds,
                    layer.parameters,
                    bytes_held / max(1, sum(held)),
                    multiplied / max(1, sum(work)),
                )
                for layer, bytes_held, multiplied in zip(layers, held, work, strict=True)
            ),
            sum(held),
            sum(work),
            sum(layer.parameters for layer in layers),
        )


def _shape(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(size or 1 for size in shape)
