"""Operators of ONNX: what each sees of its inputs, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.models.calls import EVERYTHING, PIXEL, Seen, Task, slide
from attar.models.protocol import Layout

if TYPE_CHECKING:
    import onnx

__all__ = ["Node", "seen_by", "task_of", "work_of"]

_DETECT = {
    "Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "LogSoftmax", "Mish",
    "PRelu", "Relu", "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Swish", "Tanh",
    "ThresholdedRelu",
}  # fmt: skip
_FILTER = {"Conv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "QLinearMatMul"}
_POOLS = {"AveragePool", "LpPool", "MaxPool"}
_GLOBAL = {"GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"}
_REDUCE = {"ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"}
_MERGE = {"Add", "Concat", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum"}
_PIXELS = {
    "Abs", "BatchNormalization", "Cast", "CastLike", "Ceil", "DequantizeLinear", "Dropout", "Erf",
    "Exp", "Floor", "Identity", "LRN", "Log", "Neg", "Pow", "QuantizeLinear", "Reciprocal", "Round",
    "Sign", "Sqrt", "Where", *_DETECT, *_MERGE,
}  # fmt: skip
_SHAPES = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}


class Node:
    """A node, with what is known of its tensors.

    Parameters
    ----------
    proto : onnx.NodeProto
    taken : list of str
        Its inputs that depend on the image.
    shapes : mapping of str to (shape, data type)
        As of `Graph.shapes`.
    layouts : dict of str to {"NCHW", "NHWC"}
        Of tensors of rank 4 so far.
    numbers : mapping of str to ndarray
        Small constants.
    opset : int
    """

    def __init__(
        self,
        proto: onnx.NodeProto,
        taken: list[str],
        shapes: Mapping[str, tuple[Any, int]],
        layouts: dict[str, Layout],
        numbers: Mapping[str, np.ndarray[Any, Any]],
        opset: int,
    ) -> None:
        self.kind = proto.op_type
        self.proto, self.taken, self.opset = proto, taken, opset
        self._shapes, self._layouts, self._numbers = shapes, layouts, numbers
        self._attributes = {attribute.name: attribute for attribute in proto.attribute}

    def whole(self, tensor: str) -> tuple[int, ...] | None:
        """Return a shape with the batch as it is, None where it is not known."""
        shape = self._shapes.get(tensor, (None, 0))[0]
        return None if shape is None or None in shape else shape

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape for one image with channels last, () where it is not known."""
        shape = self.whole(tensor)
        if shape is None:
            return ()
        if len(shape) == 4 and self.layout(tensor) == "NCHW":
            return shape[2], shape[3], shape[1]
        return shape[1:]

    def layout(self, tensor: str) -> Layout:
        """Return the layout of a tensor of rank 4."""
        return self._layouts.get(tensor, "NCHW")

    def set_layouts(self) -> None:
        """Note the layout of the answers."""
        layout: Layout = "NCHW"
        if self.kind == "Transpose":
            before = self.layout(self.taken[0])
            moved = tuple(self.integers("perm"))
            turned: dict[tuple[Layout, tuple[int, ...]], Layout] = {
                ("NCHW", (0, 2, 3, 1)): "NHWC",
                ("NHWC", (0, 3, 1, 2)): "NCHW",
            }
            layout = turned.get((before, moved), before)
        elif self.kind in _PIXELS or self.kind in ("MatMul", "Pad", "Slice", *_REDUCE):
            # Operators that work along named axes keep the order that they find.
            of_maps = [name for name in self.taken if len(self.whole(name) or ()) == 4]
            layout = self.layout(of_maps[0]) if of_maps else "NCHW"
        for name in self.proto.output:
            self._layouts[name] = layout

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """Return an attribute of whole numbers."""
        found = self._attributes.get(name)
        return list(default) if found is None else [int(number) for number in found.ints]

    def integer(self, name: str, default: int) -> int:
        """Return an attribute of one whole number."""
        found = self._attributes.get(name)
        return default if found is None else int(found.i)

    def text(self, name: str) -> str:
        """Return an attribute of text."""
        found = self._attributes.get(name)
        return "" if found is None else bytes(found.s).decode("utf-8", "replace")

    def constant(self, i: int) -> list[int] | None:
        """Return an input as whole numbers, where it is a small constant."""
        name = self.proto.input[i] if i < len(self.proto.input) else ""
        array = self._numbers.get(name)
        return None if array is None else [int(number) for number in array.ravel()]

    def has(self, i: int) -> bool:
        """Whether there is such an input."""
        return i < len(self.proto.input) and bool(self.proto.input[i])

    @property
    def given(self) -> tuple[int, ...]:
        """The shape of the first input, channels last."""
        return self.shape(self.taken[0])

    @property
    def answer(self) -> tuple[int, ...]:
        """The shape of the first answer, channels last."""
        return self.shape(self.proto.output[0])

    def axis_of(self, axis: int) -> str:
        """Return what an axis of the first input is of: "batch", "places", "channels"."""
        rank = len(self.whole(self.taken[0]) or ())
        axis %= max(rank, 1)
        if axis == 0:
            return "batch"
        if rank != 4:
            return "channels" if axis == rank - 1 or rank == 2 else "places"
        of_channels = 1 if self.layout(self.taken[0]) == "NCHW" else 3
        return "channels" if axis == of_channels else "places"


