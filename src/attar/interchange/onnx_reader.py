"""ONNX models: each operator taken over as a layer with channels last."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from attar import layers
from attar.arrays import Array
from attar.errors import ArgumentError, ModelError
from attar.graph import Graph
from attar.interchange.assembly import taking_over
from attar.interchange.channels_first import (
    NCHW,
    NHWC,
    UNKNOWN,
    ChannelsFirst,
    Value,
    plain_padding,
)
from attar.interchange.limits import (
    DIMENSION,
    LAYERS,
    Budget,
    check_protobuf,
    file_of,
    shown,
    shown_path,
)
from attar.interchange.tensors import Tensors
from attar.layers import Layer

if TYPE_CHECKING:
    import onnx

__all__ = ["NAME_LENGTH", "OLDEST_OPSET", "opset_of", "read", "read_bytes", "told_layout"]

OPERATION = "from_onnx"
OLDEST_OPSET = 7
NAME_LENGTH = 200


def read(path: str | os.PathLike[str], *, layout: Literal["NCHW", "NHWC"] | None = None) -> Graph:
    """Read an ONNX model as a graph of layers.

    Parameters
    ----------
    path : path
        Of a model with one input, one output and float32 weights. Weights in other files must lie
        in its folder.
    layout : {"NCHW", "NHWC"}, optional
        Of the images that the model takes. By default what the denotations of its axes say; else
        "NHWC" if the first that happens to images is a transposition to "NCHW", as in models that
        come from TensorFlow; else "NCHW".

    Returns
    -------
    Graph
        Images are (N, H, W, C), and so is every map, whichever layout the model has. Vectors are
        in the model's order. Layers have the names of the nodes.

    Raises
    ------
    ModelError (a ValueError)
        The file is damaged or says what is not so; or an operator cannot be taken over, which then
        is named, with what to do.
    ModelNotFoundError (a FileNotFoundError)

    Examples
    --------
    >>> read("missing.onnx")
    Traceback (most recent call last):
    attar.errors.ModelNotFoundError: from_onnx: there is no file 'missing.onnx'
    """
    if layout not in (None, "NCHW", "NHWC"):
        raise ArgumentError(f"{OPERATION}: layout must be 'NCHW', 'NHWC' or None, got {layout!r}")
    file = file_of(OPERATION, path)
    return _parse(file.read_bytes(), shown_path(file), file.parent, layout)


def read_bytes(data: bytes, *, layout: Literal["NCHW", "NHWC"] | None = None) -> Graph:
    """Read the bytes of an ONNX file that must hold all of its weights.

    For files from people who are not trusted with names of other files.

    Parameters
    ----------
    data : bytes
    layout : {"NCHW", "NHWC"}, optional
        As of `read`.

    Raises
    ------
    ModelError (a ValueError)
        As of `read`; or weights are in another file.

    Examples
    --------
    >>> read_bytes(b"no model")
    Traceback (most recent call last):
    attar.errors.ModelError: from_onnx: the file is not an ONNX model, or it is cut off
    """
    return _parse(data, "the file", None, layout)


def _parse(data: bytes, called: str, folder: Path | None, layout: str | None) -> Graph:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ModelError(
            f"{OPERATION} needs the package onnx; install it with pip install 'attar[models]'"
        ) from error
    check_protobuf(OPERATION, data)
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ModelError(f"{OPERATION}: {called} is not an ONNX model, or it is cut off") from error
    budget = Budget(OPERATION, len(data))
    del data
    with taking_over(OPERATION):
        return _Reader(model, Tensors(OPERATION, folder, budget), budget).read(layout)


def opset_of(operation: str, model: onnx.ModelProto) -> int:
    """Return the version of the operators of a model.

    Raises
    ------
    ModelError
        It says none or several, or one that is not read.
    """
    from onnx.defs import onnx_opset_version

    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    newest = onnx_opset_version()
    if len(versions) != 1 or not OLDEST_OPSET <= versions[0] <= newest:
        raise ModelError(
            f"{operation}: the model has operators of version {list(versions[:8]) or 'unknown'}; "
            f"versions {OLDEST_OPSET} to {newest} are read. Convert it with onnx.version_converter"
        )
    return int(versions[0])


def told_layout(image: onnx.ValueInfoProto, users: Mapping[str, onnx.NodeProto]) -> str:
    """Return the layout of an input of rank 4, "NCHW" or "NHWC", by all that the model says.

    Parameters
    ----------
    image : onnx.ValueInfoProto
    users : mapping of str to onnx.NodeProto
        A node that takes each tensor.
    """
    name, denotations = image.name, [dim.denotation for dim in image.type.tensor_type.shape.dim]
    if denotations.count("DATA_CHANNEL") == 1:
        return "NHWC" if denotations[3] == "DATA_CHANNEL" else "NCHW"
    seen = 0
    while name in users and seen < LAYERS:
        node = users[name]
        if node.op_type == "Transpose":
            to_first = any(list(a.ints) == [0, 3, 1, 2] for a in node.attribute)
            return "NHWC" if to_first else "NCHW"
        if node.op_type not in ("Add", "Sub", "Mul", "Div", "Identity", "Cast"):
            break
        name = next(iter(node.output), "")
        seen += 1
    return "NCHW"


class _Operator:
    """A node of the model: its inputs and attributes, checked when they are asked for."""

    def __init__(self, reader: _Reader, node: onnx.NodeProto) -> None:
        self.kind = node.op_type
        first = next(iter(node.output), "")
        name = node.name or first or node.op_type
        if isinstance(name, bytes):  # what is not UTF-8
            name = name.decode("utf-8", "replace")
        self.name = name.lstrip("/")[:NAME_LENGTH]
        self.where = f"the node {shown(node.name or first)} ({shown(node.op_type)[1:-1]})"
        self.inputs = list(node.input)
        self.outputs = list(node.output)
        self._reader = reader
        self._attributes = {attribute.name: attribute for attribute in node.attribute}

    def has(self, i: int) -> bool:
        return i < len(self.inputs) and bool(self.inputs[i])

    def any(self, i: int) -> Value | Array:
        """Return an input: a map, or a constant."""
        if not self.has(i):
            raise self._reader.refusal(self.where, f"has no input {i}")
        return self._reader.known(self.inputs[i], self.where)

    def map(self, i: int = 0) -> Value:
        value = self.any(i)
        if not isinstance(value, Value):
            raise self._reader.refusal(self.where, f"computes with a constant, {self.inputs[i]!r}")
        return value

    def constant(self, i: int) -> Array:
        value = self.any(i)
        if isinstance(value, Value):
            raise self._reader.refusal(
                self.where,
                f"has an input that is computed, {shown(self.inputs[i])}, where weights are read",
                "fold constants (for example with onnxsim), or cut the model before it",
            )
        return value

    def optional(self, i: int) -> Array | None:
        return self.constant(i) if self.has(i) else None

    def integers(self, i: int) -> list[int] | None:
        """Return a constant input as whole numbers."""
        if not self.has(i):
            return None
        values = self.constant(i)
        if values.dtype.kind != "i" or values.size > 64:
            raise self._reader.refusal(self.where, f"has numbers of {values.dtype} as input {i}")
        return [int(value) for value in values.ravel()]

    def attribute(self, name: str, kind: str, default: Any) -> Any:
        """Return an attribute; kind is i, f, s, t, ints or floats, as AttributeProto names it."""
        found = self._attributes.get(name)
        if found is None:
            return default
        # AttributeProto.AttributeType
        if found.type != {"f": 1, "i": 2, "s": 3, "t": 4, "floats": 6, "ints": 7}[kind]:
            raise self._reader.refusal(
                self.where, f"has an attribute {name} of the wrong type ({found.type})"
            )
        value = getattr(found, kind)
        if kind == "s":
            return value.decode("utf-8", "replace")
        if kind in ("ints", "floats"):
            if len(value) > 64:
                raise self._reader.refusal(self.where, f"has {len(value)} numbers as {name}")
            return list(value)
        return value

    def must_be(self, name: str, kind: str, *accepted: Any) -> None:
        value = self.attribute(name, kind, accepted[0])
        if value not in accepted:
            choices = " or ".join(map(repr, accepted))
            raise self._reader.refusal(self.where, f"has {name}={value!r}", f"{choices} is read")

    def pair(self, name: str, default: Sequence[int] | None = None) -> tuple[int, int]:
        """Return an attribute with a number each for height and width."""
        values = self.attribute(name, "ints", default)
        if values is None or len(values) != 2 or not all(0 < v <= DIMENSION for v in values):
            raise self._reader.refusal(
                self.where,
                f"has {name}={values}",
                "2 numbers, for height and width, are read, each at least 1",
            )
        return values[0], values[1]


class _Reader(ChannelsFirst):
    def __init__(self, model: onnx.ModelProto, tensors: Tensors, budget: Budget) -> None:
        super().__init__(OPERATION, budget)
        self._budget_of_constants = budget
        self._graph = model.graph
        self._tensors = tensors
        self.opset = opset_of(OPERATION, model)
        graph = model.graph
        if len(graph.node) > LAYERS:
            raise ModelError(f"{OPERATION}: the model has more than {LAYERS} nodes")
        if graph.sparse_initializer:
            raise ModelError(f"{OPERATION}: sparse weights are not read; store them densely")
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._values: dict[str, Value | Array] = {}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(output.name for output in graph.output)
        self.users: dict[str, onnx.NodeProto] = {
            name: node for node in graph.node for name in node.input
        }
        self.taken_along: set[str] = set()  # answers of nodes that became part of a layer before

    # ------------------------------------------------------------------ the walk

    def read(self, layout: str | None) -> Graph:
        """Take over node after node."""
        start = self._input(layout)
        if len(self._graph.output) != 1:
            names = [shown(output.name) for output in self._graph.output[:8]]
            raise ModelError(
                f"{OPERATION}: the model has {len(self._graph.output)} outputs "
                f"({', '.join(names)}); cut out one with onnx.utils.extract_model"
            )
        for node in self._graph.node:
            if node.output and node.output[0] in self.taken_along:
                continue
            if node.domain not in ("", "ai.onnx"):
                raise self.refusal(
                    f"the node {shown(node.name)}",
                    f"is {shown(node.op_type)} of the domain {shown(node.domain)}",
                    "operators of ONNX itself are read; inline functions with onnx.inliner",
                )
            self._take(_Operator(self, node))
        answer = self.known(self._graph.output[0].name, "the output")
        if not isinstance(answer, Value):
            raise ModelError(f"{OPERATION}: the model's answer does not depend on its input")
        return self.finish(answer, start)

    def _take(self, operator: _Operator) -> None:
        for name in operator.inputs:
            if name:
                self.known(name, operator.where)
        folds = operator.kind in _FOLDED and all(
            not isinstance(self._values.get(name), Value) for name in operator.inputs
        )
        handler = (_FOLDED if folds else _OPERATORS).get(operator.kind)
        if handler is None:
            raise self.refusal(
                operator.where,
                "cannot be taken over",
                "cut the model before it (onnx.utils.extract_model), or replace it; taken over "
                f"are {', '.join(sorted(_OPERATORS))}",
            )
        result = handler(self, operator)
        first, *others = operator.outputs or [""]
        for name in others:
            if name and self.uses[name]:
                raise self.refusal(
                    operator.where, f"has a second output that is used, {shown(name)}"
                )
        self.define(first, result, operator.where)

    def define(self, name: str, result: Value | Array, where: str) -> None:
        """Give a tensor its value, which it may have once."""
        if not name or name in self._values or name in self._initializers:
            raise self.refusal(where, f"computes {shown(name)}, which is there already")
        self._values[name] = result

    def known(self, name: str, where: str) -> Value | Array:
        """Return the value of a tensor."""
        if name not in self._values:
            if name not in self._initializers:
                raise self.refusal(
                    where,
                    f"takes {shown(name)}, which is not computed before it: the graph has a cycle, "
                    "or is not in order",
                )
            self._values[name] = self._tensors.array(self._initializers[name])
        return self._values[name]

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is known, and does not depend on the image."""
        return name in self._initializers or isinstance(self._values.get(name), np.ndarray)

    def folded(self, operator: _Operator, shape: Sequence[int], itemsize: int) -> None:
        """Count what a constant that is computed takes."""
        size_bytes = itemsize
        for size in shape:
            size_bytes *= size
        self._budget_of_constants.spend(size_bytes, operator.where)

    def tensor(self, tensor: onnx.TensorProto) -> Array:
        """Return the numbers of a tensor."""
        return self._tensors.array(tensor)

    # ------------------------------------------------------------------ the input

    def _input(self, layout: str | None) -> Value:
        inputs = [i for i in self._graph.input if i.name not in self._initializers]
        if len(inputs) != 1:
            names = [shown(i.name) for i in inputs[:8]]
            raise ModelError(
                f"{OPERATION}: the model has {len(inputs)} inputs ({', '.join(names)}); one is "
                "accepted"
            )
        kind = inputs[0].type.tensor_type
        where = f"the input {shown(inputs[0].name)}"
        if kind.elem_type != 1:
            raise self.refusal(
                where, f"has the data type {kind.elem_type}", "models that take float32 are read"
            )
        dims = list(kind.shape.dim[:9])
        if len(dims) not in (2, 4):
            raise self.refusal(where, f"has rank {len(dims)}", "images (rank 4) are read")
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
        if any(size is not None and not 0 < size <= DIMENSION for size in sizes):
            raise self.refusal(where, f"has the shape {tuple(sizes)}", "sizes must be at least 1")
        self.batch = sizes[0]
        axes: tuple[int, ...] = (0, 1)
        if len(dims) == 4:
            layout = layout or told_layout(inputs[0], self.users)
            axes = NHWC if layout == "NHWC" else NCHW
        if sizes[axes.index(len(dims) - 1)] is None:
            sizes[axes.index(len(dims) - 1)] = self._channels(inputs[0].name, where)
        shape = tuple(sizes[axes.index(axis)] for axis in range(len(dims)))
        start = self.start((None, *shape[1:]), axes)
        self._values[inputs[0].name] = start
        return start

    def _channels(self, name: str, where: str) -> int:
        node = self.users.get(name)
        if node is not None and node.op_type == "Conv" and len(node.input) > 1:
            operator = _Operator(self, node)
            weights = operator.constant(1)
            if weights.ndim == 4:
                return int(weights.shape[1]) * int(operator.attribute("group", "i", 1))
        raise self.refusal(where, "has an unknown number of channels", "give it in the model")


