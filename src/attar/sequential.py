"""Models: layers that are run as one."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from attar.arrays import Array, from_caller, require_float
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.fusion import Plan, Precision
from attar.graph import INPUT, Graph, Node, name_layers
from attar.layers.antialias import PoolKind, with_pool
from attar.layers.arguments import Shape, read_shape, whole_number
from attar.layers.base import InputLayer, Layer, Symbol
from attar.nn.fused import FusedConv
from attar.receptive import ReceptiveField, receptive_field
from attar.summary import Summary, summarize

__all__ = ["Sequential", "read_model"]

_PLANS = 8  # of how many shapes a model keeps plan and memory


class Sequential:
    """A model: layers one behind the other, or a graph of them, run as one.

    Parameters
    ----------
    layers : list of layers, `layers.Input` first or not, or a symbol, or a Graph
        A symbol is what a layer returned for `layers.Input(...)` or for another symbol: so models
        with branches are written.
    trainable
        For training: accepted, without effect.
    name : str, optional
    precision : {"fast", "exact"}
        ``"exact"`` allows no algorithms that save multiplications and round more.

    Raises
    ------
    ArgumentError, ShapeError (both ValueError), DTypeError (a TypeError)
        They name the layer.

    Notes
    -----
    The first call on an image makes the weights, and for each shape a plan: convolutions take
    along what follows them, and maps share memory. See `plan`.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import Sequential, layers
    >>> model = Sequential([
    ...     layers.Conv2D(filters=64, kernel_size=3),
    ...     layers.MaxPool2D(pool_size=2),
    ... ])
    >>> image = np.zeros((1, 32, 32, 3), np.float32)
    >>> model(image).shape
    (1, 15, 15, 64)
    >>> model.count_params()
    1792
    """

    def __init__(
        self,
        layers: Iterable[Layer | Symbol | Sequential] | Symbol | Graph | None = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        precision: Precision = "fast",
    ) -> None:
        self.name = "sequential" if name is None else name
        self._graph: Graph | None = None
        self._input_shape: Shape | None = None
        self._begin_plans()
        self.precision = precision
        if isinstance(layers, Symbol):
            layers = Graph.from_symbol(layers)
        if isinstance(layers, Graph):
            name_layers(layers.layers)
            self._graph = layers
            if layers.input_shape is not None:
                self._input_shape = (None, *layers.input_shape)
                self._graph.build(self._input_shape)
            return
        if isinstance(layers, Layer):
            layers = [layers]
        if layers is not None and not isinstance(layers, Iterable):
            raise DTypeError(f"Sequential: takes a list of layers, got {layers!r}")
        for layer in () if layers is None else layers:
            self.add(layer)

    def _begin_plans(self) -> None:
        self._lock = threading.Lock()
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        self._convolutions: dict[Any, FusedConv] = {}
        self._revisions: tuple[int, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        # Plans are made anew where a copy of the model runs.
        of_plans = ("_lock", "_plans", "_convolutions", "_revisions")
        return {key: value for key, value in self.__dict__.items() if key not in of_plans}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin_plans()

    def __repr__(self) -> str:
        shape = "not built" if self._input_shape is None else f"input {self._input_shape}"
        return f"<Sequential {self.name!r}: {len(self.layers)} layers, {shape}>"

    # ------------------------------------------------------------------ its layers

    def add(self, layer: Layer | Symbol | Sequential) -> None:
        """Add a layer behind the others.

        Parameters
        ----------
        layer : Layer
            Or a model, whose layers are added; or what `layers.Input` returns, before all others.
        """
        if isinstance(layer, Symbol) and not layer.inputs:
            layer = layer.layer
        if isinstance(layer, Sequential):
            self._extend(layer.graph, layer.input_shape)
            return
        if not isinstance(layer, Layer):
            raise DTypeError(f"Sequential: takes layers of attar.layers, got {layer!r}")
        if isinstance(layer, InputLayer):
            if self._graph is not None or self._input_shape is not None:
                raise ArgumentError(f"{layer.where}: an input must be the first of the layers")
            self._input_shape = layer.shape
            return
        self._extend(Graph((Node(layer),)), layer.input_shape_hint)

    def _extend(self, behind: Graph, hint: Shape | None) -> None:
        """Lay a graph behind the model, which stays as it was where that cannot be."""
        first = () if self._graph is None else self._graph.nodes
        end = INPUT if self._graph is None else self._graph.output
        nodes = [
            Node(node.layer, tuple(end if i == INPUT else len(first) + i for i in node.inputs))
            for node in behind
        ]
        graph = Graph((*first, *nodes), len(first) + behind.output)
        shape = hint if self._graph is None and self._input_shape is None else self._input_shape
        name_layers(graph.layers)
        if shape is not None:
            graph.build(shape)
        self._graph = graph
        self._set_input_shape(shape)
        self._forget_plans()

    @property
    def graph(self) -> Graph:
        """The graph of its layers, with the shape of an image where it is known."""
        if self._graph is None:
            raise ArgumentError("Sequential: the model has no layers; add one")
        return self._graph

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return [] if self._graph is None else list(self._graph.layers)

    def get_layer(self, name: str) -> Layer:
        """Return the layer of this name."""
        return self.graph.nodes[self._index(name)].layer

    @property
    def built(self) -> bool:
        """Whether all layers have their weights."""
        return bool(self.layers) and all(layer.built for layer in self.layers)

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

    @property
    def precision(self) -> Precision:
        """How products are summed: ``"fast"`` or ``"exact"``."""
        return self._precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        if precision not in ("fast", "exact"):
            raise ArgumentError(
                f"Sequential: precision must be 'fast' or 'exact', got {precision!r}"
            )
        self._precision: Precision = precision

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for an image of this shape.

        Parameters
        ----------
        input_shape : tuple of (int or None)
            With the batch: ``(None, H, W, C)``. Weights that are there already are kept.
        """
        shape = read_shape("Sequential.build", "input_shape", input_shape)
        self.graph.build(shape)
        self._set_input_shape((None, *shape[1:]))

    def _set_input_shape(self, shape: Shape | None) -> None:
        self._input_shape = shape
        if shape is not None and self._graph is not None:
            self._graph = dataclasses.replace(self._graph, input_shape=shape[1:])

    def get_weights(self) -> list[Array]:
        """Return copies of all weights, layer after layer, as Keras orders them."""
        return [weight for layer in self.layers for weight in layer.get_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take over all weights, layer after layer.

        Parameters
        ----------
        weights : sequence of arrays
            As `get_weights` returns them.
        """
        needed = sum(len(layer.weight_names()) for layer in self.layers)
        if len(weights) != needed:
            raise ShapeError(
                f"Sequential: set_weights takes {needed} arrays for these layers, "
                f"got {len(weights)}"
            )
        given = iter(weights)
        for layer in self.layers:
            layer.set_weights([next(given) for _ in layer.weight_names()])

    def count_params(self) -> int:
        """Count the numbers in all weights."""
        return sum(layer.count_params() for layer in self.layers)

    # ------------------------------------------------------------------ running it

    def __call__(self, x: Any, training: bool = False, *, out: Any = None) -> Any:
        """Compute the answer to a batch of images.

        Parameters
        ----------
        x : (N, H, W, C) array of float32 or float64, or what the first layer takes
            NumPy, or anything with ``__dlpack__`` on the CPU. A symbol gives a symbol.
        training : bool
            Must be False: attar computes what a trained model does.
        out : array, optional
            Where to write the answer; it must not overlap `x`.

        Returns
        -------
        Array of the input's dtype and kind.

        Raises
        ------
        ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)
        """
        if training:
            raise ArgumentError("Sequential: attar does not train; training must be False")
        if isinstance(x, Symbol):
            return self._apply(x)
        array, give_back = self._read(x)
        plan = self._plan(array.shape, array.dtype)
        result = plan.run(array, out)
        return give_back(result) if out is None else out

    def _apply(self, symbol: Symbol) -> Symbol:
        answers: list[Symbol] = []
        for node in self.graph:
            sources = [symbol if i == INPUT else answers[i] for i in node.inputs]
            answers.append(node.layer(sources if node.layer.merges else sources[0]))
        return answers[self.graph.output]

    def trace(self, x: Any, *, until: str | None = None) -> dict[str, Any]:
        """Compute every map, one layer after the other, nothing fused.

        Parameters
        ----------
        x : (N, H, W, C) array of float32 or float64
            As of a call.
        until : str, optional
            The layer to stop behind; by default none.

        Returns
        -------
        dict of str to array
            The maps by the names of the layers, in order; the last is the model's answer. A layer
            that is applied again has ``:2`` behind its name the second time.

        Examples
        --------
        >>> import numpy as np
        >>> from attar import Sequential, layers
        >>> model = Sequential([layers.Conv2D(4, 3), layers.ReLU()])
        >>> maps = model.trace(np.zeros((1, 8, 8, 1), np.float32))
        >>> {name: map.shape for name, map in maps.items()}
        {'conv2d': (1, 6, 6, 4), 're_lu': (1, 6, 6, 4)}
        """
        return dict(self._steps("trace", x, until))

    def steps(self, x: Any, *, until: str | None = None) -> Generator[tuple[str, Any], None, None]:
        """Compute the maps of `trace` one at a time, and keep none that is not needed any more.

        For whoever wants to show how far it is, to stop in between, or to look at the maps of a
        model too large to keep them all. A layer is computed when its map is asked for.

        Parameters
        ----------
        x, until
            As of `trace`.

        Returns
        -------
        generator of (str, array)
            Name and map, in order. Close it, or leave it, to compute no more. A map must not be
            written to before the last step: later layers read it.

        Examples
        --------
        >>> import numpy as np
        >>> from attar import Sequential, layers
        >>> model = Sequential([layers.Conv2D(4, 3), layers.ReLU(), layers.MaxPool2D()])
        >>> for name, map in model.steps(np.zeros((1, 8, 8, 1), np.float32)):
        ...     if map.max() == 0:
        ...         print(name, map.shape)
        ...         break
        conv2d (1, 6, 6, 4)
        """
        return self._steps("steps", x, until)

    def _steps(
        self, method: str, x: Any, until: str | None
    ) -> Generator[tuple[str, Any], None, None]:
        names = self.graph.names()
        if until is not None and until not in names:
            raise ArgumentError(
                f"Sequential.{method}: until must be the name of a layer, one of "
                f"{', '.join(names)}, got {until!r}"
            )
        array, give_back = self._read(x)
        if until is not None:
            names = names[: names.index(until) + 1]
        return _compute(self.graph, names, {INPUT: array}, give_back)

    def _read(self, x: Any) -> tuple[Array, Any]:
        received, give_back = from_caller("Sequential", "the input", x)
        array = require_float("Sequential", "the input", received)
        if not self.built or self._input_shape is None:
            self.graph.build(array.shape)
            self._set_input_shape((None, *array.shape[1:]))
        return array, give_back

    # ------------------------------------------------------------------ other models of it

    def with_pools(self, kind: PoolKind) -> Self:
        """Return this model with pools of another kind: the same layers, weights and shapes.

        Parameters
        ----------
        kind : {"max", "average", "blur"}
            What `MaxPooling2D`, `AveragePooling2D` and their blurred kinds become. ``"blur"`` keeps
            what a pool computes and blurs it before the stride: `MaxBlurPooling2D` and
            `AverageBlurPooling2D`. A pool without a stride then stays as it is, since nothing is
            left out behind it. Global pools stay.

        Returns
        -------
        Sequential
            Layers have the names that they had. This model stays as it is: memory of weights is
            shared until one of the two gets others.

        Raises
        ------
        ArgumentError (a ValueError)

        Examples
        --------
        >>> from attar import Sequential, layers
        >>> model = Sequential([layers.Input((9, 9, 1)), layers.Conv2D(4, 3), layers.MaxPool2D()])
        >>> blurred = model.with_pools("blur")
        >>> blurred.layers, blurred.output_shape == model.output_shape
        ([<Conv2D 'conv2d'>, <MaxBlurPooling2D 'max_pooling2d'>], True)
        """
        # Weights are never written to, only replaced: a shallow copy of a layer is another layer.
        copies = {
            id(layer): with_pool("Sequential.with_pools", layer, kind) or copy.copy(layer)
            for layer in self.graph.layers
        }
        nodes = (dataclasses.replace(node, layer=copies[id(node.layer)]) for node in self.graph)
        graph = dataclasses.replace(self.graph, nodes=tuple(nodes))
        return type(self)(graph, name=self.name, precision=self.precision)

    # ------------------------------------------------------------------ what it is and costs

    def plan(self, input_shape: Sequence[int | None] | None = None, dtype: Any = "float32") -> Plan:
        """Return what the model does with an input of this shape: print it.

        Parameters
        ----------
        input_shape : tuple of int, optional
            ``(N, H, W, C)``; N may be None, and then is 1. By default one image of the shape that
            the model was built for.
        dtype : {"float32", "float64"}

        Returns
        -------
        Plan
            The steps, the layers that each one computes, and where in memory. It is kept, and used
            when the model is called.

        Examples
        --------
        >>> from attar import Sequential, layers
        >>> model = Sequential([layers.Conv2D(8, 3), layers.ReLU(), layers.MaxPool2D()])
        >>> print(model.plan((1, 32, 32, 3)))
        Plan for 1 × 32 × 32 × 3, float32
        step  layers                          path  answer           written to  multiply-adds
        ──────────────────────────────────────────────────────────────────────────────────────
           0  conv2d + re_lu + max_pooling2d  rows  1 × 15 × 15 × 8  output            194 400
        multiply-adds   194 400
        peak memory     7.0 KiB: maps 0 B, workspace 0 B, answer 7.0 KiB
        without fusing  63.3 KiB, every map kept
        """
        shape = self._known_shape("plan", input_shape)
        try:
            kind = np.dtype(dtype)
        except TypeError:
            kind = np.dtype(object)
        if kind not in (np.float32, np.float64):
            raise DTypeError(f"Sequential.plan: dtype must be float32 or float64, got {dtype!r}")
        if not self.built or self._input_shape is None:
            self.build((None, *shape[1:]))
        return self._plan(shape, kind)

    def _known_shape(self, method: str, given: Sequence[int | None] | None) -> tuple[int, ...]:
        if given is None:
            given = self._input_shape
        if given is None:
            raise ArgumentError(
                f"Sequential.{method}: the shape of an image is not known; call the model on one, "
                "or build((None, H, W, C))"
            )
        shape = read_shape(f"Sequential.{method}", "input_shape", given)
        sizes = tuple(
            size for size in (1 if shape[0] is None else shape[0], *shape[1:]) if (size is not None)
        )
        if len(sizes) != len(shape):
            raise ShapeError(
                f"Sequential.{method}: all sizes must be known, got {shape}; pass input_shape"
            )
        return sizes

    def _plan(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plan:
        key = (shape, dtype, self._precision)
        revisions = tuple(layer.revision for layer in self.graph.layers)
        with self._lock:
            if revisions != self._revisions:  # weights have changed, and some are folded
                self._forget_plans()
                self._revisions = revisions
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
            self.graph.build(shape)
            plan = Plan(
                self.graph,
                shape,
                dtype,
                precision=self._precision,
                convolutions=self._convolutions,
            )
            self._plans[key] = plan
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
            return plan

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._convolutions.clear()

    def summary(self, input_shape: Sequence[int | None] | None = None) -> Summary:
        """Return the model layer by layer: shapes, weights, work, receptive fields, memory.

        Parameters
        ----------
        input_shape : tuple of (int or None), optional
            ``(None, H, W, C)``; by default that which the model was built for.

        Returns
        -------
        Summary
            Print it for a table; its attributes are the numbers.

        Examples
        --------
        >>> from attar import Sequential, layers
        >>> model = Sequential([layers.Conv2D(8, 3, activation="relu"), layers.MaxPool2D()])
        >>> model.build((None, 32, 32, 3))
        >>> summary = model.summary()
        >>> summary.parameters, summary.layers[1].receptive_field, summary.layers[1].stride
        (224, (4, 4), (2, 2))
        """
        shape = self._known_shape("summary", input_shape)
        return summarize(self.name, self.graph, self.plan((1, *shape[1:])))

    def receptive_field(
        self,
        layer: str | Layer,
        at: Sequence[int] | None = None,
        *,
        input_shape: Sequence[int | None] | None = None,
    ) -> ReceptiveField:
        """Return what a pixel of a layer's map looks at.

        Parameters
        ----------
        layer : str or Layer
            Its name, or itself.
        at : (y, x), optional
            The pixel; by default that in the middle of the map.
        input_shape : tuple of (int or None), optional
            ``(None, H, W, C)``; by default that which the model was built for.

        Returns
        -------
        ReceptiveField
            Size, stride, and the box of the image behind the pixel.

        Examples
        --------
        >>> from attar import Sequential, layers
        >>> model = Sequential([layers.Conv2D(8, 3, padding="same"), layers.MaxPool2D()])
        >>> model.build((None, 32, 32, 3))
        >>> field = model.receptive_field("max_pooling2d", at=(0, 5))
        >>> field.size, field.stride
        ((4, 4), (2, 2))
        >>> field.box, field.unclipped.top
        (Box(top=0, bottom=3, left=9, right=13), -1)
        """
        index = self._index(layer)
        shape = self._known_shape("receptive_field", input_shape)
        answer = self.graph.shapes(shape)[index]
        height, width = (answer[1] or 1, answer[2] or 1) if len(answer) == 4 else (1, 1)
        if at is None:
            at = (height // 2, width // 2)
        elif not isinstance(at, list | tuple) or len(at) != 2:
            raise ArgumentError(f"Sequential.receptive_field: at must be (y, x), got {at!r}")
        y, x = (whole_number("Sequential.receptive_field", "at", o, 0) for o in at)
        if y >= height or x >= width:
            raise ArgumentError(
                f"Sequential.receptive_field: the map of {self.graph.names()[index]!r} has "
                f"{height} × {width} pixels, got at={tuple(at)}"
            )
        return receptive_field(self.graph, index, self.graph.names()[index], shape, (y, x))

    def _index(self, layer: str | Layer) -> int:
        names = self.graph.names()
        if isinstance(layer, str) and layer in names:
            return names.index(layer)
        for i, node in enumerate(self.graph):
            if node.layer is layer:
                return i
        raise ArgumentError(
            f"Sequential: there is no layer {layer!r}; there are {', '.join(names)}"
        )

    # ------------------------------------------------------------------ from and to files

    @classmethod
    def from_keras(cls, model: Any) -> Self:
        """Take over a Keras 3 model, or a ``.keras`` file without importing Keras.

        Parameters
        ----------
        model : keras.Model or path

        Raises
        ------
        ModelError (a ValueError)
            A layer cannot be taken over, and what to do; or the file lies about itself.
        ModelNotFoundError (a FileNotFoundError)

        See Also
        --------
        attar.interchange.keras.read : what is taken over.
        """
        from attar.interchange import keras

        return cls(keras.read(model))

    @classmethod
    def from_torch(cls, module: Any, input_shape: Any = None) -> Self:
        """Take over a PyTorch module, as it is in evaluation. Images become channels last.

        Parameters
        ----------
        module : torch.nn.Module
            That `torch.fx.symbolic_trace` follows, on the CPU.
        input_shape : tuple of int or None, optional
            (H, W, C) of its images, in attar's order, where a layer depends on their size.

        Raises
        ------
        ModelError (a ValueError)
            A module or function cannot be taken over, and what to do.

        See Also
        --------
        attar.interchange.torch.read : what is taken over.
        """
        from attar.interchange import torch

        return cls(torch.read(module, input_shape))

    @classmethod
    def from_onnx(
        cls, path: str | PathLike[str], *, layout: Literal["NCHW", "NHWC"] | None = None
    ) -> Self:
        """Take over an ONNX model. Images become channels last.

        Parameters
        ----------
        path : path
            Weights in other files must lie in its folder.
        layout : {"NCHW", "NHWC"}, optional
            Of the images that the file's model takes, where the file does not tell.

        Raises
        ------
        ModelError (a ValueError)
            A node cannot be taken over, and what to do; or the file lies about itself.
        ModelNotFoundError (a FileNotFoundError)

        See Also
        --------
        attar.interchange.onnx.read : what is taken over.
        """
        from attar.interchange import onnx

        return cls(onnx.read(path, layout=layout))

    def to_onnx(
        self, path: str | PathLike[str], *, layout: Literal["NCHW", "NHWC"] = "NCHW"
    ) -> None:
        """Write the model as ONNX, with any number of images in a batch.

        Parameters
        ----------
        path : path
            Replaced as a whole, or left as it was.
        layout : {"NCHW", "NHWC"}, default "NCHW"
            Of the images that the file's model takes.

        Raises
        ------
        ModelError (a ValueError)
            A layer has no counterpart in ONNX.
        """
        from attar.interchange import onnx

        onnx.write(self.graph, self.graph.input_shape, path, layout=layout)

    def save(self, path: str | PathLike[str]) -> None:
        """Write layers and weights as safetensors, which holds no code.

        Parameters
        ----------
        path : path
            Replaced as a whole, or left as it was.
        """
        from attar.interchange import safetensors

        safetensors.write(self.graph, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a model that `save` wrote: the same layers, the same weights to the bit.

        Raises
        ------
        ModelError (a ValueError)
            The file is not one of these, or lies about itself.
        ModelNotFoundError (a FileNotFoundError)

        Examples
        --------
        >>> import tempfile, pathlib
        >>> from attar import Sequential, layers
        >>> model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.MaxPool2D()])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "model.safetensors"
        ...     model.save(path)
        ...     Sequential.load(path).output_shape
        (None, 3, 3, 2)
        """
        from attar.interchange import safetensors

        return cls(safetensors.read(path))


