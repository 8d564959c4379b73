"""What pooling saves: parameters, multiplications, memory."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from attar import layers
from attar.errors import ArgumentError
from attar.experiments.results import Progress, Result, counted, whole_numbers
from attar.sequential import Sequential
from attar.tables import count, memory, shape_text, table

if TYPE_CHECKING:
    from attar.figures import Picture

__all__ = ["Cost", "FewerParameters", "fewer_parameters"]

_FILTERS = (32, 64)
_HIDDEN = 64
_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one network costs, for one image.

    Attributes
    ----------
    network : str
    base_parameters, head_parameters : int
        Numbers in the weights of the convolutions, and of the dense layers.
    multiply_adds : int
    map_bytes : int
        All maps together as float32: what training keeps.
    peak_bytes : int
        What attar's plan needs at most: maps that are fused or share memory.
    """

    network: str
    base_parameters: int
    head_parameters: int
    multiply_adds: int
    map_bytes: int
    peak_bytes: int

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return self.base_parameters + self.head_parameters


@dataclasses.dataclass(frozen=True)
class FewerParameters(Result):
    """What networks cost that differ in how they condense. See `fewer_parameters`.

    Attributes
    ----------
    input_shape : (int, int, int)
    costs : tuple of Cost
    """

    name: ClassVar[str] = "fewer-parameters"

    input_shape: tuple[int, int, int]
    costs: tuple[Cost, ...]

    @property
    def chance(self) -> str:
        """Nothing is random."""
        return "nothing is random: everything is counted"

    def cost(self, network: str) -> Cost:
        """Return the cost of a network by its name."""
        return next(one for one in self.costs if one.network == network)

    def table(self) -> str:
        """Return the costs, a row for each network."""
        head = (
            "network", "weights", "of the base", "of the head",
            "multiply-adds", "all maps", "peak memory",
        )  # fmt: skip
        rows = [
            (
                one.network,
                count(one.parameters),
                count(one.base_parameters),
                count(one.head_parameters),
                count(one.multiply_adds),
                memory(one.map_bytes),
                memory(one.peak_bytes),
            )
            for one in self.costs
        ]
        title = f"An image of {shape_text(self.input_shape)}, {_CLASSES} classes"
        return f"{title}\n{table(head, rows, right=range(1, 7))}"

    def figure(self) -> Picture:
        """Draw the costs as bars."""
        from attar.figures import experiments

        return experiments.fewer_parameters(self)


def fewer_parameters(
    size: int = 64, channels: int = 3, *, progress: Progress | None = None
) -> FewerParameters:
    """Count weights, multiplications and memory of networks that differ in how they condense.

    All but the first have two convolutions of 3 × 3, with 32 and 64 filters, and one dense layer.
    They differ in what halves the maps: nothing, the stride of the convolutions, a pool behind
    each; the last averages each map to one number before the dense layer. The numbers are those of
    `Sequential.summary`.

    Parameters
    ----------
    size : int, default 64
        Height and width of the image, at least 4.
    channels : int, default 3
    progress : callable, optional
        Called with the number of networks done, and of all.

    Returns
    -------
    FewerParameters

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> result = fewer_parameters(32, 1)
    >>> result.cost("conv").base_parameters == result.cost("conv + max pool").base_parameters
    True
    >>> result.cost("conv").head_parameters, result.cost("conv + max pool").head_parameters
    (655370, 40970)
    """
    whole_numbers("fewer_parameters", "channels", (channels,), least=1)
    if isinstance(size, bool) or not isinstance(size, int) or size < 4:
        raise ArgumentError(
            f"experiments.fewer_parameters: size is {size!r}; accepted is an int of at least 4, "
            "since it is halved twice"
        )
    shape = (size, size, channels)
    networks = _networks()
    costs = tuple(
        _cost(name, Sequential([layers.Input(shape), *parts]))
        for name, parts in counted(networks.items(), len(networks), progress)
    )
    return FewerParameters(shape, costs)


def _networks() -> dict[str, list[layers.Layer]]:
    def base(
        stride: int = 1, pool: type[layers.MaxPool2D | layers.AvgPool2D] | None = None
    ) -> list[layers.Layer]:
        parts: list[layers.Layer] = []
        for filters in _FILTERS:
            parts.append(
                layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu")
            )
            if pool is not None:
                parts.append(pool(2))
        return parts

    def head() -> list[layers.Layer]:
        return [layers.Flatten(), layers.Dense(_CLASSES)]

    return {
        "dense only": [layers.Flatten(), layers.Dense(_HIDDEN, "relu"), layers.Dense(_CLASSES)],
        "conv": base() + head(),
        "conv, stride 2": base(2) + head(),
        "conv + max pool": base(1, layers.MaxPool2D) + head(),
        "conv + average pool": base(1, layers.AvgPool2D) + head(),
        "conv + global average": [
            *base(), layers.GlobalAveragePooling2D(), layers.Dense(_CLASSES)
        ],
    }  # fmt: skip


def _cost(name: str, model: Sequential) -> Cost:
    summary = model.summary()
    head = sum(layer.parameters for layer in summary.layers if layer.kind == "Dense")
    return Cost(
        name,
        summary.parameters - head,
        head,
        summary.multiply_adds,
        summary.map_bytes,
        summary.peak_bytes,
    )
