"""A model that is open: its pools of other kinds, its layers, the kernels behind its maps."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from attar.explorer.levels import reach_of, signed_levels
from attar.explorer.modelling.measures import plain
from attar.graph import INPUT, shape_argument
from attar.layers import Conv2D, DepthwiseConv2D, Layer
from attar.receptive import fields
from attar.sequential import Sequential

__all__ = ["POOLS", "Kernel", "Opened", "Pools", "drawn"]

Array: TypeAlias = NDArray[Any]
Pools = Literal["built", "max", "average", "blur"]
POOLS: tuple[Pools, ...] = get_args(Pools)

_MOST_TILES = 64  # of a kernel that are drawn: those with the largest weights
_MOST_NUMBERS = 200  # of a kernel that are written out


class Kernel(NamedTuple):
    """The filter behind a map: the layer that has it, and its weights (kh, kw, C)."""

    layer: str
    weights: Array
    bias: float


class Opened:
    """A model with what the page asks of it.

    Parameters
    ----------
    model : Sequential
    """

    def __init__(self, model: Sequential) -> None:
        self._models: dict[Pools, Sequential] = {"built": model}
        self.names = model.graph.names()

    def with_pools(self, pools: Pools) -> Sequential:
        """Return the model with pools of this kind; ``"built"`` are those that it has."""
        if pools == "built":
            return self._models["built"]
        if pools not in self._models:
            self._models[pools] = self._models["built"].with_pools(pools)
        return self._models[pools]

    def facts(self) -> dict[str, Any]:
        """Return what is known before a picture is chosen."""
        model = self._models["built"]
        shape = model.input_shape
        kinds = [type(layer).__name__ for layer in model.layers]
        return {
            "name": model.name,
            "input": None if shape is None else list(shape[1:]),
            "layers": len(self.names),
            "parameters": model.count_params(),
            # Global pools stay whatever is asked for, so they count as none.
            "pools": any(kind.endswith("Pooling2D") and "Global" not in kind for kind in kinds),
        }

    def layers(self, shape: Sequence[int], pools: Pools) -> list[dict[str, Any]]:
        """Return the layers one by one for an image of this shape, (1, H, W, C)."""
        graph = self.with_pools(pools).graph
        inputs, shapes, reaches = (
            graph.input_shapes(shape),
            graph.shapes(shape),
            fields(graph, shape),
        )
        rows = []
        for i, node in enumerate(graph):
            height, width = reaches[i]
            rows.append(
                {
                    "name": self.names[i],
                    "kind": type(node.layer).__name__,
                    "shape": list(shapes[i][1:]),
                    "spatial": len(shapes[i]) == 4,
                    "field": [
                        max(reach.end - reach.begin for reach in axis) for axis in reaches[i]
                    ],
                    "stride": [max(reach.stride for reach in axis) for axis in (height, width)],
                    "multiply_adds": node.layer.multiply_adds(
                        shape_argument(node.layer, inputs[i])
                    ),
                    "parameters": node.layer.count_params(),
                }
            )
        return rows

    def layers_with_maps(self, shape: Sequence[int]) -> list[str]:
        """Return the layers whose maps have height and width."""
        shapes = self._models["built"].graph.shapes(shape)
        return [name for name, each in zip(self.names, shapes, strict=True) if len(each) == 4]

    def last_maps(self, shape: Sequence[int]) -> str:
        """Return the last layer whose maps have more than one place: behind them are scores."""
        shapes = dict(zip(self.names, self._models["built"].graph.shapes(shape), strict=True))
        maps = self.layers_with_maps(shape)
        with_places = [name for name in maps if shapes[name][1:3] != (1, 1)]
        return (with_places or maps or self.names)[-1]

    def kernel(self, layer: str, channel: int) -> Kernel | None:
        """Return the filter that a map comes from: the layer's, or that of a convolution before.

        What lies between may be activations, pools and the like, which leave channels apart.
        """
        graph = self._models["built"].graph
        index = self.names.index(layer)
        while index != INPUT:
            node = graph.nodes[index]
            if isinstance(node.layer, Conv2D | DepthwiseConv2D):
                return _kernel(self.names[index], node.layer, channel)
            if type(node.layer).__name__ not in _CHANNELS_APART:
                return None
            index = node.inputs[0]
        return None


# Kinds of layers whose map k comes of map k before alone.
_CHANNELS_APART = frozenset(
    {
        "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "BatchNormalization", "Identity",
        "Dropout", "SpatialDropout2D", "ZeroPadding2D", "Rescaling", "MaxPooling2D",
        "AveragePooling2D", "MaxBlurPooling2D", "AverageBlurPooling2D", "GlobalMaxPooling2D",
        "GlobalAveragePooling2D",
    }
)  # fmt: skip


def _kernel(name: str, layer: Layer, channel: int) -> Kernel:
    all_weights = (
        layer.filters_as_conv2d() if isinstance(layer, DepthwiseConv2D) else layer.weight("kernel")
    )
    bias = layer.weight("bias")[channel] if "bias" in layer.weight_names() else 0.0
    return Kernel(name, all_weights[..., channel], float(bias))


def drawn(kernel: Kernel) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a kernel as the page draws it: tiles of levels, one for each channel that it reads.

    Of many channels those with the largest weights are shown. The weights themselves come along
    where they are few enough to be written out.

    Examples
    --------
    >>> facts, arrays = drawn(Kernel("conv", np.ones((3, 3, 2), np.float32), 0.5))
    >>> facts["channels"], facts["shown"], arrays["kernel"].shape
    (2, [0, 1], (2, 3, 3))
    """
    weights = kernel.weights.transpose(2, 0, 1)
    sizes = np.linalg.norm(weights.reshape(len(weights), -1), axis=1)
    shown = np.arange(len(weights))
    if len(weights) > _MOST_TILES:
        shown = np.argsort(-sizes, kind="stable")[:_MOST_TILES]
    reach = reach_of(weights.reshape(len(weights), -1))
    facts = {
        "layer": kernel.layer,
        "size": list(kernel.weights.shape[:2]),
        "channels": len(weights),
        "shown": shown.tolist(),
        "reach": reach,
        "bias": plain(kernel.bias),
    }
    arrays = {"kernel": signed_levels(weights[shown], reach)}
    if weights.size <= _MOST_NUMBERS:
        arrays["weights"] = np.ascontiguousarray(weights, np.float32)
    return facts, arrays
