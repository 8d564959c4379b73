"""Graphs written as ONNX models."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from attar import layers
from attar.arrays import Array
from attar.errors import ArgumentError, ModelError
from attar.files import atomic_path
from attar.graph import INPUT, Graph, free_name
from attar.interchange.limits import shown
from attar.layers import Layer
from attar.layers.base import Shape

if TYPE_CHECKING:
    import onnx

__all__ = ["write"]

# (version of the operators, of the format): of 2022, which runtimes in the field read, unless an
# operator came later.
VERSIONS = (17, 8)
VERSIONS_SINCE = {"Gelu": (20, 9)}
MODEL_BYTES = 2**31 - 2**20  # a protocol buffer holds 2 GiB
# What ONNX calls the axes of an image, in attar's order (docs/DimensionDenotation.md of onnx).
DENOTATIONS = ("DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL")
TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def write(
    graph: Graph,
    input_shape: Sequence[int | None] | None,
    path: str | os.PathLike[str],
    *,
    layout: Literal["NCHW", "NHWC"] = "NCHW",
) -> None:
    """Write a graph as an ONNX model; the file appears whole or not at all.

    The model takes ``input`` and has any number of images in a batch. Nodes and their answers have
    the names of the layers.

    Parameters
    ----------
    graph : Graph
        With every layer built.
    input_shape : (H, W, C), or None for that of the graph
        H and W may be None: the model then takes images of any size.
    path : path
    layout : {"NCHW", "NHWC"}
        Of the images that the model takes and of the map that it answers with, if it answers with
        one. "NCHW" is what ONNX models have. "NHWC" takes images as attar does: it puts one
        transposition in front. The model says which it is, in the denotations of its axes.

    Raises
    ------
    ModelError (a ValueError)
        A layer is not built, or has no counterpart in ONNX.
    ArgumentError (a ValueError)

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> graph = Graph.chain([layers.Conv2D(4, 3), layers.ReLU()], input_shape=(8, 8, 3))
    >>> graph.build((None, 8, 8, 3))
    >>> file = Path(tempfile.mkdtemp()) / "model.onnx"
    >>> write(graph, None, file)
    >>> import onnx
    >>> [node.op_type for node in onnx.load(file).graph.node]
    ['Conv', 'Relu']
    """
    if layout not in ("NCHW", "NHWC"):
        raise ArgumentError(f"to_onnx: layout must be 'NCHW' or 'NHWC', got {layout!r}")
    shape = graph.input_shape if input_shape is None else tuple(input_shape)
    if shape is None:
        raise ArgumentError(
            "to_onnx: the shape of an image is not known; build the model "
            "(model.build((None, H, W, C)))"
        )
    try:
        import onnx
    except ImportError as error:
        raise ModelError(
            "to_onnx needs the package onnx; install it with pip install 'attar[models]'"
        ) from error
    model = _Writer(graph, (None, *shape), layout == "NCHW").model()
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the model; its shape is in attar's order, whatever its layout."""

    name: str
    shape: Shape
    channels_first: bool

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def source_shape(self) -> Shape:
        return tuple(self.shape[a] for a in TO_FIRST) if self.channels_first else self.shape

    def axis(self, axis: int) -> int:
        """Return where an axis of ours is in the model's layout."""
        axis %= self.rank
        return TO_FIRST.index(axis) if self.channels_first else axis


