"""Operations of PyTorch, as they reach its dispatcher: what each sees, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from attar.geometry import Axis
from attar.models.calls import EVERYTHING, PIXEL, Seen, Task, behind, blur, slide

__all__ = ["seen_by", "task_of", "work_of"]

Shape: TypeAlias = tuple[int, ...]
"""As PyTorch has it: (N, C, H, W), (N, features)."""

_DETECT = {
    "celu", "clamp", "clamp_max", "clamp_min", "elu", "gelu", "hardsigmoid", "hardswish",
    "hardtanh", "leaky_relu", "log_sigmoid_forward", "log_softmax", "mish", "prelu",
    "prelu_kernel", "relu", "relu6", "rrelu_with_noise", "selu", "sigmoid", "silu", "softmax",
    "softplus", "tanh", "threshold",
}  # fmt: skip
# Without a number at the end, or extract: attar's own operators, of attar.torch.
_FILTER = {"addmm", "bmm", "convolution", "extract", "linear", "mm"}
_POOLS = {
    "avg_pool", "avg_pool2d", "blur_pool", "lp_pool", "max_blur_pool", "max_pool", "max_pool2d",
    "max_pool2d_with_indices", "polyphase_pool", "soft_pool",
}  # fmt: skip
_ADAPTIVE = {
    "adaptive_avg_pool", "adaptive_avg_pool2d", "adaptive_max_pool", "adaptive_max_pool2d",
    "gem_pool",
}  # fmt: skip
_MERGE = {"add", "cat", "div", "maximum", "minimum", "mul", "sub"}
_PIXELS = {
    "abs", "alias", "batch_norm", "clone", "contiguous", "copy", "cudnn_batch_norm", "detach",
    "dropout", "erf", "exp", "log", "native_batch_norm", "native_dropout", "neg", "pow",
    "native_batch_norm_legit_no_training", "reciprocal", "rsqrt", "sign", "sqrt", "to_copy",
    "where", *_DETECT, *_MERGE,
}  # fmt: skip
_SHAPES = {"flatten", "reshape", "squeeze", "unsafe_view", "unsqueeze", "view"}


def task_of(kind: str, given: Shape, answer: Shape, merged: int) -> Task:
    """Tell what an operation is for; `merged` is how many maps it takes."""
    if kind in _FILTER and merged == 1:
        return "filter"
    if kind in _DETECT:
        return "detect"
    if kind in _POOLS | _ADAPTIVE or _is_global_mean(kind, given, answer):
        return "condense"
    return "merge" if kind in _MERGE and merged > 1 else "other"


def _is_global_mean(kind: str, given: Shape, answer: Shape) -> bool:
    return kind in ("mean", "amax") and len(given) == 4 and math.prod(answer[2:]) == 1


def seen_by(kind: str, arguments: Sequence[Any], given: Sequence[Shape], answer: Shape) -> Seen:
    """Tell what an operation's answer sees.

    Parameters
    ----------
    kind : str
        Its name, without underscores at the ends.
    arguments : sequence
        Of the call, by place.
    given : sequence of tuple of int
        The shapes of its inputs that depend on the image.
    answer : tuple of int
    """
    if all(_is_one_place(shape) for shape in (*given, answer)):
        return PIXEL  # where there is one place, nothing is lost
    handler = _HANDLERS.get(kind)
    if handler is not None:
        return handler(arguments, given[0], answer)
    return PIXEL if kind in _PIXELS else None


def _is_one_place(shape: Shape) -> bool:
    return len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1))


def work_of(kind: str, arguments: Sequence[Any], weights: Shape | None, answer: Shape) -> int:
    """Count the multiplications with weights for one image, by the shape of the weights."""
    if weights is None or kind not in _FILTER:
        return 0
    if kind == "extract":
        _, filter = _extract_windows(arguments)
        sides = arguments[4]
        places = (
            (size + sides[2 * i] + sides[2 * i + 1] - axis.extent) // axis.stride + 1
            for i, (size, axis) in enumerate(zip(arguments[0].shape[2:], filter, strict=True))
        )
        return int(math.prod(places) * math.prod(weights))
    if kind == "convolution":
        if len(arguments) > 6 and arguments[6]:  # transposed: each input meets each weight
            return math.prod(int(size) for size in arguments[0].shape[1:]) * math.prod(weights[1:])
        return math.prod(answer[1:]) * math.prod(weights[1:])
    return math.prod(answer[1:]) * weights[0] if len(weights) == 2 else 0


def _pair(value: Any, default: tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    numbers = [int(number) for number in value or ()]
    return (numbers[0], numbers[-1]) if numbers else default


def _at(arguments: Sequence[Any], i: int) -> Any:
    return arguments[i] if i < len(arguments) else None


def _convolution(arguments: Sequence[Any], given: Shape, _answer: Shape) -> Seen:
    weights = arguments[1].shape
    if len(given) != 4 or len(weights) != 4 or _at(arguments, 6):
        return None
    strides, before, dilations = (
        _pair(_at(arguments, i), default) for i, default in ((3, (1, 1)), (4, (0, 0)), (5, (1, 1)))
    )
    return slide(tuple(weights[2:]), strides, dilations, before)


def _pool(arguments: Sequence[Any], given: Shape, _answer: Shape, dilated: bool = True) -> Seen:
    if len(given) != 4:
        return None
    window = _pair(arguments[1], (1, 1))
    strides, before = _pair(_at(arguments, 2), window), _pair(_at(arguments, 3), (0, 0))
    dilations = _pair(_at(arguments, 4), (1, 1)) if dilated else (1, 1)
    return slide(window, strides, dilations, before)


def _mean_pool(arguments: Sequence[Any], given: Shape, answer: Shape) -> Seen:
    return _pool(arguments, given, answer, dilated=False)


def _adaptive(_arguments: Sequence[Any], given: Shape, answer: Shape) -> Seen:
    sizes = list(zip(given[2:], answer[2:], strict=True))
    if all(out == 1 for _, out in sizes):
        return EVERYTHING
    if any(size % out for size, out in sizes):
        return None  # windows of different sizes
    window = [size // out for size, out in sizes]
    return slide(window, window)


def _reduce(arguments: Sequence[Any], given: Shape, answer: Shape) -> Seen:
    axes = {axis % len(given) for axis in (_at(arguments, 1) or range(len(given)))}
    if len(given) == 4 and axes == {2, 3}:
        return EVERYTHING
    return PIXEL if axes == {1} and len(answer) == len(given) else None


def _pad(arguments: Sequence[Any], given: Shape, _answer: Shape) -> Seen:
    pads = list(arguments[1])  # of the last axis first
    if len(given) != 4 or len(pads) not in (2, 4):
        return None
    return slide((1, 1), before=(pads[2] if len(pads) == 4 else 0, pads[0]))


def _extract_windows(arguments: Sequence[Any]) -> tuple[tuple[Axis, Axis], tuple[Axis, Axis]]:
    """Return what an answer of `attar.torch.Extract2d` sees, and what its convolution does."""
    weights, (strides, sides, dilations) = arguments[1], arguments[3:6]
    filter = slide(tuple(weights.shape[2:]), strides, dilations, sides[::2])
    window, steps, around = arguments[8:11]
    return (behind(filter, slide(window, steps, before=around)) if window else filter), filter


def _extract(arguments: Sequence[Any], _given: Shape, _answer: Shape) -> Seen:
    return _extract_windows(arguments)[0]


def _blur_pool(arguments: Sequence[Any], _given: Shape, _answer: Shape) -> Seen:
    return blur(arguments[1], arguments[2])


def _max_blur_pool(arguments: Sequence[Any], _given: Shape, _answer: Shape) -> Seen:
    window, size, stride, padding = arguments[1:5]
    return behind(slide(window, before=padding), blur(size, stride))


def _polyphase_pool(arguments: Sequence[Any], _given: Shape, _answer: Shape) -> Seen:
    return slide(arguments[1], arguments[1])  # whichever phase it takes


def _lp_pool(arguments: Sequence[Any], given: Shape, answer: Shape) -> Seen:
    return _pool([arguments[0], *arguments[2:]], given, answer, dilated=False)


def _shape(_arguments: Sequence[Any], given: Shape, answer: Shape) -> Seen:
    return PIXEL if given == answer else None


def _channels(axis_at: int, default: int) -> Callable[[Sequence[Any], Shape, Shape], Seen]:
    """Return the rule of operations along an axis: nothing is lost along that of channels."""

    def along(arguments: Sequence[Any], given: Shape, _answer: Shape) -> Seen:
        axis = _at(arguments, axis_at)
        return PIXEL if (default if axis is None else axis) % len(given) == 1 else None

    return along


def _slice(arguments: Sequence[Any], given: Shape, _answer: Shape) -> Seen:
    axis, start, step = (_at(arguments, i) for i in (1, 2, 4))
    axis, start, step = (axis or 0) % len(given), start or 0, step or 1
    if axis == 1:
        return PIXEL
    if len(given) != 4 or axis == 0:
        return None
    strides, before = [1, 1], [0, 0]
    strides[axis - 2], before[axis - 2] = step, -(start if start >= 0 else start + given[axis])
    return slide((1, 1), strides, before=before)


_HANDLERS: dict[str, Callable[[Sequence[Any], Shape, Shape], Seen]] = {
    **dict.fromkeys(_ADAPTIVE, _adaptive),
    **dict.fromkeys(_SHAPES, _shape),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _pad),
    **dict.fromkeys(("softmax", "log_softmax"), _channels(1, -1)),
    **dict.fromkeys(("split", "split_with_sizes"), _channels(2, 0)),
    **dict.fromkeys(("mean", "amax", "sum"), _reduce),
    **dict.fromkeys(("avg_pool", "avg_pool2d", "soft_pool"), _mean_pool),
    "blur_pool": _blur_pool,
    "cat": _channels(1, 0),
    "convolution": _convolution,
    "extract": _extract,
    "lp_pool": _lp_pool,
    "max_blur_pool": _max_blur_pool,
    **dict.fromkeys(("max_pool", "max_pool2d", "max_pool2d_with_indices"), _pool),
    "polyphase_pool": _polyphase_pool,
    "slice": _slice,
}
