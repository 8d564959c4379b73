"""Run ONNX models of pools and convolutions: an `onnx.backend.base.Backend` over `attar.nn`.

The operators are MaxPool with its Indices, AveragePool, LpPool, the three global pools, MaxUnpool,
Conv and Relu. Each is one call of `attar.nn` with its attributes translated; a graph is one call
after the other. Needs the package onnx: ``pip install 'attar[models]'``.

>>> import numpy as np
>>> import attar.onnx_backend
>>> from onnx import helper
>>> node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2], strides=[2])
>>> row = np.array([[[1, 4, 3, 2]]], np.float32)
>>> attar.onnx_backend.run_node(node, [row])["y"]
array([[[4., 3.]]], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

try:
    import onnx
    from onnx import helper, numpy_helper
    from onnx.backend.base import Backend, BackendRep, namedtupledict
except ImportError as error:
    raise ImportError(
        "attar.onnx_backend needs the package onnx; install it with pip install 'attar[models]'"
    ) from error

from attar import nn
from attar.arrays import Array, from_caller
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError
from attar.geometry import conv_axes, spatial_values
from attar.nn.layout import CHANNELS_FIRST, require_room

__all__ = [
    "AttarBackend",
    "AttarRep",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]


class AttarRep(BackendRep):
    """A model that is ready to run.

    Parameters
    ----------
    model : onnx.ModelProto
        Checked, with operators that `AttarBackend.is_compatible` knows.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._nodes = [_Node(node) for node in graph.node]
        self._constants = {tensor.name: _constant(tensor) for tensor in graph.initializer}
        self._inputs = {
            value.name: value.type.tensor_type.elem_type
            for value in graph.input
            if value.name not in self._constants
        }
        self._outputs = [value.name for value in graph.output]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Compute the outputs of the graph.

        Parameters
        ----------
        inputs : sequence of arrays in the order of the graph's inputs, or mapping from their names
            Inputs with an initializer are left out of a sequence; a mapping may override them.

        Returns
        -------
        tuple of arrays, one for each output of the graph, also found by its name.

        Raises
        ------
        ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)
            The node that refused its inputs stands in the notes of the error.
        """
        values = {**self._constants, **self._given(inputs)}
        for node in self._nodes:
            values.update(node.run([values.get(name) for name in node.inputs]))
        return _named(self._outputs, [values[name] for name in self._outputs])

    def _given(self, inputs: Any) -> dict[str, Array]:
        if not isinstance(inputs, Mapping):
            inputs = _in_order(list(self._inputs), inputs)
        missing = sorted(self._inputs.keys() - inputs.keys())
        unknown = sorted(inputs.keys() - self._inputs.keys() - self._constants.keys())
        if missing or unknown:
            raise ArgumentError(
                f"onnx_backend.run: the inputs must be {sorted(self._inputs)}, got {sorted(inputs)}"
            )
        arrays = {name: _array(name, value) for name, value in inputs.items()}
        for name, array in arrays.items():
            if name in self._inputs:
                _require_type(name, array, helper.tensor_dtype_to_np_dtype(self._inputs[name]))
            else:
                _require_type(name, array, self._constants[name].dtype)
        return arrays


class AttarBackend(Backend):
    """The backend, as `onnx.backend.base` wants it: class methods, no state.

    The module has each of them as a function too, so that ``attar.onnx_backend`` is itself what
    ONNX calls a backend.
    """

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether every operator of the model is known, and the device is the CPU."""
        graph = model.graph
        return (
            cls.supports_device(device)
            and not graph.sparse_initializer
            and all(_is_known(node) for node in graph.node)
        )

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> AttarRep:
        """Check a model and read its weights, once for many runs.

        Raises
        ------
        ArgumentError (a ValueError), DTypeError (a TypeError)
            The model is not valid ONNX, has an operator that is not known, or asks for another
            device.
        """
        _require_device(cls, device)
        if not isinstance(model, onnx.ModelProto):
            raise DTypeError(
                f"onnx_backend.prepare: model must be a ModelProto, got {type(model).__name__}; "
                "read a file with onnx.load"
            )
        _check("onnx_backend.prepare", onnx.checker.check_model, model)
        for node in model.graph.node:
            _require_known(node)
        if model.graph.sparse_initializer:
            raise ArgumentError("onnx_backend.prepare: sparse initializers are not supported")
        return AttarRep(model)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one operator on arrays in the order of its inputs.

        Returns
        -------
        tuple of arrays, one for each output, also found by its name.

        Raises
        ------
        ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)
        """
        _require_device(cls, device)
        _require_known(node)
        _check("onnx_backend.run_node", super().run_node, node, inputs, device, None, **kwargs)
        names = [name for name in node.input if name]
        values = {name: _array(name, value) for name, value in _in_order(names, inputs).items()}
        found = _Node(node).run([values.get(name) for name in node.input])
        outputs = [name for name in node.output if name]
        return _named(outputs, [found[name] for name in outputs])

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is the CPU."""
        return isinstance(device, str) and device.partition(":")[0] == "CPU"


