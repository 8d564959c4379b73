"""Windows: padding and output sizes, as pure arithmetic.

An operation slides a window along each spatial axis. `Axis` is one such axis with everything
resolved: output o looks at the inputs ``o * stride - pad_before + k * dilation`` for k in
[0, window). The rules that lead to it are TensorFlow's for ``"SAME"`` and ``"VALID"`` and
PyTorch's for ``ceil_mode``. Where windows differ in size, the axis is `Bins`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple, TypeAlias

from attar.errors import ArgumentError, DTypeError, ShapeError

__all__ = [
    "AnyAxis",
    "Axis",
    "Bins",
    "Padding",
    "adaptive_axis",
    "blur_axes",
    "conv_axes",
    "fractional_axis",
    "fractional_sequence",
    "freeze",
    "parse_padding",
    "pool_axes",
    "spatial_values",
]

_DEEPEST = 3  # lists within lists that an argument may have; a pair for each axis has 2
_LARGEST = 2**31 - 1  # of a window, a step or a padding: the core counts in 64 bits

Padding: TypeAlias = str | tuple[tuple[int, int], ...]
"""``"SAME"``, ``"VALID"`` or one (before, after) pair for each spatial axis."""


class Axis(NamedTuple):
    """A window that slides along one axis.

    Attributes
    ----------
    size : int
        Inputs along the axis.
    window, stride, dilation : int
        Taps of the window, steps from output to output and from tap to tap.
    pad_before, pad_after : int
        Cells of padding at the two ends; the first window begins at ``-pad_before``.
    out : int
        Outputs along the axis.

    Examples
    --------
    >>> axis = Axis(size=5, window=3, stride=2, dilation=1, pad_before=1, pad_after=1, out=3)
    >>> [axis.taps(o) for o in range(axis.out)]
    [[-1, 0, 1], [1, 2, 3], [3, 4, 5]]
    """

    size: int
    window: int
    stride: int
    dilation: int
    pad_before: int
    pad_after: int
    out: int

    @property
    def extent(self) -> int:
        """Inputs from the first to the last tap of one window."""
        return (self.window - 1) * self.dilation + 1

    def taps(self, o: int) -> list[int]:
        """Positions that output `o` looks at; those outside [0, size) are padding."""
        first = o * self.stride - self.pad_before
        return [first + k * self.dilation for k in range(self.window)]

    def sees_a_value(self, o: int) -> bool:
        """Whether any tap of output `o` falls on an input."""
        first = o * self.stride - self.pad_before
        lowest = max(0, -(first // self.dilation))  # the first tap at 0 or behind it
        return lowest < self.window and first + lowest * self.dilation < self.size

    def part(self, first: int, last: int) -> tuple[Axis, int, int]:
        """Return the windows of the outputs [first, last) alone.

        Returns
        -------
        Axis
            Over the inputs [begin, end), those that the outputs look at; at least one.
        begin, end : int

        Examples
        --------
        >>> Axis(9, window=3, stride=1, dilation=1, pad_before=1, pad_after=1, out=9).part(6, 9)
        (Axis(size=4, window=3, stride=1, dilation=1, pad_before=0, pad_after=1, out=3), 5, 9)
        """
        start = first * self.stride - self.pad_before
        stop = (last - 1) * self.stride - self.pad_before + self.extent
        begin = min(max(0, start), self.size - 1)
        end = min(max(begin + 1, stop), self.size)
        part = self._replace(
            size=end - begin,
            pad_before=begin - start,
            pad_after=max(0, stop - end),
            out=last - first,
        )
        return part, begin, end

    def trim(self) -> tuple[Axis, int]:
        """Leave out the taps that meet no input for any output, and steps that are not taken.

        What remains is no longer than the input, however large the window or the dilation was.

        Returns
        -------
        Axis
            With the same outputs, as long as padding counts for nothing. Its `pad_before` is
            negative where even the first window's first tap lies behind the first input.
        int
            How many taps were left out in front.

        Examples
        --------
        >>> axis = Axis(4, window=3, stride=1, dilation=9, pad_before=9, pad_after=9, out=4)
        >>> axis.trim()
        (Axis(size=4, window=1, stride=1, dilation=1, pad_before=0, pad_after=0, out=4), 1)
        """
        reach = (self.out - 1) * self.stride
        first = max(0, -((reach - self.pad_before) // self.dilation))
        last = min(self.window - 1, (self.size - 1 + self.pad_before) // self.dilation)
        if last < first:  # only padding is ever seen, and any one tap sees it as well
            first = last = 0
        window = last - first + 1
        dilation = self.dilation if window > 1 else 1
        stride = self.stride if self.out > 1 else 1
        before = self.pad_before - first * self.dilation
        behind = reach - before + (window - 1) * dilation + 1 - self.size
        return Axis(self.size, window, stride, dilation, before, max(0, behind), self.out), first


class Bins(NamedTuple):
    """Windows of any place and size along one axis: [begins[o], ends[o]) for output o.

    They lie inside, and neither end ever goes back from one output to the next.

    Examples
    --------
    >>> bins = Bins(size=5, begins=(0, 1, 3), ends=(2, 4, 5))
    >>> bins.out, bins.window, [bins.taps(o) for o in range(bins.out)]
    (3, 3, [[0, 1], [1, 2, 3], [3, 4]])
    """

    size: int
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def out(self) -> int:
        """Outputs along the axis."""
        return len(self.begins)

    @property
    def window(self) -> int:
        """Inputs in the largest window."""
        return max(end - begin for begin, end in zip(self.begins, self.ends, strict=True))

    @property
    def pad_before(self) -> int:
        """Nothing: windows lie inside."""
        return 0

    @property
    def pad_after(self) -> int:
        """Nothing: windows lie inside."""
        return 0

    def taps(self, o: int) -> list[int]:
        """Positions that output `o` looks at."""
        return list(range(self.begins[o], self.ends[o]))

    def trim(self) -> tuple[Bins, int]:
        """Leave out nothing: every tap falls on an input."""
        return self, 0


AnyAxis: TypeAlias = Axis | Bins


def adaptive_axis(size: int, out: int) -> AnyAxis:
    """Cut an axis into `out` windows as PyTorch's adaptive pools do.

    Window o is [floor(o * size / out), ceil((o + 1) * size / out)), so that neighbours share a
    cell where the size does not divide. The answer is an `Axis` where all windows are alike.

    Examples
    --------
    >>> adaptive_axis(6, 3)
    Axis(size=6, window=2, stride=2, dilation=1, pad_before=0, pad_after=0, out=3)
    >>> adaptive_axis(5, 3)
    Bins(size=5, begins=(0, 1, 3), ends=(2, 4, 5))
    """
    if size % out == 0:
        return Axis(size, size // out, size // out, 1, 0, 0, out)
    begins = tuple(o * size // out for o in range(out))
    ends = tuple(-(-(o + 1) * size // out) for o in range(out))
    return _alike(Bins(size, begins, ends))


def fractional_sequence(
    size: int, out: int, pseudo_random: bool, generator: Random
) -> tuple[int, ...]:
    """Draw the out + 1 boundaries of a fractional pool, from 0 to `size`.

    Steps are floor(size / out) or one more. They come in any order, or, pseudo-random, as
    ceil(alpha * (i + u)) with alpha = size / out and one u for all. Graham, Fractional
    Max-Pooling, 2014, section 2: https://arxiv.org/abs/1412.6071

    Examples
    --------
    >>> fractional_sequence(6, 3, False, Random(0))
    (0, 2, 4, 6)
    >>> fractional_sequence(7, 5, True, Random(0))
    (0, 2, 3, 5, 6, 7)
    """
    step, longer = divmod(size, out)
    if longer == 0:
        return tuple(range(0, size + 1, step))
    if pseudo_random:
        alpha = size / out
        # Up to here the first and the last step are as long as the others.
        largest = min((step + 2) / alpha - 1, (size + 1 - step) / alpha - (out - 1))
        u = generator.random() * largest
        return (0, *(math.ceil(alpha * (i + u)) - 1 for i in range(1, out)), size)
    # random() alone is promised to give the same numbers in every version of Python.
    drawn = [generator.random() for _ in range(out)]
    chosen = set(sorted(range(out), key=drawn.__getitem__)[:longer])
    boundaries = [0]
    for i in range(out):
        boundaries.append(boundaries[-1] + step + (i in chosen))
    return tuple(boundaries)


def fractional_axis(size: int, sequence: Sequence[int], overlapping: bool) -> AnyAxis:
    """Lay windows between boundaries; overlapping ones reach over the cell at the next boundary.

    Examples
    --------
    >>> fractional_axis(5, (0, 2, 3, 5), overlapping=True)
    Bins(size=5, begins=(0, 2, 3), ends=(3, 4, 5))
    """
    ends = tuple(min(end + overlapping, size) for end in sequence[1:])
    return _alike(Bins(size, tuple(sequence[:-1]), ends))


def _alike(bins: Bins) -> AnyAxis:
    first, window = bins.begins[0], bins.ends[0] - bins.begins[0]
    stride = bins.begins[1] - first if bins.out > 1 else 1
    for o in range(bins.out):
        begin = first + o * stride
        if (bins.begins[o], bins.ends[o]) != (begin, begin + window):
            return bins
    if stride < 1:
        return bins
    return Axis(bins.size, window, stride, 1, -first, 0, bins.out)


def freeze(operation: str, argument: str, value: Any, depth: int = 0) -> Any:
    """Turn lists and arrays into tuples: what a cache of plans needs.

    A cache takes 1.0 for 1, so numbers that are not whole are refused here already. No argument
    is nested more than pairs are; deeper ones may have no end.
    """
    if value is None or type(value) is int or type(value) is str:
        return value
    if isinstance(value, list | tuple):
        if depth == _DEEPEST:
            raise ArgumentError(f"{operation}: {argument} is nested too deeply, got {value!r}")
        return tuple(freeze(operation, argument, item, depth + 1) for item in value)
    plain = value.tolist() if hasattr(value, "tolist") else value
    if type(plain) is not type(value):  # as that of a longdouble is
        return freeze(operation, argument, plain, depth)
    return _whole_number(operation, argument, value, value)


def flag(operation: str, argument: str, value: Any) -> bool:
    """Return whether `value` is true; an array of several values is neither."""
    try:
        return bool(value)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{operation}: {argument} must be True or False, got {value!r}"
        ) from None


def _whole_number(operation: str, argument: str, value: Any, received: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise DTypeError(
            f"{operation}: {argument} must be whole numbers, got {received!r}"
        ) from None


def spatial_values(
    operation: str, argument: str, value: Any, dims: int, channels_first: bool
) -> tuple[int, ...]:
    """One number, at least 1, for each of `dims` spatial axes.

    Accepts a number for all of them, one for each, or one for each axis of the array (in the
    array's own order), where those for batch and channels must be 1.

    Examples
    --------
    >>> spatial_values("conv2d", "strides", 2, 2, channels_first=False)
    (2, 2)
    >>> spatial_values("conv2d", "strides", (1, 1, 2, 3), 2, channels_first=True)
    (2, 3)
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        numbers = tuple(_whole_number(operation, argument, item, value) for item in value)
    else:
        numbers = (_whole_number(operation, argument, value, value),)
    if len(numbers) == 1:
        numbers *= dims
    elif len(numbers) == dims + 2:
        spatial = slice(2, None) if channels_first else slice(1, -1)
        others = numbers[:2] if channels_first else (numbers[0], numbers[-1])
        if others != (1, 1):
            raise ArgumentError(
                f"{operation}: {argument} must be 1 for batch and channels, got {value!r}"
            )
        numbers = numbers[spatial]
    if len(numbers) != dims:
        raise ArgumentError(
            f"{operation}: {argument} must be one number, {dims} (the spatial axes) or "
            f"{dims + 2} (all axes), got {value!r}"
        )
    if min(numbers) < 1:
        raise ArgumentError(f"{operation}: {argument} must be at least 1, got {value!r}")
    if max(numbers) > _LARGEST:
        raise ArgumentError(f"{operation}: {argument} must be at most {_LARGEST}, got {value!r}")
    return numbers


def parse_padding(
    operation: str, argument: str, padding: Any, dims: int, channels_first: bool
) -> Padding:
    """Read padding: ``"SAME"``, ``"VALID"`` or a pair for each of `dims` spatial axes.

    Pairs may be given for the spatial axes alone or for all axes in the array's own order, as in
    `tf.nn`; batch and channels must then have ``(0, 0)``.

    Examples
    --------
    >>> parse_padding("pool", "padding", "same", 2, channels_first=False)
    'SAME'
    >>> parse_padding("conv2d", "padding", ((0, 0), (1, 1), (2, 0), (0, 0)), 2, False)
    ((1, 1), (2, 0))
    """
    if isinstance(padding, str) and padding.upper() in ("SAME", "VALID"):
        return padding.upper()
    try:
        if isinstance(padding, str):
            raise TypeError
        pairs = tuple((operator.index(a), operator.index(b)) for a, b in padding)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{operation}: {argument} must be 'SAME', 'VALID' or {dims} pairs "
            f"(before, after), got {padding!r}"
        ) from None
    if len(pairs) == dims + 2:
        others = pairs[:2] if channels_first else (pairs[0], pairs[-1])
        if others != ((0, 0), (0, 0)):
            raise ArgumentError(
                f"{operation}: {argument} must be (0, 0) for batch and channels, got {padding!r}"
            )
        pairs = pairs[2:] if channels_first else pairs[1:-1]
    if len(pairs) != dims:
        raise ArgumentError(
            f"{operation}: {argument} must be 'SAME', 'VALID', {dims} pairs (the spatial axes) "
            f"or {dims + 2} pairs (all axes), got {padding!r}"
        )
    if min(min(pair) for pair in pairs) < 0:
        raise ArgumentError(f"{operation}: {argument} must not be negative, got {padding!r}")
    if max(max(pair) for pair in pairs) > _LARGEST:
        raise ArgumentError(f"{operation}: {argument} must be at most {_LARGEST}, got {padding!r}")
    return pairs


