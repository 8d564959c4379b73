"""A model as a graph: which layer takes whose answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.layers.arguments import Shape, read_shape
from attar.layers.base import InputLayer, Layer, Symbol, default_name

__all__ = ["INPUT", "Graph", "Node", "free_name", "name_layers", "shape_argument"]

INPUT = -1  # as an input of a node: the model's own input


@dataclass(frozen=True)
class Node:
    """A layer, and where its inputs come from.

    Attributes
    ----------
    layer : Layer
    inputs : tuple of int
        Indices of earlier nodes; -1 is the model's input.
    """

    layer: Layer
    inputs: tuple[int, ...] = (INPUT,)


@dataclass(frozen=True)
class Graph:
    """Layers in an order in which they can be computed, from one image to one answer.

    Attributes
    ----------
    nodes : tuple of Node
        Every node comes after its inputs, and leads to the output. A layer may be in several
        nodes: it then has one set of weights.
    output : int
        Index of the node that answers; -1 is the last.
    input_shape : tuple of (int or None), optional
        ``(H, W, C)`` of an image, without the batch.

    Raises
    ------
    ArgumentError, DTypeError
        For a graph that is none.

    Examples
    --------
    >>> from attar import layers
    >>> add = Node(layers.Add(), (-1, 0))
    >>> graph = Graph((Node(layers.Conv2D(3, 3, padding="same")), add), input_shape=(8, 8, 3))
    >>> graph.shapes((None, 8, 8, 3))
    [(None, 8, 8, 3), (None, 8, 8, 3)]
    """

    nodes: tuple[Node, ...]
    output: int = -1
    input_shape: Shape | None = None

    def __post_init__(self) -> None:
        nodes = tuple(self.nodes)
        object.__setattr__(self, "nodes", nodes)
        count = len(nodes)
        if not nodes:
            raise ArgumentError("Graph: a model needs at least one layer")
        if not isinstance(self.output, int) or not -1 <= self.output < count:
            raise ArgumentError(
                f"Graph: output must be the index of one of the {count} nodes, or -1 for the last, "
                f"got {self.output!r}"
            )
        if self.output == -1:
            object.__setattr__(self, "output", count - 1)
        for i, node in enumerate(nodes):
            _check(i, node)
        self._check_that_all_lead_to_the_output()
        if self.input_shape is not None:
            shape = read_shape("Graph", "input_shape", (None, *self.input_shape))
            object.__setattr__(self, "input_shape", shape[1:])

    def _check_that_all_lead_to_the_output(self) -> None:
        needed = {self.output}
        for i in range(len(self.nodes) - 1, -1, -1):
            if i not in needed:
                raise ArgumentError(
                    f"Graph: node {i} ({self.nodes[i].layer.name}) does not lead to the output, "
                    f"node {self.output} ({self.nodes[self.output].layer.name}); leave it out"
                )
            needed.update(self.nodes[i].inputs)
        if INPUT not in needed:
            raise ArgumentError("Graph: no node takes the model's input, -1")

    @classmethod
    def chain(cls, layers: Iterable[Layer], input_shape: Shape | None = None) -> Graph:
        """Lay layers one behind the other."""
        nodes = tuple(Node(layer, (i - 1,)) for i, layer in enumerate(layers))
        return cls(nodes, input_shape=input_shape)

    @classmethod
    def from_symbol(cls, symbol: Symbol) -> Graph:
        """Collect what leads to a symbol.

        Raises
        ------
        ArgumentError
            Where nothing is applied to the input, or more than one `layers.Input` is.
        """
        order: list[Symbol] = []
        indices: dict[Symbol, int] = {}
        source: Symbol | None = None
        waiting = [symbol]
        while waiting:  # a stack of our own: a model may be deeper than Python's
            current = waiting[-1]
            missing = [other for other in current.inputs if other not in indices]
            if current in indices or missing:
                waiting.extend(reversed(missing))
                if current in indices:
                    waiting.pop()
                continue
            waiting.pop()
            if isinstance(current.layer, InputLayer):
                if source is not None:
                    raise ArgumentError("Graph: a model has one input, got several layers.Input")
                source, indices[current] = current, INPUT
            else:
                indices[current] = len(order)
                order.append(current)
        nodes = tuple(
            Node(each.layer, tuple(indices[other] for other in each.inputs)) for each in order
        )
        return cls(nodes, input_shape=None if source is None else source.shape[1:])

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order, each once."""
        return tuple(dict.fromkeys(node.layer for node in self.nodes))

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def names(self) -> list[str]:
        """Name each node: its layer's name, with ``:2`` behind it the second time, and so on."""
        seen: dict[int, int] = {}
        names = []
        for node in self.nodes:
            times = seen[id(node.layer)] = seen.get(id(node.layer), 0) + 1
            names.append(node.layer.name if times == 1 else f"{node.layer.name}:{times}")
        return names

    def users(self) -> list[list[int]]:
        """List the nodes that take the answer of each node."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            for other in node.inputs:
                if other != INPUT:
                    users[other].append(i)
        return users

    def input_shapes(self, input_shape: Sequence[int | None]) -> list[list[Shape]]:
        """Return the shapes of the inputs of each node for an input of this shape, batch first."""
        known = read_shape("Graph", "input_shape", tuple(input_shape))
        answers: list[Shape] = []
        inputs: list[list[Shape]] = []
        for node in self.nodes:
            shapes = [known if i == INPUT else answers[i] for i in node.inputs]
            inputs.append(shapes)
            answers.append(node.layer.compute_output_shape(shape_argument(node.layer, shapes)))
        return inputs

    def shapes(self, input_shape: Sequence[int | None]) -> list[Shape]:
        """Return the shape of each node's answer for an input of this shape, batch first."""
        return [
            node.layer.compute_output_shape(shape_argument(node.layer, shapes))
            for node, shapes in zip(self.nodes, self.input_shapes(input_shape), strict=True)
        ]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Build every layer for an input of this shape, batch first."""
        for node, shapes in zip(self.nodes, self.input_shapes(input_shape), strict=True):
            try:
                node.layer.build(shape_argument(node.layer, shapes))
            except MemoryError as error:
                raise ShapeError(
                    f"{node.layer.where}: there is no memory for its weights"
                ) from error


def shape_argument(layer: Layer, shapes: list[Shape]) -> list[Shape] | Shape:
    """Return the shapes as the layer's methods take them: a list where it merges."""
    return shapes if layer.merges else shapes[0]