# ------------------------------------------------------------------ windows


def _padding(r: _Reader, op: _Operator, x: Value, window: tuple[int, int]) -> Any:
    """Return the padding of a convolution or a pool as a layer takes it."""
    auto_pad = op.attribute("auto_pad", "s", "NOTSET")
    if auto_pad in ("NOTSET", ""):
        pads = op.attribute("pads", "ints", [0, 0, 0, 0])
        if len(pads) != 4 or not all(0 <= side <= DIMENSION for side in pads):
            raise r.refusal(
                op.where, f"has pads={pads}", "4 numbers are read: top, left, bottom, right"
            )
        return plain_padding([(pads[0], pads[2]), (pads[1], pads[3])])
    if auto_pad == "VALID":
        return "valid"
    if auto_pad == "SAME_UPPER":
        return "same"
    if auto_pad != "SAME_LOWER":
        raise r.refusal(op.where, f"has auto_pad={shown(auto_pad)}")
    pairs = []
    sizes = r.as_map(op.where, op.name, x).shape[1:3]
    strides, dilations = op.pair("strides", [1, 1]), op.pair("dilations", [1, 1])
    for size, taps, stride, dilation in zip(sizes, window, strides, dilations, strict=True):
        reach = (taps - 1) * dilation + 1
        if stride == 1:
            total = reach - 1
        elif size is None:
            raise r.refusal(
                op.where,
                "has auto_pad='SAME_LOWER' for images of any size",
                "give the model's input its size",
            )
        else:
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        pairs.append((total - total // 2, total // 2))
    return plain_padding(pairs)


def _conv(r: _Reader, op: _Operator) -> Value:
    x, kernel, bias = op.map(), op.constant(1), op.optional(2)
    if kernel.ndim != 4:
        raise r.refusal(
            op.where, f"has weights of shape {kernel.shape}", "convolutions of images are read"
        )
    window = (kernel.shape[2], kernel.shape[3])
    if op.pair("kernel_shape", window) != window:
        raise r.refusal(op.where, f"has a kernel_shape that is not that of its weights, {window}")
    return r.conv(
        op.where,
        op.name,
        x,
        kernel,
        bias,
        strides=op.pair("strides", [1, 1]),
        dilations=op.pair("dilations", [1, 1]),
        groups=op.attribute("group", "i", 1),
        padding=_padding(r, op, x, window),
    )


def _pool(kind: str) -> Handler:
    def pool(r: _Reader, op: _Operator) -> Value:
        x, window = op.map(), op.pair("kernel_shape")
        if op.pair("dilations", [1, 1]) != (1, 1):
            raise r.refusal(op.where, "has dilations", "pools with dilations of 1 are read")
        return r.pool(
            op.where,
            op.name,
            x,
            kind,
            window,
            strides=op.pair("strides", [1, 1]),
            padding=_padding(r, op, x, window),
            ceil_mode=bool(op.attribute("ceil_mode", "i", 0)),
            count_include_pad=bool(op.attribute("count_include_pad", "i", 0)),
        )

    return pool


def _global_pool(kind: str) -> Handler:
    return lambda r, op: r.global_pool(op.where, op.name, op.map(), kind, keepdims=True)


def _axes(op: _Operator, i: int) -> list[int] | None:
    """Return the axes of an operator: an input, or an attribute in older versions."""
    axes: list[int] | None = op.integers(i)
    return op.attribute("axes", "ints", None) if axes is None else axes


def _reduce_mean(r: _Reader, op: _Operator) -> Value:
    x, axes = op.map(), _axes(op, 1)
    keepdims = bool(op.attribute("keepdims", "i", 1))
    return r.mean(op.where, op.name, x, range(x.rank) if axes is None else axes, keepdims)


# ------------------------------------------------------------------ numbers and channels


def _each(make: Callable[[_Reader, _Operator], Layer]) -> Handler:
    return lambda r, op: r.activation(op.name, op.map(), make(r, op))


def _by_name(name: str) -> Handler:
    return _each(lambda r, op: layers.Activation(name))


def _selu(r: _Reader, op: _Operator) -> Layer:
    alpha, gamma = op.attribute("alpha", "f", 1.6732632), op.attribute("gamma", "f", 1.0507010)
    if abs(alpha - 1.6732632) > 1e-6 or abs(gamma - 1.0507010) > 1e-6:
        raise r.refusal(op.where, f"has alpha={alpha}, gamma={gamma}", "the usual ones are read")
    return layers.Activation("selu")


def _hard_sigmoid(r: _Reader, op: _Operator) -> Layer:
    alpha, beta = op.attribute("alpha", "f", 0.2), op.attribute("beta", "f", 0.5)
    if abs(alpha - 1 / 6) > 1e-6 or beta != 0.5:
        raise r.refusal(op.where, f"has alpha={alpha:.4g}, beta={beta:.4g}", "1/6 and 0.5 are read")
    return layers.Activation("hard_sigmoid")


def _gelu(r: _Reader, op: _Operator) -> Layer:
    op.must_be("approximate", "s", "none")
    return layers.Activation("gelu")


def _clip(r: _Reader, op: _Operator) -> Layer:
    bounds = []
    for i, name in ((1, "min"), (2, "max")):
        given = op.optional(i)
        if given is not None and given.size != 1:
            raise r.refusal(op.where, f"has {given.size} numbers as {name}")
        bounds.append(op.attribute(name, "f", None) if given is None else float(given.ravel()[0]))
    low, high = bounds
    if high is not None and high >= float(np.finfo(np.float32).max):
        high = None
    if low != 0 or not (high is None or high > 0):
        raise r.refusal(op.where, f"keeps numbers in [{low}, {high}]", "0 and a maximum are read")
    return layers.ReLU(max_value=high)


def _prelu(r: _Reader, op: _Operator) -> Value:
    return r.prelu(op.where, op.name, op.map(), op.constant(1))


def _softmax(r: _Reader, op: _Operator) -> Value:
    x = op.map()
    axis = op.attribute("axis", "i", -1 if r.opset >= 13 else 1)
    if r.opset < 13 and axis not in (-1, x.rank - 1):
        raise r.refusal(op.where, "is over several axes, as before version 13", "convert the model")
    return r.softmax(op.where, op.name, x, axis)


def _batch_norm(r: _Reader, op: _Operator) -> Value:
    op.must_be("training_mode", "i", 0)
    op.must_be("spatial", "i", 1)
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    weights: dict[str, Array | None] = {name: op.constant(i + 1) for i, name in enumerate(names)}
    return r.batch_norm(op.where, op.name, op.map(), weights, op.attribute("epsilon", "f", 1e-5))


def _arithmetic(kind: str, merging: Callable[[], Layer] | None) -> Handler:
    def arithmetic(r: _Reader, op: _Operator) -> Value:
        a, b = op.any(0), op.any(1)
        if isinstance(a, Value) and isinstance(b, Value):
            if merging is None:
                raise r.refusal(op.where, "divides by a map", "divisions by constants are read")
            return r.merge(op.where, op.name, merging(), [a, b])
        x, constant = (a, b) if isinstance(a, Value) else (b, a)
        assert isinstance(x, Value)  # two constants are folded, not taken over
        assert isinstance(constant, np.ndarray)
        if kind == "Add":
            return r.rescale(op.where, op.name, x, 1.0, constant)
        if kind == "Mul":
            return r.rescale(op.where, op.name, x, constant, 0.0)
        if kind == "Sub" and x is a:
            return r.rescale(op.where, op.name, x, 1.0, -constant)
        if kind == "Sub":
            return r.rescale(op.where, op.name, x, -1.0, constant)
        if x is b or not constant.all():
            raise r.refusal(op.where, "divides by a map or by 0", "divisions by constants are read")
        return r.rescale(op.where, op.name, x, 1 / constant.astype(np.float64), 0.0)

    return arithmetic


def _variadic(make: Callable[[], Layer]) -> Handler:
    def variadic(r: _Reader, op: _Operator) -> Value:
        values = [op.map(i) for i in range(len(op.inputs))]
        return values[0] if len(values) == 1 else r.merge(op.where, op.name, make(), values)

    return variadic


# ------------------------------------------------------------------ dense layers


def _gemm(r: _Reader, op: _Operator) -> Value:
    op.must_be("transA", "i", 0)
    x, kernel, bias = op.map(), op.constant(1), op.optional(2)
    alpha, beta = op.attribute("alpha", "f", 1.0), op.attribute("beta", "f", 1.0)
    if kernel.ndim != 2:
        raise r.refusal(op.where, f"has weights of shape {kernel.shape}")
    if op.attribute("transB", "i", 0):
        kernel = kernel.T
    if alpha != 1:
        kernel = kernel * kernel.dtype.type(alpha)
    if bias is not None:
        bias = _bias(r, op.where, bias if beta == 1 else bias * bias.dtype.type(beta), kernel)
    return r.linear(op.where, op.name, x, kernel, bias)


def _bias(r: _Reader, where: str, bias: Array, kernel: Array) -> Array:
    units = kernel.shape[-1]
    if bias.size not in (1, units) or (bias.ndim and bias.shape[-1] != bias.size):
        raise r.refusal(where, f"adds a constant of shape {bias.shape} to {units} numbers")
    return np.broadcast_to(bias.reshape(-1), (units,))


def _matmul(r: _Reader, op: _Operator) -> Value:
    x, kernel = op.map(), op.constant(1)
    if kernel.ndim != 2:
        raise r.refusal(op.where, f"has weights of shape {kernel.shape}", "rank 2 is read")
    following = r.users.get(op.outputs[0])
    if following is None or following.op_type != "Add" or r.uses[op.outputs[0]] != 1:
        return r.linear(op.where, op.name, x, kernel, None)
    add = _Operator(r, following)
    others = [name for name in add.inputs if name != op.outputs[0]]
    bias = r.known(others[0], add.where) if others and r.is_constant(others[0]) else None
    if not isinstance(bias, np.ndarray) or bias.shape[-1:] != kernel.shape[-1:] or bias.ndim != 1:
        return r.linear(op.where, op.name, x, kernel, None)
    answer = r.linear(op.where, op.name, x, kernel, bias)
    r.define(add.outputs[0], answer, add.where)
    r.taken_along.add(add.outputs[0])
    return answer


# ------------------------------------------------------------------ shapes


def _flatten(r: _Reader, op: _Operator) -> Value:
    op.must_be("axis", "i", 1)
    return r.flatten(op.where, op.name, op.map())


def _reshape(r: _Reader, op: _Operator) -> Value:
    op.must_be("allowzero", "i", 0)
    target = op.integers(1)
    if target is None:
        raise r.refusal(op.where, "has no shape to give")
    return r.reshape(op.where, op.name, op.map(), target)


def _squeeze(r: _Reader, op: _Operator) -> Value:
    return r.squeeze(op.where, op.name, op.map(), _axes(op, 1))


def _unsqueeze(r: _Reader, op: _Operator) -> Value:
    x, axes = op.map(), _axes(op, 1) or []
    rank = x.rank + len(axes)
    places = {axis % rank for axis in axes}
    rest = iter(x.source_shape)
    target = [1 if axis in places else next(rest, 1) for axis in range(rank)]
    return r.reshape(op.where, op.name, x, [UNKNOWN if size is None else size for size in target])


def _transpose(r: _Reader, op: _Operator) -> Value:
    x = op.map()
    order = op.attribute("perm", "ints", list(reversed(range(x.rank))))
    return r.transpose(op.where, x, order)


def _concat(r: _Reader, op: _Operator) -> Value:
    values = [op.map(i) for i in range(len(op.inputs))]
    if not values:
        raise r.refusal(op.where, "has no inputs")
    return r.concat(op.where, op.name, values, op.attribute("axis", "i", 1))


def _pad(r: _Reader, op: _Operator) -> Value:
    op.must_be("mode", "s", "constant")
    x, pads = op.map(), op.integers(1)
    if pads is None:
        pads = op.attribute("pads", "ints", [])
    value = op.optional(2)
    if op.has(3) or len(pads) != 2 * x.rank or (value is not None and value.size != 1):
        raise r.refusal(op.where, f"has pads={pads}", "two numbers for each axis are read")
    number = op.attribute("value", "f", 0.0) if value is None else float(value.ravel()[0])
    pairs = list(zip(pads[: x.rank], pads[x.rank :], strict=True))
    return r.pad(op.where, op.name, x, pairs, number)


def _identity(r: _Reader, op: _Operator) -> Value:
    return op.map()


def _dropout(r: _Reader, op: _Operator) -> Value:
    return r.activation(op.name, op.map(), layers.Dropout(0.5))


def _cast(r: _Reader, op: _Operator) -> Value:
    op.must_be("to", "i", 1)
    return op.map()


def _shape(r: _Reader, op: _Operator) -> Array:
    sizes = op.map().source_shape
    known = [UNKNOWN if size is None else size for size in sizes]
    start, end = op.attribute("start", "i", 0), op.attribute("end", "i", len(known))
    return np.array(known[start:end], np.int64)


Handler: TypeAlias = Callable[[_Reader, _Operator], Any]

_OPERATORS: dict[str, Handler] = {
    "Add": _arithmetic("Add", layers.Add),
    "AveragePool": _pool("AVG"),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _each(_clip),
    "Concat": _concat,
    "Conv": _conv,
    "Div": _arithmetic("Div", None),
    "Dropout": _dropout,
    "Elu": _each(lambda r, op: layers.ELU(op.attribute("alpha", "f", 1.0))),
    "Exp": _by_name("exponential"),
    "Flatten": _flatten,
    "Gelu": _each(_gelu),
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool("AVG"),
    "GlobalMaxPool": _global_pool("MAX"),
    "HardSigmoid": _each(_hard_sigmoid),
    "HardSwish": _by_name("hard_silu"),
    "Identity": _identity,
    "LeakyRelu": _each(lambda r, op: layers.LeakyReLU(op.attribute("alpha", "f", 0.01))),
    "MatMul": _matmul,
    "Max": _variadic(layers.Maximum),
    "MaxPool": _pool("MAX"),
    "Mean": _variadic(layers.Average),
    "Min": _variadic(layers.Minimum),
    "Mul": _arithmetic("Mul", layers.Multiply),
    "PRelu": _prelu,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Relu": _each(lambda r, op: layers.ReLU()),
    "Reshape": _reshape,
    "Selu": _each(_selu),
    "Shape": _shape,
    "Sigmoid": _by_name("sigmoid"),
    "Softmax": _softmax,
    "Softplus": _by_name("softplus"),
    "Softsign": _by_name("softsign"),
    "Squeeze": _squeeze,
    "Sub": _arithmetic("Sub", layers.Subtract),
    "Sum": _variadic(layers.Add),
    "Tanh": _by_name("tanh"),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


# ------------------------------------------------------------------ what does not depend on images


def _constant(r: _Reader, op: _Operator) -> Array:
    tensor = op.attribute("value", "t", None)
    if tensor is not None:
        return r.tensor(tensor)
    for name, kind, dtype in (
        ("value_int", "i", np.int64),
        ("value_ints", "ints", np.int64),
        ("value_float", "f", np.float32),
        ("value_floats", "floats", np.float32),
    ):
        number = op.attribute(name, kind, None)
        if number is not None:
            return np.array(number, dtype)
    raise r.refusal(op.where, "holds neither numbers nor a tensor")


def _folding(compute: Callable[[_Reader, _Operator, list[Array]], Array]) -> Handler:
    """Compute with constants; NumPy's complaint is the refusal."""

    def fold(r: _Reader, op: _Operator) -> Array:
        arrays = [op.constant(i) for i in range(len(op.inputs)) if op.has(i)]
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays)) if op.kind in _UFUNCS else ()
            r.folded(op, shape, 8)
            return compute(r, op, arrays)
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            if isinstance(error, ModelError):
                raise
            raise r.refusal(
                op.where, f"cannot be computed from constants: {shown(str(error))}"
            ) from error

    return fold


def _fold_arithmetic(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    a, b = arrays
    if any(array.dtype.kind == "i" and (array == UNKNOWN).any() for array in arrays):
        raise r.refusal(
            op.where,
            "computes with the size of an image that is not known",
            "give the model's input its size",
        )
    if op.kind == "Div" and a.dtype.kind == "i":
        return np.asarray(a // b)
    return np.asarray(_UFUNCS[op.kind](a, b))


def _fold_cast(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    kinds: dict[int, Any] = {1: np.float32, 6: np.int32, 7: np.int64, 11: np.float64}
    to = op.attribute("to", "i", 0)
    if to not in kinds:
        raise r.refusal(op.where, f"casts to the data type {to}")
    return arrays[0].astype(kinds[to])


def _fold_gather(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    data, indices = arrays
    axis = op.attribute("axis", "i", 0)
    each = data.size // max(1, data.shape[axis])
    r.folded(op, (*indices.shape, each), data.itemsize)
    return np.take(data, indices, axis)


def _fold_slice(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    data = arrays[0]
    if len(op.inputs) > 1:
        starts, ends = op.integers(1) or [], op.integers(2) or []
        axes, steps = op.integers(3), op.integers(4)
    else:
        starts, ends = op.attribute("starts", "ints", []), op.attribute("ends", "ints", [])
        axes, steps = op.attribute("axes", "ints", None), None
    cuts = [slice(None)] * data.ndim
    for start, end, axis, step in zip(
        starts, ends, axes or range(len(starts)), steps or [1] * len(starts), strict=True
    ):
        cuts[axis] = slice(start, end, step)
    return data[tuple(cuts)]


def _fold_reshape(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    data, target = arrays
    sizes = [int(size) or data.shape[axis] for axis, size in enumerate(target)]
    return data.reshape(sizes)


def _fold_unsqueeze(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    return np.expand_dims(arrays[0], tuple(_axes(op, 1) or ()))


def _fold_squeeze(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    axes = _axes(op, 1)
    return np.squeeze(arrays[0], None if axes is None else tuple(axes))


def _fold_concat(r: _Reader, op: _Operator, arrays: list[Array]) -> Array:
    r.folded(op, (sum(array.size for array in arrays),), arrays[0].itemsize)
    return np.concatenate(arrays, op.attribute("axis", "i", 0))


_UFUNCS: dict[str, Any] = {
    "Add": np.add,
    "Div": np.divide,
    "Mul": np.multiply,
    "Sub": np.subtract,
}
_FOLDED: dict[str, Handler] = {
    "Constant": _constant,
    "Cast": _folding(_fold_cast),
    "Concat": _folding(_fold_concat),
    "Gather": _folding(_fold_gather),
    "Identity": _folding(lambda r, op, arrays: arrays[0]),
    "Reshape": _folding(_fold_reshape),
    "Slice": _folding(_fold_slice),
    "Squeeze": _folding(_fold_squeeze),
    "Transpose": _folding(
        lambda r, op, arrays: arrays[0].transpose(op.attribute("perm", "ints", None))
    ),
    "Unsqueeze": _folding(_fold_unsqueeze),
    **dict.fromkeys(_UFUNCS, _folding(_fold_arithmetic)),
}