is_compatible = AttarBackend.is_compatible
prepare = AttarBackend.prepare
run_model = AttarBackend.run_model
run_node = AttarBackend.run_node
supports_device = AttarBackend.supports_device


# ----------------------------------------------------------------------- models and arrays


def _check(operation: str, check: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        check(*args, **kwargs)
    except (onnx.checker.ValidationError, TypeError, ValueError) as error:
        raise ArgumentError(f"{operation}: this is not valid ONNX: {error}") from error


def _is_known(node: onnx.NodeProto) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in _OPERATORS


def _require_known(node: onnx.NodeProto) -> None:
    if not isinstance(node, onnx.NodeProto):
        raise DTypeError(f"onnx_backend: a node must be a NodeProto, got {type(node).__name__}")
    if not _is_known(node):
        full_name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise ArgumentError(
            f"onnx_backend: the operator {full_name} of the node {node.name!r} is not known; "
            f"known are {', '.join(sorted(_OPERATORS))}"
        )


def _require_device(backend: type[Backend], device: str) -> None:
    if not backend.supports_device(device):
        raise ArgumentError(f"onnx_backend: device must be 'CPU', got {device!r}")


def _constant(tensor: onnx.TensorProto) -> Array:
    try:
        return numpy_helper.to_array(tensor)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"onnx_backend: the initializer {tensor.name!r} cannot be read: {error}"
        ) from error


def _array(name: str, value: Any) -> Array:
    return from_caller("onnx_backend.run", name, value)[0]


def _require_type(name: str, array: Array, dtype: np.dtype[Any]) -> None:
    if array.dtype != dtype:
        raise DTypeError(f"onnx_backend.run: {name} must be {dtype}, got {array.dtype}")


def _in_order(names: list[str], inputs: Any) -> dict[str, Any]:
    values = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if len(values) != len(names):
        raise ArgumentError(
            f"onnx_backend.run: there must be {len(names)} inputs, {names}, got {len(values)}"
        )
    return dict(zip(names, values, strict=True))


def _named(names: list[str], values: list[Array]) -> tuple[Any, ...]:
    return namedtupledict("Outputs", names)(*values)


# -------------------------------------------------------------------------- nodes and windows


class _Node:
    """One operator of a graph: its function and its attributes, as Python has them."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.kind = node.op_type
        self.name = node.name
        self.inputs = list(node.input)
        self.outputs = list(node.output)
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes[attribute]

    def get(self, attribute: str, default: Any) -> Any:
        value = self.attributes.get(attribute, default)
        return value.decode() if isinstance(value, bytes) else value

    def run(self, inputs: list[Array | None]) -> dict[str, Array]:
        """Compute the outputs that have a name; inputs that are left out are None."""
        try:
            values = _OPERATORS[self.kind](self, *inputs)
        except AttarError as error:
            error.add_note(f"in the ONNX node {self.name!r} ({self.kind})")
            raise
        return {name: value for name, value in zip(self.outputs, values, strict=False) if name}

    def wants(self, output: int) -> bool:
        return len(self.outputs) > output and bool(self.outputs[output])

    def numbers(self, attribute: str, dims: int) -> tuple[int, ...]:
        """Read an attribute with one number for each spatial axis; 1 by default."""
        values = list(self.get(attribute, [1] * dims))
        if len(values) != dims:
            raise ShapeError(
                f"onnx_backend: {attribute} must have {dims} numbers, one for each spatial axis, "
                f"got {values}"
            )
        return spatial_values("onnx_backend", attribute, values, dims, channels_first=True)

    def pads(self, dims: int) -> tuple[tuple[int, int], ...]:
        """Read ONNX's pads, all begins and then all ends, as pairs."""
        pads = list(self.get("pads", [0] * (2 * dims)))
        if len(pads) != 2 * dims:
            raise ShapeError(
                f"onnx_backend: pads must have {2 * dims} numbers, begin and end for each spatial "
                f"axis, got {pads}"
            )
        return tuple(zip(pads[:dims], pads[dims:], strict=True))

    def kernel_shape(self, x: Array) -> tuple[int, ...]:
        """Read the window of a pool."""
        kernel_shape = tuple(self["kernel_shape"])
        dims = len(kernel_shape)
        if dims not in CHANNELS_FIRST or x.ndim != dims + 2:
            raise ShapeError(
                f"onnx_backend: kernel_shape must have 1 to 3 numbers, one for each spatial axis, "
                f"got {kernel_shape} for an input of shape {x.shape}"
            )
        return self.numbers("kernel_shape", dims)

    def window(self, x: Array, windows: tuple[int, ...]) -> dict[str, Any]:
        """Read strides, dilations and padding, as `attar.nn` takes them."""
        dims = len(windows)
        strides, dilations = self.numbers("strides", dims), self.numbers("dilations", dims)
        auto_pad = self.get("auto_pad", "NOTSET")
        padding: Any
        if auto_pad in ("NOTSET", ""):
            padding = self.pads(dims)
        elif auto_pad == "VALID":
            padding = "VALID"
        elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            padding = "SAME"
        else:
            raise ArgumentError(
                "onnx_backend: auto_pad must be 'NOTSET', 'VALID', 'SAME_UPPER' or 'SAME_LOWER', "
                f"got {auto_pad!r}"
            )
        if auto_pad == "SAME_LOWER":  # as "SAME", but the odd cell goes in front
            axes = conv_axes("onnx_backend", x.shape[2:], windows, strides, dilations, "SAME")
            padding = tuple((axis.pad_after, axis.pad_before) for axis in axes)
        return {
            "strides": strides,
            "dilations": dilations,
            "padding": padding,
            "data_format": CHANNELS_FIRST[dims],
        }

    def pool_window(self, x: Array) -> dict[str, Any]:
        """Read the window of a pool as well, and whether the last one may reach over the end."""
        kernel_shape = self.kernel_shape(x)
        return {
            "window_shape": kernel_shape,
            **self.window(x, kernel_shape),
            "ceil_mode": bool(self.get("ceil_mode", 0)),
        }


