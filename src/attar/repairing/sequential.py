"""attar's own models: the same graph with blurred layers in the places of strides."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from attar.errors import ArgumentError
from attar.graph import INPUT, Graph, Node
from attar.layers.antialias import AverageBlurPooling2D, MaxBlurPooling2D, with_pool
from attar.layers.arguments import Shape
from attar.layers.base import Layer
from attar.layers.filters import Conv2D, DepthwiseConv2D
from attar.layers.pools import AveragePooling2D, WindowPooling2D
from attar.repairing.kinds import Kind
from attar.repairing.plan import IMAGE, Role, Step, plan_of
from attar.repairing.repaired import Rewritten
from attar.repairing.wording import replacements, window_text
from attar.sequential import Sequential

__all__ = ["rewrite"]

_Filter: TypeAlias = Conv2D | DepthwiseConv2D

_NONE = [(0, 0), (0, 0)]
_ROLES: dict[str, Role] = {
    "BatchNormalization": "normalize",
    "Dropout": "normalize",
    "Flatten": "vector",
    "GlobalAveragePooling2D": "vector",
    "GlobalMaxPooling2D": "vector",
    "Reshape": "regrid",
    "UpSampling2D": "regrid",
}


def rewrite(model: Sequential, kind: Kind) -> Rewritten:
    """Return a model in which nothing is left out unseen; the other stays as it is.

    Raises
    ------
    ArgumentError (a ValueError)
        attar's layers do not have this kind.
    """
    if kind.name == "polyphase" or kind.wraps:
        asked = "pool 'polyphase'" if kind.name == "polyphase" else f"border {kind.border!r}"
        raise ArgumentError(
            f"repair: attar.Sequential has no layers for {asked}; write the model with "
            "to_onnx(path), and repair that"
        )
    return _Rewriter(model, kind).rewritten()


class _Rewriter:
    def __init__(self, model: Sequential, kind: Kind) -> None:
        self._model, self._kind = model, kind
        self._nodes = model.graph.nodes
        self._names = model.graph.names()
        shape = model.input_shape
        self._shapes: list[list[Shape]] = (
            [[(None, None, None, None)]] * len(self._nodes)
            if shape is None
            else model.graph.input_shapes(shape)
        )
        self._strided: dict[int, _Filter | WindowPooling2D] = {}
        self._steps = [self._step(i) for i in range(len(self._nodes))]
        self._plan = plan_of(self._steps, kind)

    def _step(self, i: int) -> Step:
        node, layer = self._nodes[i], self._nodes[i].layer
        kind = type(layer).__name__
        step = Step(
            self._names[i],
            kind,
            tuple(IMAGE if j == INPUT else j for j in node.inputs),
            _ROLES.get(kind, "detect" if layer.pixelwise and not layer.merges else "keep"),
            answers=i == self._model.graph.output,
        )
        if not isinstance(layer, _Filter | WindowPooling2D) or layer.strides == (1, 1):
            return step
        self._strided[i] = layer
        step = replace(step, role="stride", strides=layer.strides, left=self._why_left(i, layer))
        if not isinstance(layer, _Filter) or layer.activation is not None:
            return step
        return replace(step, is_filter=True, is_pixelwise=self._sides(i, layer) == _NONE
                       and layer.kernel_size == (1, 1))  # fmt: skip

    def _why_left(self, i: int, layer: Layer) -> str:
        if isinstance(layer, AverageBlurPooling2D | MaxBlurPooling2D):
            return "it is blurred already"
        if isinstance(layer, AveragePooling2D) and self._kind.name == "average":
            return "it is a mean already"
        if isinstance(layer, _Filter) and self._sides(i, layer) is None:
            return (
                "its padding 'same' depends on a size not known; call the model on an image first"
            )
        return ""

    def _sides(self, i: int, layer: _Filter) -> list[tuple[int, int]] | None:
        """Return the padding of a convolution as numbers, None where it depends on a size."""
        sizes = self._shapes[i][0][1:3]
        if not isinstance(layer.padding, str):
            return list(layer.padding)
        if layer.padding == "valid" or layer.kernel_size == (1, 1):
            return _NONE
        axes = None if None in sizes else layer.windows(self._shapes[i][0])
        return None if axes is None else [(axis.pad_before, axis.pad_after) for axis in axes]

    def rewritten(self) -> Rewritten:
        """Build the model."""
        copies: dict[int, Layer] = {}
        nodes: list[Node] = []
        places = {INPUT: INPUT}  # the nodes that answer instead of the old ones
        behind = {place.at: place for place in self._plan.places.values() if not place.before}
        for i, node in enumerate(self._nodes):
            inputs = tuple(places[j] for j in node.inputs)
            place, follows = self._plan.places.get(i), behind.get(i)
            if place is not None and place.before:
                nodes.append(Node(self._condensing(i), inputs))
                inputs = (len(nodes) - 1,)
            key = id(node.layer)
            if key not in copies:
                copies[key] = copy.copy(node.layer) if place is None else self._dense(i)
            nodes.append(Node(copies[key], inputs))
            if follows is not None and self._is_filter(follows.step):
                nodes.append(Node(self._condensing(follows.step), (len(nodes) - 1,)))
            places[i] = len(nodes) - 1
        graph = Graph(tuple(nodes), places[self._model.graph.output], self._model.graph.input_shape)
        model = Sequential(graph, name=self._model.name, precision=self._model.precision)
        was, dense = {}, {}
        for i in (*self._plan.places, *self._plan.left):
            was[i] = self._text(i, self._strided[i].strides)
            pooled = self._kind.name == "average" and not self._is_filter(i)
            dense[i] = "" if pooled else self._text(i, (1, 1))
        return Rewritten(model, replacements(self._steps, self._plan, self._kind, was, dense))

    def _is_filter(self, i: int) -> bool:
        return isinstance(self._strided[i], _Filter)

    def _text(self, i: int, strides: Sequence[int]) -> str:
        layer = self._strided[i]
        window = layer.kernel_size if isinstance(layer, _Filter) else layer.pool_size
        return window_text(type(layer).__name__, window, strides)

    def _dense(self, i: int) -> Layer:
        layer = self._strided[i]
        if isinstance(layer, _Filter):
            sides = self._sides(i, layer)
            dense = copy.copy(layer)
            dense.strides = (1, 1)
            dense.padding = "valid" if sides is None else tuple(sides)
            return dense
        pool = with_pool("repair", layer, "blur" if self._kind.taps else "average")
        if pool is None:
            return copy.copy(layer)
        if not self._kind.taps:
            return pool
        config = pool.get_config()
        sizes = [1 if step == 1 else self._kind.taps for step in layer.strides]
        return type(pool).from_config({**config, "size": sizes})

    def _condensing(self, i: int) -> Layer:
        strides, name = self._strided[i].strides, f"{self._names[i]}_condensed"
        if not self._kind.taps:
            return AveragePooling2D(strides, strides, ceil_mode=True, name=name)
        # A mean over one cell is that cell: what is left is the blur.
        sizes = [1 if step == 1 else self._kind.taps for step in strides]
        return AverageBlurPooling2D(1, strides, name=name, size=sizes)
