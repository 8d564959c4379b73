"""PyTorch modules: traced, and each call taken over as a layer with channels last."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from attar import layers
from attar.arrays import Array
from attar.errors import ModelError
from attar.graph import Graph
from attar.interchange.assembly import taking_over
from attar.interchange.channels_first import (
    NCHW,
    UNKNOWN,
    ChannelsFirst,
    Value,
    plain_padding,
)
from attar.interchange.limits import shown
from attar.layers import Layer
from attar.layers.arguments import read_shape
from attar.layers.base import Shape

if TYPE_CHECKING:
    import torch

__all__ = ["read"]

OPERATION = "from_torch"


def read(module: torch.nn.Module, input_shape: Sequence[int | None] | None = None) -> Graph:
    """Take over a PyTorch module as it computes in evaluation mode.

    The module is traced with `torch.fx`, so its ``forward`` may call submodules and functions
    (``F.relu``, ``torch.flatten``, ``+``, ``torch.cat``, ...) but not decide by the numbers of a
    map. It is not changed. The layers have the names of the modules.

    Parameters
    ----------
    module : torch.nn.Module
        With float32 weights on the CPU.
    input_shape : tuple of (int or None), optional
        ``(H, W, C)`` of an image, in attar's order. Needed where a layer depends on the size of
        the image, such as ``AdaptiveAvgPool2d(7)``.

    Returns
    -------
    Graph
        Images are (N, H, W, C), and so is every map. Vectors are in PyTorch's order.

    Raises
    ------
    ModelError (a ValueError)
        Where something cannot be taken over; it is named, with what to do.

    Examples
    --------
    >>> from torch import nn
    >>> graph = read(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    >>> graph.shapes((None, 32, 32, 3))
    [(None, 30, 30, 8), (None, 30, 30, 8)]
    """
    if isinstance(module, str | os.PathLike):
        raise ModelError(
            f"{OPERATION}: takes a module, got a path. Files of PyTorch are pickles and can run "
            "code; build the module, and load its weights with "
            "load_state_dict(torch.load(path, weights_only=True))"
        )
    import torch

    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"{OPERATION}: takes a torch.nn.Module, got {type(module).__name__}")
    _check_tensors(module)
    with taking_over(OPERATION), _evaluating(module):
        graph = _traced(module)
        reader = _Reader(graph.owning_module or module)
        start = reader.start(*_input(graph, reader.module, input_shape))
        return reader.finish(reader.run(graph, start), start)


def _check_tensors(module: torch.nn.Module) -> None:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        if tensor.device.type != "cpu":
            raise ModelError(
                f"{OPERATION}: {name} is on {tensor.device}; move the module to the CPU (.cpu())"
            )
        if tensor.is_floating_point() and str(tensor.dtype) != "torch.float32":
            raise ModelError(
                f"{OPERATION}: {name} is {tensor.dtype}; convert the module to float32 (.float())"
            )


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, mode in modes:
            each.training = mode


def _traced(module: torch.nn.Module) -> torch.fx.Graph:
    import torch

    if type(module).__module__.startswith("torch.nn.modules") and not list(module.children()):
        module = torch.nn.Sequential(module)  # of one layer there is nothing to trace
    try:
        return torch.fx.symbolic_trace(module).graph
    except Exception as error:  # whatever a forward raises when it is given no numbers
        raise ModelError(
            f"{OPERATION}: {type(module).__name__} cannot be traced by torch.fx: "
            f"{shown(str(error))}. Its forward must not decide by the numbers of a map; export "
            "it with torch.onnx.export and read that"
        ) from error


def _input(
    graph: torch.fx.Graph, module: torch.nn.Module, input_shape: Sequence[int | None] | None
) -> tuple[Shape, tuple[int, ...]]:
    channels, axes = _first_channels(graph, module)
    if input_shape is not None:
        shape = read_shape("the module", "input_shape", (None, *input_shape))
        if len(shape) not in (2, 4):
            raise ModelError(
                f"{OPERATION}: input_shape must be (H, W, C), or (features,), got "
                f"{tuple(input_shape)}"
            )
        if len(shape) == 4 and shape[-1] != channels == shape[1]:
            raise ModelError(
                f"{OPERATION}: input_shape must be (H, W, C), got {tuple(input_shape)}: the module "
                f"takes {channels} channels"
            )
        return shape, NCHW if len(shape) == 4 else (0, 1)
    if channels is None:
        raise ModelError(
            f"{OPERATION}: the channels of an image cannot be seen from the first layers; pass "
            "input_shape=(H, W, C)"
        )
    return (None, None, None, channels) if axes == NCHW else (None, channels), axes


def _first_channels(
    graph: torch.fx.Graph, module: torch.nn.Module
) -> tuple[int | None, tuple[int, ...]]:
    """Return how many channels the first layer with weights takes, and whether of maps."""
    for node in graph.nodes:
        if node.op == "call_module":
            each = module.get_submodule(str(node.target))
            for argument in ("in_channels", "num_features"):
                if isinstance(count := getattr(each, argument, None), int):
                    return count, NCHW
            if isinstance(count := getattr(each, "in_features", None), int):
                return count, (0, 1)
            if type(each).__name__ == "Flatten":
                break
    return None, NCHW


# ------------------------------------------------------------------ the walk along the trace


class _Reader(ChannelsFirst):
    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(OPERATION)
        self.module = module
        self._module_name = ""
        self._shared: list[tuple[str, str, int, Layer]] = []

    def run(self, graph: torch.fx.Graph, start: Value) -> Value:
        """Take over node after node; return the value of the last."""
        import torch

        values: dict[torch.fx.Node, Any] = {}
        for node in graph.nodes:
            if node.op == "placeholder":
                if values and not node.args:  # an argument with a default needs no input
                    raise self.refusal("the module", "takes several inputs", "one is accepted")
                values[node] = start if not values else node.args[0]
                continue
            arguments = torch.fx.node.map_arg(node.args, lambda other: values[other])
            options = torch.fx.node.map_arg(node.kwargs, lambda other: values[other])
            if node.op == "output":
                (answer,) = arguments
                if not isinstance(answer, Value):
                    raise self.refusal(
                        "the module", f"returns {_named(answer)}", "one tensor is accepted"
                    )
                return answer
            values[node] = self._call(node, list(arguments), dict(options))
        raise self.refusal("the module", "returns nothing")

    def _call(self, node: torch.fx.Node, arguments: list[Any], options: dict[str, Any]) -> Any:
        target = str(node.target)
        if node.op == "get_attr":
            found: Any = operator.attrgetter(target)(self.module)
            return _array(found) if hasattr(found, "detach") else found
        if node.op == "call_module":
            module = self.module.get_submodule(target)
            self._module_name = target
            where = f"the module {shown(target)} ({type(module).__name__})"
            if module._forward_hooks or module._forward_pre_hooks:
                raise self.refusal(where, "has hooks, which are not taken over", "remove them")
            handler = _MODULES.get(type(module).__name__)
            if handler is None or not type(module).__module__.startswith("torch.nn.modules"):
                raise self.unknown(where, _MODULES)
            return handler(self, where, target, module, *arguments, **options)
        self._module_name = ""
        if node.op == "call_method":
            where = f"the call {shown(node.name)} (Tensor.{target})"
            handler = _FUNCTIONS.get(target.rstrip("_"))
        else:
            name = getattr(node.target, "__name__", target)
            where = f"the call {shown(node.name)} ({name})"
            handler = _FUNCTIONS.get(name.rstrip("_"))
        if handler is None:
            raise self.unknown(where, _FUNCTIONS)
        try:
            return handler(self, where, node.name, *arguments, **options)
        except (TypeError, AttributeError, IndexError) as error:
            raise self.refusal(
                where, f"is called in a way that is not known: {shown(str(error))}"
            ) from error

    def unknown(self, where: str, known: dict[str, Any]) -> ModelError:
        """Return the error for a module or a function without a layer."""
        return self.refusal(
            where,
            "cannot be taken over",
            f"cut the module before it, or replace it; taken over are {', '.join(sorted(known))}",
        )

    def place(
        self, layer: Layer, name: str, inputs: Sequence[Value], *args: Any, **options: Any
    ) -> Value:
        """Add a layer, or that of the same module once more."""
        if self._module_name:
            config = {**layer.get_config(), "name": None}
            for module, part, channels, made in self._shared:
                if (
                    (module, part, channels) == (self._module_name, name, inputs[0].channels)
                    and type(made) is type(layer)
                    and {**made.get_config(), "name": None} == config
                ):
                    return super().place(made, name, inputs, *args, **options)
            self._shared.append((self._module_name, name, inputs[0].channels, layer))
        return super().place(layer, name, inputs, *args, **options)


def _named(value: Any) -> str:
    return type(value).__name__


def _array(tensor: Any) -> Array:
    array: Array = tensor.detach().numpy()
    return array


def _weight(module: Any, name: str) -> Array | None:
    tensor = getattr(module, name, None)
    return None if tensor is None else _array(tensor)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    numbers = [int(number) for number in value]
    return numbers[0], numbers[-1]


# ------------------------------------------------------------------ functions

Handler: TypeAlias = Callable[..., Any]


def _conv2d(
    r: _Reader, where: str, name: str, input: Value, weight: Array, bias: Array | None = None,
    stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Value:  # fmt: skip
    if isinstance(padding, str):
        pads: Any = padding
    else:
        pads = plain_padding([(side, side) for side in _pair(padding)])
    return r.conv(
        where, name, input, weight, bias,
        strides=_pair(stride), dilations=_pair(dilation), groups=groups, padding=pads,
    )  # fmt: skip


def _linear(
    r: _Reader, where: str, name: str, input: Value, weight: Array, bias: Array | None = None
) -> Value:
    return r.linear(where, name, input, weight.T, bias)


def _max_pool2d(
    r: _Reader, where: str, name: str, input: Value, kernel_size: Any, stride: Any = None,
    padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Value:  # fmt: skip
    if _pair(dilation) != (1, 1):
        raise r.refusal(where, f"has dilation {dilation}", "pools with dilation 1 are read")
    if return_indices:
        raise r.refusal(where, "returns indices", "use return_indices=False")
    return _pool(r, where, name, input, "MAX", kernel_size, stride, padding, ceil_mode)


def _avg_pool2d(
    r: _Reader, where: str, name: str, input: Value, kernel_size: Any, stride: Any = None,
    padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:  # fmt: skip
    if divisor_override is not None:
        raise r.refusal(where, f"has divisor_override={divisor_override}", "use None")
    return _pool(
        r, where, name, input, "AVG", kernel_size, stride, padding, ceil_mode,
        count_include_pad and _pair(padding) != (0, 0),
    )  # fmt: skip


def _pool(
    r: _Reader, where: str, name: str, x: Value, kind: str, kernel_size: Any, stride: Any,
    padding: Any, ceil_mode: bool, count_include_pad: bool = False,
) -> Value:  # fmt: skip
    pads = plain_padding([(side, side) for side in _pair(padding)])
    return r.pool(
        where, name, x, kind, _pair(kernel_size),
        strides=_pair(kernel_size if stride in (None, []) else stride), padding=pads,
        ceil_mode=ceil_mode, count_include_pad=count_include_pad,
    )  # fmt: skip


def _adaptive(kind: str) -> Handler:
    def adaptive(
        r: _Reader, where: str, name: str, input: Value, output_size: Any,
        return_indices: bool = False,
    ) -> Value:  # fmt: skip
        if return_indices:
            raise r.refusal(where, "returns indices", "use return_indices=False")
        sizes = output_size if isinstance(output_size, Sequence) else (output_size,) * 2
        known = r.as_map(where, name, input).shape[1:3]
        wanted = [old if size is None else size for size, old in zip(sizes, known, strict=True)]
        if wanted == [1, 1]:
            return r.global_pool(where, name, input, kind, keepdims=True)
        pairs = [(old, size) for old, size in zip(known, wanted, strict=True) if old and size]
        if len(pairs) < 2:
            raise r.refusal(
                where, f"depends on the size of the image (to {output_size})",
                "pass input_shape=(H, W, C)",
            )  # fmt: skip
        if any(old % size for old, size in pairs):
            raise r.refusal(
                where, f"has windows of different sizes ({known} to {tuple(wanted)})",
                "choose an image whose maps are a multiple there",
            )  # fmt: skip
        window = tuple(old // size for old, size in pairs)
        return _pool(r, where, name, input, kind, window, None, 0, False)

    return adaptive


def _each(make: Callable[[], Layer]) -> Handler:
    def activation(r: _Reader, where: str, name: str, input: Value, inplace: bool = False) -> Value:
        return r.activation(name, input, make())

    return activation


def _by_name(name: str) -> Handler:
    return _each(lambda: layers.Activation(name))


def _leaky_relu(
    r: _Reader, where: str, name: str, input: Value, negative_slope: float = 0.01,
    inplace: bool = False,
) -> Value:  # fmt: skip
    return r.activation(name, input, layers.LeakyReLU(negative_slope))


def _elu(
    r: _Reader, where: str, name: str, input: Value, alpha: float = 1.0, inplace: bool = False
) -> Value:
    return r.activation(name, input, layers.ELU(alpha))


def _gelu(r: _Reader, where: str, name: str, input: Value, approximate: str = "none") -> Value:
    if approximate != "none":
        raise r.refusal(where, f"has approximate={approximate!r}", "use 'none'")
    return r.activation(name, input, layers.Activation("gelu"))


def _softplus(
    r: _Reader, where: str, name: str, input: Value, beta: float = 1, threshold: float = 20
) -> Value:
    if beta != 1:
        raise r.refusal(where, f"has beta={beta}", "use 1")
    return r.activation(name, input, layers.Activation("softplus"))


def _clamp(
    r: _Reader, where: str, name: str, input: Value, min: Any = None, max: Any = None
) -> Value:
    if min != 0 or not (max is None or max > 0):
        raise r.refusal(where, f"keeps numbers in [{min}, {max}]", "0 and a maximum are read")
    return r.activation(name, input, layers.ReLU(max_value=max))


def _hardtanh(
    r: _Reader, where: str, name: str, input: Value, min_val: float = -1.0, max_val: float = 1.0,
    inplace: bool = False,
) -> Value:  # fmt: skip
    return _clamp(r, where, name, input, min_val, max_val)


def _softmax(
    r: _Reader, where: str, name: str, input: Value, dim: int | None = None, *_: Any, **__: Any
) -> Value:
    return r.softmax(where, name, input, 1 if dim is None else dim)


def _prelu(r: _Reader, where: str, name: str, input: Value, weight: Array) -> Value:
    slopes = weight.reshape(-1, *(1,) * (input.rank - 2))
    return r.prelu(where, name, input, slopes)


def _flatten(
    r: _Reader, where: str, name: str, input: Value, start_dim: int = 0, end_dim: int = -1
) -> Value:
    if start_dim % input.rank != 1 or end_dim % input.rank != input.rank - 1:
        raise r.refusal(
            where, f"flattens axes {start_dim} to {end_dim}", "axes 1 to -1 may be flattened"
        )
    return r.flatten(where, name, input)


def _reshape(r: _Reader, where: str, name: str, input: Value, *shape: Any) -> Value:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    # A size that comes from the map is unknown where it is; a 0 has no meaning of its own here.
    return r.reshape(where, name, input, [int(size) for size in sizes])


def _size(r: _Reader, where: str, name: str, input: Value, dim: int | None = None) -> Any:
    sizes = tuple(UNKNOWN if size is None else size for size in input.source_shape)
    return sizes if dim is None else sizes[dim]


def _getattr(r: _Reader, where: str, name: str, value: Any, attribute: str) -> Any:
    if isinstance(value, Value) and attribute == "shape":
        return _size(r, where, name, value)
    raise r.refusal(where, f"asks for .{attribute}", ".shape is read")


def _getitem(r: _Reader, where: str, name: str, value: Any, index: Any) -> Any:
    if isinstance(value, tuple):
        return value[index]
    raise r.refusal(where, "cuts a map with [...]", "crop the image before, or cut the module")


def _mean(
    r: _Reader, where: str, name: str, input: Value, dim: Any = None, keepdim: bool = False
) -> Value:
    axes = range(input.rank) if dim is None else [dim] if isinstance(dim, int) else dim
    return r.mean(where, name, input, list(axes), keepdim)


def _squeeze(r: _Reader, where: str, name: str, input: Value, dim: Any = None) -> Value:
    if isinstance(dim, int):  # one axis after the other: the second one leaves a vector
        if input.source_shape[dim] != 1 or input.shape[1:3] != (1, 1) or input.rank != 4:
            return r.squeeze(where, name, input, [dim])
        raise r.refusal(where, f"leaves out axis {dim} alone", "use flatten(1)")
    return r.squeeze(where, name, input, dim)


def _permute(r: _Reader, where: str, name: str, input: Value, *dims: Any) -> Value:
    order = dims[0] if len(dims) == 1 else dims
    return r.transpose(where, input, [axis % input.rank for axis in order])


def _transpose(r: _Reader, where: str, name: str, input: Value, dim0: int, dim1: int) -> Value:
    order = list(range(input.rank))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return r.transpose(where, input, order)


def _cat(r: _Reader, where: str, name: str, tensors: Sequence[Value], dim: int = 0) -> Value:
    if dim == 0:
        raise r.refusal(where, "joins batches", "maps may be joined along another axis")
    return r.concat(where, name, tensors, dim)


def _pad(
    r: _Reader, where: str, name: str, input: Value, pad: Sequence[int], mode: str = "constant",
    value: float | None = None,
) -> Value:  # fmt: skip
    if mode != "constant":
        raise r.refusal(where, f"has mode={mode!r}", "padding with zeros is read")
    sides = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    pairs = [*((0, 0) for _ in range(input.rank - len(sides))), *reversed(sides)]
    return r.pad(where, name, input, pairs, value or 0)


def _same(r: _Reader, where: str, name: str, input: Value, *_: Any, **__: Any) -> Value:
    return input


def _dropout(
    r: _Reader, where: str, name: str, input: Value, p: float = 0.5, training: bool = True,
    inplace: bool = False,
) -> Value:  # fmt: skip
    if training:
        raise r.refusal(where, "drops at random in evaluation too", "pass training=self.training")
    return r.activation(name, input, layers.Dropout(p))


def _arithmetic(symbol: str, merging: Callable[[], Layer] | None) -> Handler:
    def arithmetic(r: _Reader, where: str, name: str, a: Any, b: Any, alpha: float = 1) -> Any:
        if alpha != 1:
            raise r.refusal(where, f"has alpha={alpha}", "use 1")
        if isinstance(a, Value) and isinstance(b, Value):
            if merging is None:
                raise r.refusal(where, "divides by a map", "divide by a number")
            return r.merge(where, name, merging(), [a, b])
        if not isinstance(a, Value) and not isinstance(b, Value):
            if UNKNOWN in (a, b):
                raise r.refusal(where, "computes with a size that is not known")
            return {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[
                symbol
            ](a, b)
        x, constant = (a, b) if isinstance(a, Value) else (b, a)
        number = constant if isinstance(constant, np.ndarray) else float(constant)
        if symbol == "+":
            return r.rescale(where, name, x, 1.0, number)
        if symbol == "*":
            return r.rescale(where, name, x, number, 0.0)
        if symbol == "-":
            return (
                r.rescale(where, name, x, 1.0, -number)
                if x is a
                else r.rescale(where, name, x, -1.0, number)
            )
        if x is b:
            raise r.refusal(where, "divides by a map", "divide by a number")
        return r.rescale(where, name, x, 1 / number, 0.0)

    return arithmetic


_FUNCTIONS: dict[str, Handler] = {
    "adaptive_avg_pool2d": _adaptive("AVG"),
    "adaptive_max_pool2d": _adaptive("MAX"),
    "add": _arithmetic("+", layers.Add),
    "avg_pool2d": _avg_pool2d,
    "cat": _cat,
    "clamp": _clamp,
    "clip": _clamp,
    "concat": _cat,
    "contiguous": _same,
    "conv2d": _conv2d,
    "div": _arithmetic("/", None),
    "dropout": _dropout,
    "elu": _elu,
    "flatten": _flatten,
    "gelu": _gelu,
    "getattr": _getattr,
    "getitem": _getitem,
    "hardsigmoid": _by_name("hard_sigmoid"),
    "hardswish": _by_name("hard_silu"),
    "hardtanh": _hardtanh,
    "iadd": _arithmetic("+", layers.Add),
    "imul": _arithmetic("*", layers.Multiply),
    "leaky_relu": _leaky_relu,
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "mean": _mean,
    "mul": _arithmetic("*", layers.Multiply),
    "multiply": _arithmetic("*", layers.Multiply),
    "pad": _pad,
    "permute": _permute,
    "prelu": _prelu,
    "relu": _each(layers.ReLU),
    "relu6": _each(lambda: layers.ReLU(max_value=6)),
    "reshape": _reshape,
    "selu": _by_name("selu"),
    "sigmoid": _by_name("sigmoid"),
    "silu": _by_name("silu"),
    "size": _size,
    "softmax": _softmax,
    "softplus": _softplus,
    "softsign": _by_name("softsign"),
    "squeeze": _squeeze,
    "sub": _arithmetic("-", layers.Subtract),
    "tanh": _by_name("tanh"),
    "transpose": _transpose,
    "truediv": _arithmetic("/", None),
    "view": _reshape,
}

# ------------------------------------------------------------------ modules


def _module(function: str, *attributes: str) -> Handler:
    """Take a module over as the function it calls, with the attributes as keywords."""

    def handler(r: _Reader, where: str, name: str, module: Any, input: Value) -> Any:
        options = {attribute: getattr(module, attribute) for attribute in attributes}
        return _FUNCTIONS[function](r, where, name, input, **options)

    return handler


def _conv_module(r: _Reader, where: str, name: str, module: Any, input: Value) -> Value:
    if module.padding_mode != "zeros":
        raise r.refusal(where, f"has padding_mode={module.padding_mode!r}", "use 'zeros'")
    return _conv2d(
        r, where, name, input, _array(module.weight), _weight(module, "bias"), module.stride,
        module.padding, module.dilation, module.groups,
    )  # fmt: skip


def _linear_module(r: _Reader, where: str, name: str, module: Any, input: Value) -> Value:
    return _linear(r, where, name, input, _array(module.weight), _weight(module, "bias"))


def _batch_norm_module(r: _Reader, where: str, name: str, module: Any, input: Value) -> Value:
    if module.running_mean is None:
        raise r.refusal(where, "has no running mean", "use track_running_stats=True")
    return r.batch_norm(
        where, name, input,
        {
            "gamma": _weight(module, "weight"),
            "beta": _weight(module, "bias"),
            "moving_mean": _weight(module, "running_mean"),
            "moving_variance": _weight(module, "running_var"),
        },
        module.eps,
    )  # fmt: skip


def _prelu_module(r: _Reader, where: str, name: str, module: Any, input: Value) -> Value:
    return _prelu(r, where, name, input, _array(module.weight))


def _dropout_module(r: _Reader, where: str, name: str, module: Any, input: Value) -> Value:
    return r.activation(name, input, layers.Dropout(module.p))


def _zero_pad_module(r: _Reader, where: str, name: str, module: Any, input: Value) -> Value:
    return _pad(r, where, name, input, module.padding, value=getattr(module, "value", 0))


def _identity_module(r: _Reader, where: str, name: str, module: Any, input: Value) -> Value:
    return r.activation(name, input, layers.Identity())


_MODULES: dict[str, Handler] = {
    "AdaptiveAvgPool2d": _module("adaptive_avg_pool2d", "output_size"),
    "AdaptiveMaxPool2d": _module("adaptive_max_pool2d", "output_size", "return_indices"),
    "AvgPool2d": _module(
        "avg_pool2d", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad",
        "divisor_override",
    ),
    "BatchNorm1d": _batch_norm_module,
    "BatchNorm2d": _batch_norm_module,
    "ConstantPad2d": _zero_pad_module,
    "Conv2d": _conv_module,
    "Dropout": _dropout_module,
    "Dropout2d": _dropout_module,
    "ELU": _module("elu", "alpha"),
    "Flatten": _module("flatten", "start_dim", "end_dim"),
    "GELU": _module("gelu", "approximate"),
    "Hardsigmoid": _module("hardsigmoid"),
    "Hardswish": _module("hardswish"),
    "Hardtanh": _module("hardtanh", "min_val", "max_val"),
    "Identity": _identity_module,
    "LeakyReLU": _module("leaky_relu", "negative_slope"),
    "Linear": _linear_module,
    "MaxPool2d": _module(
        "max_pool2d", "kernel_size", "stride", "padding", "dilation", "ceil_mode",
        "return_indices",
    ),
    "PReLU": _prelu_module,
    "ReLU": _module("relu"),
    "ReLU6": _module("relu6"),
    "SELU": _module("selu"),
    "SiLU": _module("silu"),
    "Sigmoid": _module("sigmoid"),
    "Softmax": _module("softmax", "dim"),
    "Softmax2d": lambda r, where, name, module, input: r.softmax(where, name, input, 1),
    "Softplus": _module("softplus", "beta", "threshold"),
    "Softsign": _module("softsign"),
    "Tanh": _module("tanh"),
    "ZeroPad2d": _zero_pad_module,
}  # fmt: skip