# --------------------------------------------------------------------------------- operators

_Operator: TypeAlias = Callable[..., tuple[Array, ...]]


def _max_pool(node: _Node, x: Array) -> tuple[Array, ...]:
    options = node.pool_window(x)
    if not node.wants(1):
        return (nn.pool(x, pooling_type="MAX", **options),)
    options["ksize"] = options.pop("window_shape")
    best, places = nn.max_pool_with_argmax(x, **options, index="plane")
    n, channels, *sizes = x.shape
    if node.get("storage_order", 0):  # the first spatial axis is the one that varies fastest
        places = np.ravel_multi_index(np.unravel_index(places, sizes), sizes, order="F")
    plane = np.arange(n * channels).reshape(n, channels, *(1 for _ in sizes))
    return best, places + plane * np.prod(sizes, dtype=np.int64)


def _average_pool(node: _Node, x: Array) -> tuple[Array, ...]:
    include = bool(node.get("count_include_pad", 0))
    return (nn.pool(x, pooling_type="AVG", count_include_pad=include, **node.pool_window(x)),)


def _lp_pool(node: _Node, x: Array) -> tuple[Array, ...]:
    return (nn.pool(x, pooling_type="LP", p=node.get("p", 2), **node.pool_window(x)),)


def _global_pool(kind: str) -> _Operator:
    def operator(node: _Node, x: Array) -> tuple[Array, ...]:
        if x.ndim - 2 not in CHANNELS_FIRST:
            raise ShapeError(
                f"onnx_backend: the input must have rank 3, 4 or 5, got shape {x.shape}"
            )
        data_format = CHANNELS_FIRST[x.ndim - 2]
        p = node.get("p", 2)
        return (nn.global_pool(x, kind, data_format, keepdims=True, p=p),)

    return operator


def _max_unpool(
    node: _Node, x: Array, places: Array, output_shape: Array | None = None
) -> tuple[Array, ...]:
    windows = node.kernel_shape(x)
    dims = len(windows)
    # What was pooled, if its windows filled it; the places count in that.
    sizes = tuple(
        (size - 1) * stride + window - before - after
        for size, stride, window, (before, after) in zip(
            x.shape[2:], node.numbers("strides", dims), windows, node.pads(dims), strict=True
        )
    )
    shape = (*x.shape[:2], *sizes)
    if min(sizes) < 1:
        raise ShapeError(f"onnx_backend: an answer would have the shape {shape}; use fewer pads")
    require_room("onnx_backend", "the answer", shape)
    if x.size == 0:
        answer = np.zeros(shape, x.dtype)
    else:
        # ONNX counts places through all images and channels: to nn, one long row.
        row = nn.max_unpool(
            x.reshape(1, 1, -1),
            places.reshape(1, 1, -1),
            (int(np.prod(shape, dtype=object)),),
            "NCW",
            index="plane",
        )
        answer = row.reshape(shape)
    return (answer if output_shape is None else _grown(answer, output_shape),)


