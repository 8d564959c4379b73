"""A graph in the making: layers with the weights of another framework, node by node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attar.arrays import Array
from attar.errors import AttarError, ModelError
from attar.graph import INPUT, Graph, Node, free_name, shape_argument
from attar.interchange.limits import DIMENSION, LAYERS, Budget, shown
from attar.layers import Layer
from attar.layers.base import Shape

__all__ = ["Assembly", "taking_over"]


@contextmanager
def taking_over(operation: str) -> Iterator[None]:
    """Make what layers say of arguments from a model an error of the model.

    Examples
    --------
    >>> from attar import layers
    >>> with taking_over("from_onnx"):
    ...     layers.ELU(float("nan"))
    Traceback (most recent call last):
    attar.errors.ModelError: from_onnx: layers.ELU: alpha must be finite, got nan
    """
    try:
        yield
    except ModelError:
        raise
    except AttarError as error:
        raise ModelError(f"{operation}: {error}") from error
    except RecursionError as error:
        raise ModelError(f"{operation}: the model's lists are too deep") from error


class Assembly:
    """Collect nodes; what comes out is a `Graph`.

    Parameters
    ----------
    operation : str
        What the caller asked for, such as ``from_onnx``: messages begin with it.
    budget : Budget, optional
        What the weights may take together.

    Examples
    --------
    >>> from attar import layers
    >>> assembly = Assembly("from_onnx")
    >>> node = assembly.add(layers.ReLU(), "relu", [INPUT], [(None, 8, 8, 3)])
    >>> assembly.shapes[node]
    (None, 8, 8, 3)
    >>> len(assembly.graph(node, (8, 8, 3)))
    1
    """

    def __init__(self, operation: str, budget: Budget | None = None) -> None:
        self.operation = operation
        self.shapes: list[Shape] = []
        self._budget = budget
        self._nodes: list[Node] = []
        self._names: set[str] = set()
        self._layers: set[int] = set()

    def refusal(self, where: str, problem: str, advice: str = "") -> ModelError:
        """Return the error for what cannot be taken over: where, what, and what to do."""
        return ModelError(f"{self.operation}: {where} {problem}{advice and '; '}{advice}")

    def add(
        self,
        layer: Layer,
        name: str,
        inputs: Sequence[int],
        shapes: Sequence[Shape],
        weights: Sequence[Array] | None = None,
    ) -> int:
        """Add a node and return its index.

        Parameters
        ----------
        layer : Layer
            A layer that was added before is used again, with the weights that it has.
        name : str
            What it is called where it comes from; a number is added where that is taken.
        inputs : sequence of int
        shapes : sequence of tuple
            The shapes of the inputs, batch first.
        weights : sequence of arrays, optional
            In the order of `Layer.weight_names`.
        """
        if len(self._nodes) >= LAYERS:
            raise ModelError(f"{self.operation}: the model has more than {LAYERS} layers")
        where = f"the layer {shown(name)} ({type(layer).__name__})"
        try:
            if id(layer) not in self._layers:
                self._layers.add(id(layer))
                layer.name = free_name(name or layer.name, self._names)
                if weights is not None:
                    self._set_weights(layer, where, weights)
            argument = shape_argument(layer, list(shapes))
            if layer.built:
                layer.build(argument)  # checks that the weights fit the input
            shape = layer.compute_output_shape(argument)
        except ModelError:
            raise
        except AttarError as error:
            raise ModelError(f"{self.operation}: {where} does not fit: {error}") from error
        if any(size is not None and size > DIMENSION for size in shape):
            raise self.refusal(where, f"would answer with the shape {shape}")
        self._nodes.append(Node(layer, tuple(inputs)))
        self.shapes.append(shape)
        return len(self._nodes) - 1

    def _set_weights(self, layer: Layer, where: str, weights: Sequence[Array]) -> None:
        for weight in weights:
            if self._budget is not None:
                self._budget.spend(weight.nbytes, f"the weights of {where}")
            if weight.dtype.name != "float32":
                raise self.refusal(
                    where,
                    f"has weights of {weight.dtype}",
                    "convert the model to float32 first",
                )
        layer.set_weights(weights)

    def graph(self, output: int, input_shape: Shape | None) -> Graph:
        """Return the graph of what leads to the output.

        Parameters
        ----------
        output : int
            The node that answers.
        input_shape : tuple of (int or None), optional
            Without the batch.
        """
        if output == INPUT:
            raise ModelError(f"{self.operation}: the model has no layers")
        needed = {output}
        for i in range(output, -1, -1):
            if i in needed:
                needed.update(self._nodes[i].inputs)
        kept = sorted(needed - {INPUT})
        places = {INPUT: INPUT, **{old: new for new, old in enumerate(kept)}}
        nodes = (self._nodes[i] for i in kept)
        with taking_over(self.operation):
            return Graph(
                tuple(Node(node.layer, tuple(places[i] for i in node.inputs)) for node in nodes),
                input_shape=input_shape,
            )