class _Writer:
    def __init__(self, graph: Graph, input_shape: Shape, channels_first: bool) -> None:
        self._graph = graph
        self._shapes = graph.shapes(input_shape)
        self._input_shape = input_shape
        self._channels_first = channels_first and len(input_shape) == 4
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._names: set[str] = set()
        self._turned: dict[str, _Tensor] = {}
        self._size_bytes = 0

    def model(self) -> onnx.ModelProto:
        """Write node after node."""
        from onnx import helper

        start = _Tensor(self.free("input"), self._input_shape, self._channels_first)
        answers: list[_Tensor] = []
        for node, shape, name in zip(self._graph, self._shapes, self._graph.names(), strict=True):
            layer = node.layer
            if layer.weight_names() and not layer.built:
                raise ModelError(
                    f"to_onnx: the layer {shown(layer.name)} has no weights yet; build the model "
                    "(model.build((None, H, W, C)))"
                )
            emit = _LAYERS.get(type(layer).__name__)
            if emit is None:
                raise ModelError(
                    f"to_onnx: the layer {shown(layer.name)} ({type(layer).__name__}) has no "
                    "counterpart in ONNX"
                )
            inputs = [start if i == INPUT else answers[i] for i in node.inputs]
            answers.append(emit(self, layer, self.free(name), shape, inputs))
        answer = answers[self._graph.output]
        answer = self.first(answer) if self._channels_first else self.last(answer)
        graph = helper.make_graph(
            self._nodes,
            "attar",
            [self._value(start)],
            [self._value(answer)],
            list(self._weights.values()),
        )
        opset, ir_version = max(VERSIONS_SINCE.get(n.op_type, VERSIONS) for n in self._nodes)
        return helper.make_model(
            graph,
            producer_name="attar",
            ir_version=ir_version,
            opset_imports=[helper.make_opsetid("", opset)],
        )

    def _value(self, tensor: _Tensor) -> onnx.ValueInfoProto:
        from onnx import TensorProto, helper

        letters = "NHWC" if tensor.rank == 4 else "N" + "ABCDEFG"[: tensor.rank - 1]
        order = TO_FIRST if tensor.channels_first else range(tensor.rank)
        sizes = [letters[a] if tensor.shape[a] is None else tensor.shape[a] for a in order]
        value = helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, sizes)
        if tensor.rank == 4:
            for dim, axis in zip(value.type.tensor_type.shape.dim, order, strict=True):
                dim.denotation = DENOTATIONS[axis]
        return value

    # ------------------------------------------------------------------ nodes and weights

    def free(self, name: str) -> str:
        """Return a name that no other tensor has."""
        return free_name(name, self._names)

    def node(
        self,
        kind: str,
        name: str,
        inputs: Sequence[_Tensor | str],
        shape: Shape | None = None,
        channels_first: bool | None = None,
        **attributes: Any,
    ) -> _Tensor:
        """Add an operator; of its answer, what is not said is as of its first input."""
        from onnx import helper

        first = inputs[0]
        assert isinstance(first, _Tensor)
        names = [x.name if isinstance(x, _Tensor) else x for x in inputs]
        self._nodes.append(helper.make_node(kind, names, [name], name=name, **attributes))
        return _Tensor(
            name,
            first.shape if shape is None else shape,
            first.channels_first if channels_first is None else channels_first,
        )

    def weight(self, name: str, array: Array) -> str:
        """Add a constant and return its name; a layer that is used twice has one."""
        from onnx import numpy_helper

        if name not in self._weights:
            self._size_bytes += array.nbytes
            if self._size_bytes > MODEL_BYTES:
                raise ModelError("to_onnx: the weights take more than 2 GiB, which no file holds")
            self._names.add(name)
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def first(self, x: _Tensor) -> _Tensor:
        """Return maps with channels first."""
        return x if x.channels_first or x.rank != 4 else self._turn(x, TO_FIRST, True)

    def last(self, x: _Tensor) -> _Tensor:
        """Return maps with channels last."""
        return self._turn(x, TO_LAST, False) if x.channels_first else x

    def _turn(self, x: _Tensor, order: tuple[int, ...], channels_first: bool) -> _Tensor:
        if x.name not in self._turned:
            name = self.free(f"{x.name}/{'NCHW' if channels_first else 'NHWC'}")
            self._turned[x.name] = self.node(
                "Transpose", name, [x], channels_first=channels_first, perm=order
            )
        return self._turned[x.name]

    def alike(self, inputs: Sequence[_Tensor]) -> list[_Tensor]:
        """Return tensors in one layout: channels first where one is."""
        if any(x.channels_first for x in inputs):
            return [self.first(x) for x in inputs]
        return list(inputs)

    def activated(self, activation: str | None, x: _Tensor, name: str) -> _Tensor:
        """Apply an activation function by its name."""
        if activation is None:
            return x
        if activation == "softmax":
            return self.node("Softmax", name, [x], axis=x.axis(-1))
        if activation == "relu6":
            return self.clip(x, name, 0, 6)
        if activation == "silu":
            gate = self.node("Sigmoid", self.free(f"{name}/sigmoid"), [x])
            return self.node("Mul", name, [x, gate])
        kind, attributes = _ACTIVATIONS[activation]
        return self.node(kind, name, [x], **attributes)

    def clip(self, x: _Tensor, name: str, low: float | None, high: float | None) -> _Tensor:
        """Keep numbers in an interval."""
        bounds = [
            "" if bound is None else self.weight(f"clip/{bound:.9g}", np.array(bound, np.float32))
            for bound in (low, high)
        ]
        return self.node("Clip", name, [x, *bounds])

    def scaled(self, x: _Tensor, name: str, layer: Layer, scale: Array, shift: Array) -> _Tensor:
        """Multiply and add: numbers, or one for each channel."""
        shape = (-1, 1, 1) if x.channels_first else (-1,)
        factor = self.weight(f"{layer.name}/scale", scale.reshape(shape))
        summand = self.weight(f"{layer.name}/offset", shift.reshape(shape))
        product = self.node("Mul", self.free(f"{name}/scaled"), [x, factor])
        return self.node("Add", name, [product, summand])

    def padding(self, layer: Any, x: _Tensor) -> dict[str, Any]:
        """Return padding as attributes: in numbers, where it does not depend on the image."""
        if layer.padding == "valid":
            return {}
        if layer.padding != "same":
            (top, bottom), (left, right) = layer.padding
            return {"pads": [top, left, bottom, right]}
        sizes = x.shape[1:3]
        if None in sizes and layer.strides != (1, 1):
            return {"auto_pad": "SAME_UPPER"}
        # With a stride of 1 the padding is that of any size which the window fits into.
        known = [2**20 if size is None else size for size in sizes]
        axes = layer.windows((1, *known, x.shape[3]))
        pads = [axis.pad_before for axis in axes] + [axis.pad_after for axis in axes]
        return {"pads": pads}

    def ceiling(self, layer: Any, x: _Tensor) -> dict[str, Any]:
        """Return what keeps the last windows, in numbers where it does not depend on the image.

        Up to version 22, ONNX does not say which windows ceil_mode drops; padding does.
        """
        if None in x.shape[1:3]:
            return {"ceil_mode": 1}
        axes = layer.windows((1, *x.shape[1:]))
        after = [
            (axis.out - 1) * stride + window - axis.pad_before - size
            for axis, stride, window, size in zip(
                axes, layer.strides, layer.pool_size, x.shape[1:3], strict=True
            )
        ]
        return {"pads": [axis.pad_before for axis in axes] + [max(0, pad) for pad in after]}


