"""Models: layers that are run as one."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any, Self

from attar.errors import ArgumentError, DTypeError
from attar.graph import Graph, Node, name_layers
from attar.layers.base import InputLayer, Layer, Shape, Symbol

__all__ = ["Sequential"]


class Sequential:
    """A model: layers one behind the other, or a graph of them.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import Sequential, layers
    >>> model = Sequential([
    ...     layers.Conv2D(filters=64, kernel_size=3),
    ...     layers.MaxPool2D(pool_size=2),
    ... ])
    """

    def __init__(
        self,
        layers: Iterable[Layer | Symbol] | Symbol | Graph | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self.name = "sequential" if name is None else name
        self._graph: Graph | None = None
        self._input_shape: Shape | None = None
        if isinstance(layers, Symbol):
            layers = Graph.from_symbol(layers)
        if isinstance(layers, Graph):
            name_layers(layers.layers)
            self._graph = layers
            if layers.input_shape is not None:
                self._input_shape = (None, *layers.input_shape)
        else:
            for layer in layers or ():
                self.add(layer)

    @classmethod
    def from_graph(cls, graph: Graph, name: str | None = None) -> Self:
        """Make a model of a graph."""
        return cls(graph, name=name)

    @property
    def graph(self) -> Graph:
        """The graph of its layers."""
        if self._graph is None:
            raise ArgumentError("Sequential: the model has no layers; add one")
        return self._graph

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return [] if self._graph is None else self._graph.layers

    @property
    def input_shape(self) -> Shape | None:
        """Shape of an image with the batch in front, where it is known."""
        return self._input_shape

    @property
    def output_shape(self) -> Shape | None:
        """Shape of the answer, where that of the input is known."""
        if self._input_shape is None or self._graph is None:
            return None
        return self._graph.shapes(self._input_shape)[self._graph.output]

    def add(self, layer: Layer | Symbol) -> None:
        """Add a layer behind the others."""
        if isinstance(layer, Symbol):
            layer = layer.layer
        if not isinstance(layer, Layer):
            raise DTypeError(f"Sequential: takes layers of attar.layers, got {layer!r}")
        if layer.input_shape_hint is not None and self._graph is None:
            self._input_shape = layer.input_shape_hint
        if isinstance(layer, InputLayer):
            return
        name_layers([*self.layers, layer])
        if self._graph is None:
            self._graph = Graph((Node(layer),))
        else:
            nodes = (*self._graph.nodes, Node(layer, (self._graph.output,)))
            self._graph = Graph(nodes)

    # ------------------------------------------------------------------ from and to files

    @classmethod
    def from_keras(cls, model: Any) -> Self:
        """Take over a Keras model, or a ``.keras`` or ``.h5`` file."""
        from attar.interchange import keras

        return cls.from_graph(keras.read(model))

    @classmethod
    def from_torch(cls, module: Any, input_shape: Any = None) -> Self:
        """Take over a PyTorch module."""
        from attar.interchange import torch

        return cls.from_graph(torch.read(module, input_shape))

    @classmethod
    def from_onnx(cls, path: str | PathLike[str]) -> Self:
        """Take over an ONNX model."""
        from attar.interchange import onnx

        return cls.from_graph(onnx.read(path))

    def to_onnx(self, path: str | PathLike[str]) -> None:
        """Write the model as ONNX."""
        from attar.interchange import onnx

        onnx.write(self.graph, self.graph.input_shape, path)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model as safetensors."""
        from attar.interchange import safetensors

        safetensors.write(self.graph, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a model that `save` wrote."""
        from attar.interchange import safetensors

        return cls.from_graph(safetensors.read(path))