def _axis(
    size: int,
    window: int,
    stride: int,
    dilation: int,
    padding: str | tuple[int, int],
    ceil_mode: bool,
) -> Axis:
    extent = (window - 1) * dilation + 1
    if padding == "SAME":
        # TensorFlow: as many outputs as strides; the odd cell goes to the end.
        # https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
        out = -(-size // stride)
        total = max((out - 1) * stride + extent - size, 0)
        return Axis(size, window, stride, dilation, total // 2, total - total // 2, out)
    before, after = (0, 0) if isinstance(padding, str) else padding
    room = size + before + after - extent
    out = room // stride + 1
    if ceil_mode and room >= 0:
        out = -(-room // stride) + 1
        # PyTorch: the last window must start inside the input or the padding before it.
        if (out - 1) * stride >= size + before:
            out -= 1
    return Axis(size, window, stride, dilation, before, after, out)


def _axes(
    operation: str,
    sizes: tuple[int, ...],
    windows: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: Padding,
    ceil_mode: bool = False,
) -> tuple[Axis, ...]:
    axes = tuple(
        _axis(
            size,
            window,
            stride,
            dilation,
            padding if isinstance(padding, str) else padding[i],
            ceil_mode,
        )
        for i, (size, window, stride, dilation) in enumerate(
            zip(sizes, windows, strides, dilations, strict=True)
        )
    )
    if min(axis.size for axis in axes) < 1 or min(axis.out for axis in axes) < 1:
        extents = tuple(axis.extent for axis in axes)
        dilated = f" (dilated: {extents})" if extents != windows else ""
        raise ShapeError(
            f"{operation}: a window of {windows}{dilated} does not fit into the spatial size "
            f"{sizes} with padding {padding!r}; use a smaller window or more padding"
        )
    return axes


def conv_axes(
    operation: str,
    sizes: tuple[int, ...],
    windows: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: Padding,
) -> tuple[Axis, ...]:
    """Resolve the axes of a convolution.

    Examples
    --------
    >>> [axis.out for axis in conv_axes("conv2d", (7, 8), (3, 3), (2, 2), (1, 1), "VALID")]
    [3, 3]
    """
    return _axes(operation, sizes, windows, strides, dilations, padding)


def pool_axes(
    operation: str,
    sizes: tuple[int, ...],
    windows: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: Padding,
    ceil_mode: bool = False,
) -> tuple[Axis, ...]:
    """Resolve the axes of a pool; every window must see at least one input.

    Examples
    --------
    >>> axes = pool_axes("pool", (5, 4), (2, 2), (2, 2), (1, 1), "SAME")
    >>> [(axis.out, axis.pad_after) for axis in axes]
    [(3, 1), (2, 0)]
    """
    axes = _axes(operation, sizes, windows, strides, dilations, padding, ceil_mode)
    for i, axis in enumerate(axes):
        # The first and the last windows lie farthest out. Only taps so far apart that they can
        # straddle the whole input may miss it in between.
        farthest = range(0, axis.out, max(1, axis.out - 1))
        for o in farthest if axis.dilation <= axis.size else range(axis.out):
            if not axis.sees_a_value(o):
                raise ShapeError(
                    f"{operation}: window {o} along spatial axis {i} sees nothing but padding "
                    f"(size {sizes}, window {windows}, strides {strides}, dilations {dilations}, "
                    f"padding {padding!r}); use less padding"
                )
    return axes


def blur_axes(
    operation: str,
    sizes: tuple[int, ...],
    windows: tuple[int, ...],
    strides: tuple[int, ...],
    border: str,
) -> tuple[Axis, ...]:
    """Resolve the axes of a blur: the filter sits in the middle, an even one left of it.

    There are ``ceil(size / stride)`` outputs. What lies beyond the border is folded back once, so
    that it must not reach farther than the map.

    Examples
    --------
    >>> blur_axes("blur_pool", (5,), (4,), (2,), "reflect")
    (Axis(size=5, window=4, stride=2, dilation=1, pad_before=1, pad_after=2, out=3),)
    """
    axes = tuple(
        Axis(size, window, stride, 1, (window - 1) // 2, window // 2, -(-size // stride))
        for size, window, stride in zip(sizes, windows, strides, strict=True)
    )
    if min(sizes) < 1:
        raise ShapeError(f"{operation}: an image must not be empty, got the spatial size {sizes}")
    for i, axis in enumerate(axes):
        reach = max(axis.pad_before, axis.taps(axis.out - 1)[-1] + 1 - axis.size)
        needed = {"zero": 1, "reflect": reach + 1, "circular": reach}[border]
        if axis.size < needed:
            raise ShapeError(
                f"{operation}: a filter of {windows} with border {border!r} needs at least "
                f"{needed} cells along spatial axis {i}, got the size {sizes}; use a smaller "
                "filter or border 'zero'"
            )
    return axes