_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {}),
    "gelu": ("Gelu", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "tanh": ("Tanh", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
}

# ------------------------------------------------------------------ layers

Emit: TypeAlias = Callable[[_Writer, Any, str, Shape, list[_Tensor]], _Tensor]


def _conv(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    x = w.first(inputs[0])
    kernel = layer.filters_as_conv2d().transpose(3, 2, 0, 1)
    weights = [w.weight(f"{layer.name}/kernel", kernel)]
    if layer.use_bias:
        weights.append(w.weight(f"{layer.name}/bias", layer.weight("bias")))
    return _with_activation(
        w, layer, name, "Conv", [x, *weights], shape, True,
        kernel_shape=layer.kernel_size, strides=layer.strides, dilations=layer.dilation_rate,
        group=(x.shape[3] or 0) // kernel.shape[1], **w.padding(layer, x),
    )  # fmt: skip


def _with_activation(
    w: _Writer, layer: Any, name: str, kind: str, inputs: list[Any], shape: Shape,
    channels_first: bool, **attributes: Any,
) -> _Tensor:  # fmt: skip
    linear = name if layer.activation is None else w.free(f"{name}/linear")
    x = w.node(kind, linear, inputs, shape, channels_first, **attributes)
    return w.activated(layer.activation, x, name)


def _dense(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    x = w.last(inputs[0])
    weights: list[Any] = [w.weight(f"{layer.name}/kernel", layer.weight("kernel"))]
    bias = [w.weight(f"{layer.name}/bias", layer.weight("bias"))] if layer.use_bias else []
    if x.rank == 2:
        return _with_activation(w, layer, name, "Gemm", [x, *weights, *bias], shape, False)
    if not bias:
        return _with_activation(w, layer, name, "MatMul", [x, *weights], shape, False)
    product = w.node("MatMul", w.free(f"{name}/product"), [x, *weights], shape, False)
    return _with_activation(w, layer, name, "Add", [product, *bias], shape, False)


def _pool(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    x = w.first(inputs[0])
    averages = isinstance(layer, layers.AveragePooling2D)
    attributes = w.padding(layer, x)
    if layer.ceil_mode and layer.padding != "same":
        counts_padding = averages and layer.count_include_pad
        attributes.update({"ceil_mode": 1} if counts_padding else w.ceiling(layer, x))
    kind = "MaxPool"
    if averages:
        kind = "AveragePool"
        attributes["count_include_pad"] = int(layer.count_include_pad)
    return w.node(
        kind, name, [x], shape, True,
        kernel_shape=layer.pool_size, strides=layer.strides, **attributes,
    )  # fmt: skip


def _global_pool(kind: str) -> Emit:
    def pool(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
        x = w.first(inputs[0])
        maps: Shape = (shape[0], 1, 1, shape[-1])
        if layer.keepdims:
            return w.node(kind, name, [x], maps, True)
        pooled = w.node(kind, w.free(f"{name}/maps"), [x], maps, True)
        return w.node("Flatten", name, [pooled], shape, False, axis=1)

    return pool


def _batch_norm(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    x = w.first(inputs[0])
    if x.rank not in (2, 4):
        return w.scaled(x, name, layer, *layer.factors(np.float32))
    units = np.ones(shape[-1] or 0, np.float32)
    missing = {"gamma": units, "beta": 0 * units}
    weights = [
        w.weight(
            f"{layer.name}/{part}",
            layer.weight(part) if part in layer.weight_names() else missing[part],
        )
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    ]
    return w.node("BatchNormalization", name, [x, *weights], epsilon=layer.epsilon)


def _rescaling(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    numbers = [np.asarray(number, np.float32) for number in (layer.scale, layer.offset)]
    return w.scaled(inputs[0], name, layer, *numbers)


def _activation(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    if layer.activation is None:
        return w.node("Identity", name, inputs)
    return w.activated(layer.activation, inputs[0], name)


def _relu(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    (x,) = inputs
    if layer.threshold:
        raise ModelError(
            f"to_onnx: the layer {shown(layer.name)} (ReLU) has threshold={layer.threshold}, which "
            "ONNX does not have; 0 can be written"
        )
    if layer.is_plain:
        return w.node("Relu", name, [x])
    if not layer.negative_slope:
        return w.clip(x, name, 0, layer.max_value)
    slope = layer.negative_slope
    if layer.max_value is None:
        return w.node("LeakyRelu", name, [x], alpha=slope)
    leaky = w.node("LeakyRelu", w.free(f"{name}/leaky"), [x], alpha=slope)
    return w.clip(leaky, name, None, layer.max_value)


def _prelu(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    (x,) = inputs
    slopes = layer.weight("alpha")
    if x.channels_first:
        slopes = slopes.transpose(2, 0, 1)
    return w.node("PRelu", name, [x, w.weight(f"{layer.name}/alpha", slopes)])


def _softmax(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    return w.node("Softmax", name, inputs, axis=inputs[0].axis(layer.axis))


def _simple(kind: str, **arguments: str) -> Emit:
    """Write one operator; arguments name the layer's attributes."""

    def emit(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
        attributes = {name: getattr(layer, source) for name, source in arguments.items()}
        return w.node(kind, name, inputs, **attributes)

    return emit


def _merge(pairwise: str, variadic: str = "") -> Emit:
    def merge(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
        first, *rest = w.alike(inputs)
        if variadic and len(rest) != 1:
            return w.node(variadic, name, [first, *rest], shape)
        for i, other in enumerate(rest):
            part = name if i == len(rest) - 1 else w.free(f"{name}/part")
            first = w.node(pairwise, part, [first, other], shape)
        return first

    return merge


def _concatenate(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    alike = w.alike(inputs)
    return w.node("Concat", name, alike, shape, axis=alike[0].axis(layer.axis))


def _flatten(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    (x,) = inputs
    if x.shape[1:-1] != (1, 1):
        x = w.last(x)
    return w.node("Flatten", name, [x], shape, False, axis=1)


def _reshape(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    target = np.array([0, *layer.target_shape], np.int64)  # 0 keeps the batch
    weight = w.weight(f"{layer.name}/shape", target)
    return w.node("Reshape", name, [w.last(inputs[0]), weight], shape, False)


def _permute(w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]) -> _Tensor:
    return w.node("Transpose", name, [w.last(inputs[0])], shape, False, perm=[0, *layer.dims])


def _zero_padding(
    w: _Writer, layer: Any, name: str, shape: Shape, inputs: list[_Tensor]
) -> _Tensor:
    x = w.first(inputs[0])
    (top, bottom), (left, right) = layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return w.node("Pad", name, [x, w.weight(f"{layer.name}/pads", pads)], shape, mode="constant")


_LAYERS: dict[str, Emit] = {
    "Activation": _activation,
    "Add": _merge("Add", "Sum"),
    "Average": _merge("Mean", "Mean"),
    "AveragePooling2D": _pool,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _conv,
    "Dense": _dense,
    "DepthwiseConv2D": _conv,
    "Dropout": _simple("Identity"),
    "ELU": _simple("Elu", alpha="alpha"),
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_pool("GlobalAveragePool"),
    "GlobalMaxPooling2D": _global_pool("GlobalMaxPool"),
    "Identity": _simple("Identity"),
    "LeakyReLU": _simple("LeakyRelu", alpha="negative_slope"),
    "MaxPooling2D": _pool,
    "Maximum": _merge("Max", "Max"),
    "Minimum": _merge("Min", "Min"),
    "Multiply": _merge("Mul"),
    "PReLU": _prelu,
    "Permute": _permute,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "SpatialDropout2D": _simple("Identity"),
    "Subtract": _merge("Sub"),
    "ZeroPadding2D": _zero_padding,
}