def _compute(
    graph: Graph, names: list[str], maps: dict[int, Array], give_back: Callable[[Array], Any]
) -> Generator[tuple[str, Any], None, None]:
    """Compute the first nodes of a graph, as many as there are names.

    `maps` holds those that are still needed, at first the image.
    """
    nodes = graph.nodes[: len(names)]
    last_use = {source: i for i, node in enumerate(nodes) for source in node.inputs}
    for i, (name, node) in enumerate(zip(names, nodes, strict=True)):
        maps[i] = node.layer.call(*(maps[source] for source in node.inputs))
        for source in set(node.inputs):
            if last_use[source] == i:
                del maps[source]
        # No name is given to the map here: it would be kept while the next layer is computed.
        yield name, give_back(maps[i] if i in last_use else maps.pop(i))


def read_model(operation: str, path: str | PathLike[str]) -> Sequential:
    """Read a model by the suffix of its file: .keras, .onnx or .safetensors.

    Raises
    ------
    ArgumentError (a ValueError)
        The suffix is another one.
    ModelError (a ValueError), ModelNotFoundError (a FileNotFoundError)
        As the readers raise them.
    """
    readers: dict[str, Callable[[str | PathLike[str]], Sequential]] = {
        ".keras": Sequential.from_keras,
        ".onnx": Sequential.from_onnx,
        ".safetensors": Sequential.load,
    }
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        raise ArgumentError(
            f"{operation}: the suffix of {fspath(path)!r} does not say what model it is; accepted "
            f"are {', '.join(readers)}"
        )
    return reader(path)