def task_of(node: Node) -> Task:
    """Tell what a node is for."""
    if node.kind in _FILTER and (node.kind != "MatMul" or len(node.taken) == 1):
        return "filter"
    if node.kind in _DETECT:
        return "detect"
    if node.kind in _POOLS | _GLOBAL or (node.kind in _REDUCE and seen_by(node) == EVERYTHING):
        return "condense"
    return "merge" if node.kind in _MERGE and len(node.taken) > 1 else "other"


def work_of(node: Node) -> int:
    """Count the multiplications with weights for one image."""
    if task_of(node) != "filter" or len(node.proto.input) < 2 or not node.answer:
        return 0
    weights = node.whole(node.proto.input[1])
    if weights is None or not weights:
        return 0
    if node.kind == "ConvTranspose":
        return math.prod(node.given) * math.prod(weights[1:])
    if node.kind in ("Conv", "ConvInteger"):
        return math.prod(node.answer) * math.prod(weights[1:])
    if len(weights) != 2:
        return 0
    inner = weights[1] if node.kind == "Gemm" and node.integer("transB", 0) else weights[0]
    return math.prod(node.answer) * inner


def seen_by(node: Node) -> Seen:
    """Tell what the first answer of a node sees of its inputs."""
    if not node.given:
        return None
    if node.kind in _GLOBAL:
        return EVERYTHING
    if all(_is_one_place(node.shape(name)) for name in node.taken) and _is_one_place(node.answer):
        return PIXEL  # where there is one place, nothing is lost
    handler = _HANDLERS.get(node.kind)
    if handler is not None:
        return handler(node)
    return PIXEL if node.kind in _PIXELS else None


def _is_one_place(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or (len(shape) == 3 and shape[:2] == (1, 1))


def _window(node: Node) -> Seen:
    rank = len(node.given) - 1
    kernel = node.integers("kernel_shape")
    if not kernel and node.has(1):
        kernel = list((node.whole(node.proto.input[1]) or ())[2:])
    strides, dilations = (node.integers(name, [1, 1]) for name in ("strides", "dilations"))
    pads, auto = node.integers("pads", [0, 0, 0, 0]), node.text("auto_pad")
    if rank != 2 or [len(kernel), len(strides), len(dilations), len(pads)] != [2, 2, 2, 4]:
        return None
    if min(kernel + strides + dilations) < 1:
        return None
    before = pads[:2]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        before = []
        for i in range(2):
            size, out = node.given[i], node.answer[i]
            reach = (kernel[i] - 1) * dilations[i] + 1
            total = max(0, (out - 1) * strides[i] + reach - size)
            before.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
    elif auto == "VALID":
        before = [0, 0]
    return slide(kernel, strides, dilations, before)


def _softmax(node: Node) -> Seen:
    axis = node.integer("axis", -1 if node.opset >= 13 else 1)
    return PIXEL if node.axis_of(axis) == "channels" else None


def _concat(node: Node) -> Seen:
    return PIXEL if node.axis_of(node.integer("axis", 1)) == "channels" else None


def _split(node: Node) -> Seen:
    return PIXEL if node.axis_of(node.integer("axis", 0)) == "channels" else None


def _matmul(node: Node) -> Seen:
    """Weights for the last axis are a convolution of 1 × 1 where that is the channels'."""
    whole = node.whole(node.taken[0]) or ()
    return PIXEL if len(node.taken) == 1 and node.axis_of(len(whole) - 1) == "channels" else None


def _reduce(node: Node) -> Seen:
    axes = node.integers("axes") or node.constant(1) or []
    kinds = {node.axis_of(axis) for axis in axes}
    places = len(node.given) - 1
    if kinds == {"places"} and len(axes) == places:
        return EVERYTHING
    return PIXEL if kinds == {"channels"} and node.integer("keepdims", 1) else None


def _reshape(node: Node) -> Seen:
    return PIXEL if node.answer == node.given else None


def _transpose(node: Node) -> Seen:
    moved = tuple(node.integers("perm"))
    turned = moved in ((0, 2, 3, 1), (0, 3, 1, 2)) and node.answer == node.given
    return PIXEL if turned or moved == tuple(range(len(moved))) else None


def _pad(node: Node) -> Seen:
    pads = node.integers("pads") or node.constant(1)
    if pads is None or len(pads) != 8 or (node.has(3) and node.constant(3) is not None):
        return None
    first = 2 if node.layout(node.taken[0]) == "NCHW" else 1
    return slide((1, 1), before=pads[first : first + 2])


def _slice(node: Node) -> Seen:
    starts, axes = node.constant(1), node.constant(3)
    steps = node.constant(4) if node.has(4) else None
    if starts is None or axes is None or (node.has(4) and steps is None):
        return None
    first = 2 if node.layout(node.taken[0]) == "NCHW" else 1
    stride, before = [1, 1], [0, 0]
    for axis, start, step in zip(axes, starts, steps or [1] * len(axes), strict=False):
        kind = node.axis_of(axis)
        if kind == "places" and len(node.given) == 3 and step > 0:
            place = axis % 4 - first
            stride[place] = step
            before[place] = -(start if start >= 0 else start + node.given[place])
        elif kind != "channels":
            return None
    return slide((1, 1), stride, before=before)


_HANDLERS: dict[str, Callable[[Node], Seen]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv", *_POOLS), _window),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(_REDUCE, _reduce),
    **dict.fromkeys(_SHAPES, _reshape),
    "Concat": _concat,
    "Gemm": _matmul,
    "MatMul": _matmul,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}