def name_layers(layers: Sequence[Layer]) -> None:
    """Give names to layers that have none, and refuse one name for two of them.

    Examples
    --------
    >>> from attar.layers import MaxPool2D
    >>> pools = [MaxPool2D(), MaxPool2D(name="second"), MaxPool2D()]
    >>> name_layers(pools)
    >>> [pool.name for pool in pools]
    ['max_pooling2d', 'second', 'max_pooling2d_1']
    """
    taken: set[str] = set()
    for layer in dict.fromkeys(layers):
        if layer.is_named and layer.name in taken:
            raise ArgumentError(
                f"Sequential: two layers have the name {layer.name!r}; give one of them another "
                "(layer.name = ...)"
            )
        if layer.is_named:
            taken.add(layer.name)
    for layer in layers:
        if not layer.is_named:
            layer.name = free_name(default_name(type(layer)), taken)


def free_name(name: str, taken: set[str]) -> str:
    """Return the name, with a number behind it where it is taken, and take it.

    Examples
    --------
    >>> taken = {"conv2d"}
    >>> free_name("conv2d", taken), free_name("conv2d", taken)
    ('conv2d_1', 'conv2d_2')
    """
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def _check(i: int, node: Node) -> None:
    if not isinstance(node, Node) or not isinstance(node.layer, Layer):
        raise DTypeError(f"Graph: node {i} must be a Node of a layer, got {node!r}")
    name = node.layer.name
    if isinstance(node.layer, InputLayer):
        raise ArgumentError(f"Graph: node {i} is an InputLayer; say Graph(..., input_shape=...)")
    if not node.inputs or (len(node.inputs) > 1 and not node.layer.merges):
        raise ArgumentError(
            f"Graph: node {i} ({name}) takes {'inputs' if node.layer.merges else 'one input'}, "
            f"got {node.inputs!r}"
        )
    for other in node.inputs:
        if not isinstance(other, int) or not INPUT <= other < i:
            raise ArgumentError(
                f"Graph: node {i} ({name}) takes the answer of node {other!r}; accepted are -1, "
                f"the model's input, and earlier nodes, below {i} (a graph must have no cycle)"
            )
