"""`Extract2d`: a convolution, its ReLU and its max pool as one layer, forwards and backwards.

Inside, images are channels last; others are turned round.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from attar import nn as operations
from attar.arrays import contiguous, copy_into
from attar.errors import ArgumentError
from attar.geometry import conv_axes, pool_axes
from attar.nn.fused import FusedConv, Pool
from attar.torch.layers import each, takes
from attar.torch.library import alone, define, differentiates, frozen
from attar.torch.tensors import channels_last, dense, empty_like

__all__ = ["Extract2d"]

_DTYPES = frozenset({torch.float32, torch.float64})
_MOST_CELLS = 255  # of a window, so that a byte names them all and says where ReLU left none


class Extract2d(nn.Conv2d):
    """Filter, detect, condense: `torch.nn.Conv2d`, ReLU and `torch.nn.MaxPool2d` in one pass.

    The map between convolution and pool is never written to memory, and training keeps none
    of it: a byte for each window, and the input.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        As in `torch.nn.Conv2d`, with its initialization.
    padding_mode : {"zeros"}
    device, dtype
        As in `torch.nn.Conv2d`.
    activation : {"relu", None}
    pool : {"max", None}
        None stops before the pool.
    pool_size, pool_stride, pool_padding, ceil_mode
        ``kernel_size``, ``stride`` (the window by default), ``padding`` and ``ceil_mode`` of
        `torch.nn.MaxPool2d`.

    Attributes
    ----------
    weight : (out_channels, in_channels / groups, kh, kw) parameter
    bias : (out_channels,) parameter, or None

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> layer = Extract2d(3, 16, kernel_size=3, padding=1)
    >>> with torch.no_grad():
    ...     layer(torch.rand(1, 3, 32, 32)).shape
    torch.Size([1, 16, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = "relu",
        pool: str | None = "max",
        pool_size: Any = 2,
        pool_stride: Any = None,
        pool_padding: Any = 0,
        ceil_mode: bool = False,
    ) -> None:
        for argument, value, accepted in (
            ("padding_mode", padding_mode, ("zeros",)),
            ("activation", activation, ("relu", None)),
            ("pool", pool, ("max", None)),
        ):
            if value not in accepted:
                names = " or ".join(map(repr, accepted))
                raise ArgumentError(
                    f"attar.torch.Extract2d: {argument} must be {names}, got {value!r}"
                )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip
        self.activation = activation
        self.pool = pool
        self.pool_size = pool_size
        self.pool_stride = pool_size if pool_stride is None else pool_stride
        self.pool_padding = pool_padding
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """Condense (N, C, H, W) or (C, H, W)."""
        if not self._is_native(input):
            return _definition(input, self.weight, self.bias, *self._options())
        x = input if input.ndim == 4 else input.unsqueeze(0)
        answer: Tensor
        if self.pool is not None and differentiates(x, self.weight, self.bias):
            answer = extract_winners(x, self.weight, self.bias, *self._options())[0]
        elif alone(x, self.weight, self.bias) and not differentiates(x, self.weight, self.bias):
            answer = self._run(x)
        else:
            answer = extract(x, self.weight, self.bias, *self._options())
        return answer if input.ndim == 4 else answer.squeeze(0)

    def _is_native(self, input: Any) -> bool:
        return (
            takes(input, 2, _DTYPES)
            and self.weight.dtype == input.dtype
            and self.weight.device == input.device
            and input.shape[-3] == self.in_channels
            and (self.pool is None or math.prod(each(self.pool_size, 2)) <= _MOST_CELLS)
            and not torch.is_autocast_enabled("cpu")
        )

    def _options(self) -> tuple[Any, ...]:
        pools = (self.pool_size, self.pool_stride, self.pool_padding)
        return (
            list(self.stride),
            self._sides(),
            list(self.dilation),
            self.groups,
            self.activation == "relu",
            *([] if self.pool is None else each(option, 2) for option in pools),
            self.ceil_mode,
        )

    def _sides(self) -> list[int]:
        """Zeros at the top, at the bottom, on the left, on the right."""
        if self.padding == "valid":
            return [0] * 4
        sides = []
        for axis in range(2):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                sides += [total // 2, total - total // 2]
            else:
                sides += [self.padding[axis]] * 2
        return sides

    def _run(self, x: Tensor) -> Tensor:
        """Compute with weights that are prepared once: until they change."""
        options = self._options()
        prepared = self.__dict__.get("_prepared")
        if prepared is None or not prepared.fits(self.weight, self.bias, options):
            prepared = self.__dict__["_prepared"] = _Prepared.of(self.weight, self.bias, options)
        convolution = prepared.convolution
        n, channels, high, wide = x.shape
        shape = (n, high, wide, channels)
        last = channels_last(x)
        _plan(tuple(x.shape), tuple(self.weight.shape), *frozen(options))
        out = x.new_empty(convolution.output_shape(shape))  # (N, H, W, C), as all that follows
        if not last and convolution.path(shape) != "rows":
            x = x.contiguous(memory_format=torch.channels_last)
        convolution.run(dense(x).transpose(0, 2, 3, 1), dense(out))
        answer = out.permute(0, 3, 1, 2)
        return answer if last else answer.contiguous()

    def forget(self) -> None:
        """Give back the memory of the weights that were prepared for evaluation."""
        self.__dict__.pop("_prepared", None)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_prepared", None)
        return state

    def extra_repr(self) -> str:
        """Show the arguments."""
        pool = f"activation={self.activation!r}, pool={self.pool!r}"
        if self.pool is None:
            return f"{super().extra_repr()}, {pool}"
        pool += f", pool_size={self.pool_size}"
        if self.pool_stride != self.pool_size:
            pool += f", pool_stride={self.pool_stride}"
        if self.pool_padding:
            pool += f", pool_padding={self.pool_padding}"
        if self.ceil_mode:
            pool += ", ceil_mode=True"
        return f"{super().extra_repr()}, {pool}"


class _Prepared(NamedTuple):
    """Weights as the kernels want them, and what they were made of.

    Nothing tells for certain that a tensor has changed (`Tensor.data` hides it), so the numbers
    are compared: that is quick beside a convolution.
    """

    weight: Tensor
    bias: Tensor | None
    options: tuple[Any, ...]
    convolution: FusedConv

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, options: tuple[Any, ...]) -> _Prepared:
        stride, sides, dilation, _, relu, size, pool_stride, pads, ceil_mode = options
        convolution = FusedConv(
            dense(weight).transpose(2, 3, 1, 0),
            None if bias is None else dense(bias).copy(),
            strides=tuple(stride),
            padding=_pairs(sides),
            dilations=tuple(dilation),
            activation="relu" if relu else None,
            pool=Pool(
                "MAX", tuple(size), tuple(pool_stride), tuple((pad, pad) for pad in pads), ceil_mode
            )
            if size
            else None,
        )
        kept = None if bias is None else bias.detach().clone()
        return cls(weight.detach().clone(), kept, options, convolution)

    def fits(self, weight: Tensor, bias: Tensor | None, options: tuple[Any, ...]) -> bool:
        return (
            self.options == options
            and self.weight.dtype == weight.dtype
            and _same_bits(self.weight, weight)
            and (self.bias is None) == (bias is None)
            and (bias is None or _same_bits(self.bias, bias))
        )


def _same_bits(a: Tensor | None, b: Tensor) -> bool:
    assert a is not None
    whole = f"i{b.dtype.itemsize}"  # as whole numbers, since NaN does not equal itself
    return np.array_equal(dense(a).view(whole), dense(b).view(whole))


def _definition(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, sides: Any, dilation: Any,
    groups: int, relu: bool, pool_size: Any, pool_stride: Any, pool_padding: Any, ceil_mode: bool,
) -> Tensor:  # fmt: skip
    """Compute the same in PyTorch's own operations."""
    top, bottom, left, right = sides
    padding: Any = (top, left)
    if (top, left) != (bottom, right):
        x, padding = functional.pad(x, (left, right, top, bottom)), 0
    maps = functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    if relu:
        maps = maps.relu()
    if not pool_size:
        return maps
    return functional.max_pool2d(maps, pool_size, pool_stride, pool_padding, 1, ceil_mode)


# ------------------------------------------------------------------ operators

_OPTIONS = (
    "int[] stride, int[] padding, int[] dilation, int groups, bool relu, "
    "int[] pool_size, int[] pool_stride, int[] pool_padding, bool ceil_mode"
)
_COUNT = _OPTIONS.count(",") + 1
_RELU, _POOL_SIZE = 4, 5  # their places among them; an empty pool_size is no pool


def _pairs(sides: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    top, bottom, left, right = sides
    return (top, bottom), (left, right)


@lru_cache(maxsize=1024)
def _plan(
    shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: Any, sides: Any, dilation: Any,
    groups: int, relu: bool, pool_size: Any, pool_stride: Any, pool_padding: Any, ceil_mode: bool,
) -> dict[str, Any]:  # fmt: skip
    """Resolve the options as `attar.nn.extract` has them; PyTorch says what is accepted."""
    _definition(
        torch.empty(shape, device="meta"), torch.empty(weight_shape, device="meta"), None, stride,
        sides, dilation, groups, relu, pool_size, pool_stride, pool_padding, ceil_mode,
    )  # fmt: skip
    maps = conv_axes(
        "attar.torch.Extract2d", (shape[2], shape[3]), (weight_shape[2], weight_shape[3]), stride,
        dilation, _pairs(sides),
    )  # fmt: skip
    planned = {
        "strides": stride,
        "padding": _pairs(sides),
        "dilations": dilation,
        "activation": "relu" if relu else None,
        "data_format": "NHWC",
    }
    if not pool_size:
        return {**planned, "pooling_type": None}
    pools = pool_axes(
        "attar.torch.Extract2d", tuple(axis.out for axis in maps), pool_size, pool_stride, (1, 1),
        tuple((pad, pad) for pad in pool_padding), ceil_mode,
    )  # fmt: skip
    # A window that ceil_mode keeps reaches over the end: into padding, which never wins.
    reach = (
        (axis.out - 1) * axis.stride + axis.window - axis.size - axis.pad_before for axis in pools
    )
    return {
        **planned,
        "window_shape": pool_size,
        "pool_strides": pool_stride,
        "pool_padding": tuple(
            (axis.pad_before, max(axis.pad_after, end))
            for axis, end in zip(pools, reach, strict=True)
        ),
    }


def _planned(x: Tensor, weight: Tensor, options: Any) -> dict[str, Any]:
    return _plan(tuple(x.shape), tuple(weight.shape), *frozen(options))


def _arrays(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Any, ...]:
    filters = dense(weight).transpose(2, 3, 1, 0)
    return _last(x), filters, None if bias is None else dense(bias)


def _last(x: Tensor) -> Any:
    """View (N, C, H, W) as (N, H, W, C), turned round where it is not in that order.

    Not by PyTorch: its threads spin for a while after each call, where attar's want to work.
    """
    return contiguous(dense(x).transpose(0, 2, 3, 1))


def _like(x: Tensor, array: Any) -> Tensor:
    """Return (N, H, W, C) as a tensor (N, C, H, W) in the layout of `x`."""
    tensor = torch.from_numpy(array).permute(0, 3, 1, 2)
    out = empty_like(x, tensor.shape, tensor.dtype)
    if tensor.stride() == out.stride():
        return tensor
    copy_into(dense(out), dense(tensor))
    return out


def _like_weight(weight: Tensor, filters: Any) -> Tensor:
    """Return (kh, kw, C, K) as a tensor (K, C, kh, kw) in the layout of the weight.

    PyTorch would copy another one when it is added up.
    """
    if channels_last(weight):
        return torch.from_numpy(np.ascontiguousarray(filters.transpose(3, 0, 1, 2))).permute(
            0, 3, 1, 2
        )
    return torch.from_numpy(np.ascontiguousarray(filters.transpose(3, 2, 0, 1)))


def _kernel(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    planned = _planned(x, weight, options)
    if not options[_POOL_SIZE]:
        return _like(x, operations.extract_with_winners(*_arrays(x, weight, bias), **planned)[0])
    return _like(x, operations.extract(*_arrays(x, weight, bias), **planned))


def _fake(x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    return empty_like(x, _definition(x, weight, bias, *options).shape)


def _winners_kernel(
    x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any
) -> tuple[Tensor, Tensor]:
    planned = _planned(x, weight, options)
    output, winners = operations.extract_with_winners(*_arrays(x, weight, bias), **planned)
    return _like(x, output), _like(x, winners)


def _winners_fake(
    x: Tensor, weight: Tensor, bias: Tensor | None, *options: Any
) -> tuple[Tensor, Tensor]:
    shape = _definition(x, weight, bias, *options).shape
    return empty_like(x, shape), empty_like(x, shape, torch.uint8)


def _grad_kernel(
    flow: Tensor, x: Tensor, weight: Tensor, winners: Tensor, needs: Any, *options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    planned = _planned(x, weight, options)
    maps, filters, _ = _arrays(x, weight, None)
    names = ("input", "filters", "bias")
    found = operations.extract_grad(
        _last(flow), maps, filters, _last(winners), **planned,
        needs=tuple(name for name, needed in zip(names, needs, strict=True) if needed),
    )  # fmt: skip
    nothing = x.new_empty(0)
    back, to_filters, to_bias = found
    return (
        nothing if back is None else _like(x, back),
        nothing.clone() if to_filters is None else _like_weight(weight, to_filters),
        nothing.clone() if to_bias is None else torch.from_numpy(to_bias),
    )


def _grad_fake(
    flow: Tensor, x: Tensor, weight: Tensor, winners: Tensor, needs: Any, *options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    to_input, to_filters, to_bias = needs
    return (
        empty_like(x, x.shape) if to_input else x.new_empty(0),
        empty_like(weight, weight.shape) if to_filters else x.new_empty(0),
        x.new_empty(weight.shape[0]) if to_bias else x.new_empty(0),
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, weight, bias, *ctx.options = inputs
    winners = None
    if isinstance(output, tuple):
        winners = output[1]
        ctx.mark_non_differentiable(winners)
    elif ctx.options[_RELU] and not ctx.options[_POOL_SIZE]:
        winners = output  # its zeros say where ReLU was
    ctx.save_for_backward(x, weight, bias, winners)
    ctx.set_materialize_grads(False)  # else zeros are made for the winners, to no end


def _backward(ctx: Any, flow: Tensor | None, _: Any = None) -> tuple[Any, ...]:
    x, weight, bias, winners = ctx.saved_tensors
    needs = [*ctx.needs_input_grad[:3]]
    rest = (None,) * _COUNT
    if flow is None:
        return None, None, None, *rest
    if torch.is_grad_enabled():  # of this derivative there will be one more
        answer = _definition(x, weight, bias, *ctx.options)
        inputs = [tensor for tensor, need in zip((x, weight, bias), needs, strict=True) if need]
        found = iter(torch.autograd.grad(answer, inputs, flow, create_graph=True))
        return *(next(found) if need else None for need in needs), *rest
    if winners is None and ctx.options[_POOL_SIZE]:
        _, winners = extract_winners(x, weight, bias, *ctx.options)
    elif winners is None:
        winners = flow  # is not looked at: it flows everywhere
    grads = extract_grad(flow, x, weight, winners, needs, *ctx.options)
    return *(grad if need else None for grad, need in zip(grads, needs, strict=True)), *rest


extract = define(
    f"extract(Tensor x, Tensor weight, Tensor? bias, {_OPTIONS}) -> Tensor",
    _kernel,
    _fake,
    setup=_setup,
    backward=_backward,
    maps_images=False,
)
extract_winners = define(
    f"extract_winners(Tensor x, Tensor weight, Tensor? bias, {_OPTIONS}) -> (Tensor, Tensor)",
    _winners_kernel,
    _winners_fake,
    setup=_setup,
    backward=_backward,
    maps_images=False,
)
extract_grad = define(
    "extract_grad(Tensor grad, Tensor x, Tensor weight, Tensor winners, bool[] needs, "
    f"{_OPTIONS}) -> (Tensor, Tensor, Tensor)",
    _grad_kernel,
    _grad_fake,
    maps_images=False,
)
