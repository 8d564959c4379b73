"""Layers and operations of Keras: what each sees, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attar.models.calls import EVERYTHING, PIXEL, Seen, Task, slide

__all__ = ["seen_by", "task_of", "work_of"]

Shape: TypeAlias = tuple[int, ...]
"""Of the answer to one image, channels last: (H, W, C), (features,)."""

_DETECT = {
    "Activation", "Celu", "ELU", "Elu", "Gelu", "HardSigmoid", "HardSilu", "LeakyReLU", "LeakyRelu",
    "LogSoftmax", "Mish", "PReLU", "ReLU", "Relu", "Relu6", "Selu", "Sigmoid", "Silu", "Softmax",
    "Softplus", "Softsign", "Tanh",
}  # fmt: skip
_WINDOWED = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D"}
_FILTER = {"Conv2DTranspose", "Dense", *_WINDOWED}
_POOLS = {"AveragePooling2D", "MaxPooling2D"}
_MERGE = {
    "Add", "Average", "Concatenate", "Divide", "Maximum", "Minimum", "Multiply", "Subtract",
}  # fmt: skip
_PIXELS = {
    "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Cast", "Dense", "Dropout",
    "Exp", "GaussianDropout", "GaussianNoise", "Identity", "LayerNormalization", "Negative",
    "Normalization", "Power", "Rescaling", "SpatialDropout2D", "Sqrt", "Square", "TrueDivide",
    "UnitNormalization", *_DETECT, *_MERGE,
}  # fmt: skip


def _kinds(operation: Any) -> list[str]:
    """Return the names of an operation's class and of those that it is made from."""
    return [kind.__name__ for kind in type(operation).__mro__]


def _is(operation: Any, names: set[str]) -> bool:
    return any(kind in names for kind in _kinds(operation))


def task_of(operation: Any, inputs: int) -> Task:
    """Tell what an operation is for."""
    if _is(operation, _FILTER):
        return "filter"
    if _is(operation, _DETECT):
        return "detect"
    name = type(operation).__name__
    if _is(operation, _POOLS) or (name.startswith("Global") and "Pooling" in name):
        return "condense"
    return "merge" if inputs > 1 and _is(operation, _MERGE) else "other"


def seen_by(operation: Any, given: Sequence[Shape], answer: Shape) -> Seen:
    """Tell what an operation's answer sees.

    Parameters
    ----------
    operation : keras.Operation
    given : sequence of tuple of int
        The shapes of its inputs.
    answer : tuple of int
    """
    name = type(operation).__name__
    if name.startswith("Global") and "Pooling2D" in name:
        return EVERYTHING
    if all(_is_one_place(shape) for shape in (*given, answer)):
        return PIXEL  # where there is one place, nothing is lost
    for kind in _kinds(operation):
        if (handler := _HANDLERS.get(kind)) is not None:
            return handler(operation, given[0], answer)
    if name.startswith("Random"):
        return PIXEL  # augmentation, which does nothing here
    return PIXEL if _is(operation, _PIXELS) else None


def _is_one_place(shape: Shape) -> bool:
    return len(shape) == 1 or (len(shape) == 3 and shape[:2] == (1, 1))


def work_of(operation: Any, given: Shape, answer: Shape) -> int:
    """Count the multiplications with weights for one image."""
    kinds = _kinds(operation)
    window = math.prod(map(int, getattr(operation, "kernel_size", ())))
    if "SeparableConv2D" in kinds:
        channels = given[-1] * int(operation.depth_multiplier)
        return math.prod(answer[:-1]) * channels * (window + answer[-1])
    if "DepthwiseConv2D" in kinds:
        return math.prod(answer) * window
    if "Conv2DTranspose" in kinds:
        return math.prod(given) * window * answer[-1]
    if "Conv2D" in kinds or "Dense" in kinds:
        return math.prod(answer) * math.prod(map(int, operation.kernel.shape[:-1]))
    return 0


def _window(operation: Any, given: Shape, answer: Shape) -> Seen:
    if len(given) != 3:
        return None
    windows = getattr(operation, "kernel_size", None) or operation.pool_size
    strides = operation.strides or windows
    dilations = getattr(operation, "dilation_rate", None) or (1, 1)
    windows, strides, dilations = (
        (each, each) if isinstance(each, int) else tuple(each)
        for each in (windows, strides, dilations)
    )
    before = [0, 0]
    if str(operation.padding).lower() == "same":
        for i in range(2):
            reach = (windows[i] - 1) * dilations[i] + 1
            before[i] = max(0, (answer[i] - 1) * strides[i] + reach - given[i]) // 2
    return slide(windows, strides, dilations, before)


def _padding(operation: Any, _given: Shape, _answer: Shape) -> Seen:
    (top, _), (left, _) = operation.padding
    return slide((1, 1), before=(top, left))


def _cropping(operation: Any, _given: Shape, _answer: Shape) -> Seen:
    (top, _), (left, _) = operation.cropping
    return slide((1, 1), before=(-top, -left))


def _shape(_operation: Any, given: Shape, answer: Shape) -> Seen:
    return PIXEL if given == answer else None


def _along_channels(operation: Any, given: Shape, _answer: Shape) -> Seen:
    axis = getattr(operation, "axis", -1)
    axis = axis[0] if isinstance(axis, Sequence) and len(axis) == 1 else axis
    last = 1 if getattr(operation, "data_format", None) == "channels_first" else len(given)
    return PIXEL if axis in (-1, last) else None


_HANDLERS: dict[str, Callable[[Any, Shape, Shape], Seen]] = {
    **dict.fromkeys((*_WINDOWED, *_POOLS), _window),
    **dict.fromkeys(("Flatten", "Reshape"), _shape),
    **dict.fromkeys(("Concatenate", "LayerNormalization", "Softmax"), _along_channels),
    "Conv2DTranspose": lambda *_: None,
    "Cropping2D": _cropping,
    "ZeroPadding2D": _padding,
}
