"""Layers and operations of Keras: what each sees, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attar.geometry import Axis, conv_axes
from attar.models.calls import EVERYTHING, PIXEL, Seen, Task, behind, blur, slide
from attar.models.protocol import OPERATION

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
# Those that Keras has none of are attar's, of attar.keras.
_POOLS = {
    "AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "AveragePooling2D", "BlurPool2D",
    "FractionalMaxPool2D", "GeM2D", "LPPool2D", "MaxBlurPool2D", "MaxPooling2D", "PolyphasePool2D",
    "SoftPool2D",
}  # fmt: skip
_MERGE = {
    "Add", "Average", "Concatenate", "Divide", "Maximum", "Minimum", "Multiply", "Subtract",
}  # fmt: skip
_PIXELS = {
    "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Cast", "Dense", "Dropout",
    "Exp", "GaussianDropout", "GaussianNoise", "Identity", "LayerNormalization", "LayerScale",
    "Negative", "Normalization", "Power", "Rescaling", "SpatialDropout2D", "Sqrt", "Square",
    "StochasticDepth", "TrueDivide", "UnitNormalization", *_DETECT, *_MERGE,
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
    if name == "GeM2D" or (name.startswith("Global") and "Pooling2D" in name):
        return EVERYTHING
    if all(_is_one_place(shape) for shape in (*given, answer)):
        return PIXEL  # where there is one place, nothing is lost
    for kind in _kinds(operation):
        handler = _HANDLERS.get(kind)
        if handler is not None:
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
    if "Extract2D" in kinds:
        places = math.prod(axis.out for axis in _filter_axes(operation, given))
        return places * math.prod(map(int, operation.kernel.shape))
    if "Conv2D" in kinds or "Dense" in kinds:
        return math.prod(answer) * math.prod(map(int, operation.kernel.shape[:-1]))
    return 0


def _axes(
    given: Sequence[int], windows: Any, strides: Any, padding: Any, dilations: Any = (1, 1)
) -> tuple[Axis, ...]:
    windows, strides, dilations = (
        (each, each) if isinstance(each, int) else tuple(each)
        for each in (windows, strides or windows, dilations)
    )
    sizes = (given[0], given[1])
    return conv_axes(OPERATION, sizes, windows, strides, dilations, str(padding).upper())


def _filter_axes(operation: Any, given: Shape) -> tuple[Axis, ...]:
    return _axes(
        given,
        operation.kernel_size,
        operation.strides,
        operation.padding,
        operation.dilation_rate,
    )


def _filter(operation: Any, given: Shape, _answer: Shape) -> Seen:
    height, width = _filter_axes(operation, given)
    return height, width


def _extract(operation: Any, given: Shape, _answer: Shape) -> Seen:
    filter = _filter_axes(operation, given)
    between = [axis.out for axis in filter]
    pool = _axes(between, operation.pool_size, operation.pool_strides, operation.pool_padding)
    return behind(filter, pool)


def _pool(operation: Any, given: Shape, _answer: Shape) -> Seen:
    height, width = _axes(given, operation.pool_size, operation.strides, operation.padding)
    return height, width


def _blur_pool(operation: Any, _given: Shape, _answer: Shape) -> Seen:
    return blur(operation.size, operation.strides)


def _max_blur_pool(operation: Any, given: Shape, _answer: Shape) -> Seen:
    largest = _axes(given, operation.pool_size, (1, 1), operation.padding)
    return behind(largest, blur(operation.size, operation.strides))


def _polyphase_pool(operation: Any, _given: Shape, _answer: Shape) -> Seen:
    return slide(operation.strides, operation.strides)  # whichever phase it takes


def _adaptive(_operation: Any, given: Shape, answer: Shape) -> Seen:
    if answer[:2] == (1, 1):
        return EVERYTHING
    if any(size % out for size, out in zip(given[:2], answer[:2], strict=True)):
        return None  # windows of different sizes
    windows = [size // out for size, out in zip(given[:2], answer[:2], strict=True)]
    return slide(windows, windows)


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
    "Extract2D": _extract,  # before Conv2D, which it is as well
    **dict.fromkeys(_WINDOWED, _filter),
    **dict.fromkeys(("AveragePooling2D", "LPPool2D", "MaxPooling2D", "SoftPool2D"), _pool),
    **dict.fromkeys(("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D"), _adaptive),
    "BlurPool2D": _blur_pool,
    "MaxBlurPool2D": _max_blur_pool,
    "PolyphasePool2D": _polyphase_pool,
    **dict.fromkeys(("Flatten", "Reshape"), _shape),
    **dict.fromkeys(("Concatenate", "LayerNormalization", "Softmax"), _along_channels),
    "Conv2DTranspose": lambda *_: None,
    "Cropping2D": _cropping,
    "ZeroPadding2D": _padding,
}