def _grown(answer: Array, output_shape: Array) -> Array:
    """Lay the answer into the first corner of a larger one, as ONNX's definition does."""
    wanted = tuple(int(size) for size in output_shape.ravel())
    if len(wanted) != answer.ndim or any(
        size < least for size, least in zip(wanted, answer.shape, strict=True)
    ):
        raise ShapeError(
            f"onnx_backend: output_shape must be at least {answer.shape}, got {wanted}"
        )
    require_room("onnx_backend", "the answer", wanted)
    grown = np.zeros(wanted, answer.dtype)
    grown[tuple(slice(size) for size in answer.shape)] = answer
    return grown


def _conv(node: _Node, x: Array, weights: Array, bias: Array | None = None) -> tuple[Array, ...]:
    if weights.ndim - 2 not in CHANNELS_FIRST or x.ndim != weights.ndim:
        raise ShapeError(
            f"onnx_backend: input and weights must have the same rank, 3, 4 or 5, "
            f"got shapes {x.shape} and {weights.shape}"
        )
    windows = weights.shape[2:]
    if tuple(node.get("kernel_shape", windows)) != windows:
        raise ShapeError(
            f"onnx_backend: kernel_shape must be that of the weights, {windows}, "
            f"got {node['kernel_shape']}"
        )
    groups = node.get("group", 1)
    if x.shape[1] != groups * weights.shape[1]:
        raise ShapeError(
            f"onnx_backend: an input of shape {x.shape} does not fit weights of shape "
            f"{weights.shape} in {groups} groups; it must have {groups * weights.shape[1]} channels"
        )
    options = node.window(x, windows)
    del options["data_format"]
    # ONNX's (K, C / groups, *window) as nn's (*window, C / groups, K).
    filters = np.moveaxis(weights, (0, 1), (-1, -2))
    if len(windows) == 1:
        return (_conv1d(x, filters, bias, **options),)
    if len(windows) == 2:
        return (nn.conv2d(x, filters, data_format="NCHW", bias=bias, **options),)
    return (_conv3d(x, filters, bias, **options),)


def _conv1d(x: Array, filters: Array, bias: Array | None, padding: Any, **steps: Any) -> Array:
    """Convolve rows as images of height 1."""
    if not isinstance(padding, str):
        padding = ((0, 0), *padding)
    flat_steps: dict[str, Any] = {name: (1, *along) for name, along in steps.items()}
    image: Array = nn.conv2d(
        x[:, :, None],
        filters[None],
        padding=padding,
        data_format="NCHW",
        bias=bias,
        **flat_steps,
    )
    return image[:, :, 0]


def _conv3d(
    x: Array,
    filters: Array,
    bias: Array | None,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: Any,
) -> Array:
    """Sum over the depth of the kernel: each of its planes is a convolution of images."""
    axes = conv_axes("onnx_backend", x.shape[2:], filters.shape[:3], strides, dilations, padding)
    depth = axes[0]
    n, channels, _, height, width = x.shape
    before, after = depth.pad_before, depth.pad_after
    require_room(
        "onnx_backend",
        "the padded input",
        (n, channels, before + depth.size + after, height, width),
    )
    padded = np.pad(x, [(0, 0), (0, 0), (before, after), (0, 0), (0, 0)])
    total: Array | None = None
    for k, plane_filters in enumerate(filters):
        first = k * depth.dilation
        last = first + (depth.out - 1) * depth.stride
        planes = np.moveaxis(padded[:, :, first : last + 1 : depth.stride], 2, 1)
        part = nn.conv2d(
            planes.reshape(n * depth.out, channels, height, width),
            plane_filters,
            strides[1:],
            [(axis.pad_before, axis.pad_after) for axis in axes[1:]],
            "NCHW",
            dilations[1:],
            bias=bias if total is None else None,
        )
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None  # a kernel has at least one plane, or conv_axes refused it
    return np.moveaxis(total.reshape(n, depth.out, *total.shape[1:]), 1, 2)


def _relu(node: _Node, x: Array) -> tuple[Array, ...]:
    return (nn.relu(x),)


_OPERATORS: dict[str, _Operator] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "GlobalAveragePool": _global_pool("AVG"),
    "GlobalLpPool": _global_pool("LP"),
    "GlobalMaxPool": _global_pool("MAX"),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
    "MaxUnpool": _max_unpool,
    "Relu": _relu,
}
