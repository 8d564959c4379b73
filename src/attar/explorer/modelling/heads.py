"""Heads: global average pooling, and the weighted sums of its scores that decide on a class."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.graph import INPUT, Graph
from attar.layers import Dense, GlobalAveragePooling2D

__all__ = ["Head", "head_of"]

Array: TypeAlias = NDArray[Any]

# What may stand between the scores, the weights and the answer without changing which is which.
_PLAIN = frozenset({"Flatten", "Dropout", "Identity", "Reshape", "InputLayer"})
_LAST = frozenset({"Softmax", "Activation"})


class Head(NamedTuple):
    """What a model does behind its last maps.

    Attributes
    ----------
    layer : str
        Whose maps are pooled.
    weights : ndarray, (channels, classes)
    bias : ndarray, (classes,)
    """

    layer: str
    weights: Array
    bias: Array

    def contributions(self, maps: Array, label: int) -> Array:
        """Return what each map of (H, W, C) adds to the score of a class: weight × mean.

        Together with the bias they add up to the score, before any softmax.
        """
        contributed: Array = maps.mean(axis=(0, 1)) * self.weights[:, label]
        return contributed

    def activation_map(self, maps: Array, label: int) -> Array:
        """Return the class activation map (H, W): maps weighted for a class, and added.

        Its mean and the bias are the score of the class (Zhou et al., 2016).

        Examples
        --------
        >>> head = Head("conv", np.array([[1.0], [-2.0]]), np.zeros(1))
        >>> head.activation_map(np.array([[[3.0, 1.0], [0.0, 1.0]]]), 0).tolist()
        [[1.0, -2.0]]
        """
        together: Array = maps @ self.weights[:, label]
        return together


def head_of(graph: Graph) -> Head | None:
    """Return the head of a model that ends in global average pooling and one dense layer.

    Examples
    --------
    >>> from attar.explorer.modelling.demo import demo
    >>> head_of(demo().graph).layer
    'textures'
    """
    index = _skip(graph, graph.output, _PLAIN | _LAST)
    if index == INPUT or not isinstance(dense := graph.nodes[index].layer, Dense):
        return None
    if dense.activation not in (None, "softmax"):
        return None
    index = _skip(graph, graph.nodes[index].inputs[0], _PLAIN)
    if index == INPUT or not isinstance(graph.nodes[index].layer, GlobalAveragePooling2D):
        return None
    (source,) = graph.nodes[index].inputs
    if source == INPUT:
        return None
    weights = dense.weight("kernel")
    bias = dense.weight("bias") if dense.use_bias else np.zeros(dense.units, np.float32)
    return Head(graph.names()[source], weights, bias)


def _skip(graph: Graph, index: int, kinds: frozenset[str]) -> int:
    """Go back over layers of these kinds."""
    while index != INPUT and type(graph.nodes[index].layer).__name__ in kinds:
        index = graph.nodes[index].inputs[0]
    return index
