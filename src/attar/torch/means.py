"""Operators that take the mean or the norm of each window.

A mean is linear: its derivative spreads what flows in over the window, and the derivative of that
is the mean again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attar import _core, nn
from attar.nn.bins import plan_adaptive_pool
from attar.nn.layout import CHANNELS_FIRST
from attar.nn.pooling import PoolPlan, core_pool, plan_pool
from attar.torch.library import Operator, define, define_by_definition, frozen
from attar.torch.tensors import channels_last, dense, empty, empty_like, number, volumes

__all__ = ["adaptive_avg_pool", "avg_pool", "lp_pool"]

_TORCH = {3: functional.avg_pool1d, 4: functional.avg_pool2d, 5: functional.avg_pool3d}
_TORCH_ADAPTIVE = {
    3: functional.adaptive_avg_pool1d,
    4: functional.adaptive_avg_pool2d,
    5: functional.adaptive_avg_pool3d,
}
_TORCH_NORM = {3: functional.lp_pool1d, 4: functional.lp_pool2d, 5: functional.lp_pool3d}


def _define(
    name: str,
    options: str,
    plan_of: Callable[..., tuple[PoolPlan, _core.Pool, float]],
    answer: Callable[..., Tensor],
) -> Operator:
    """Register the operator and its derivative for windows of one kind; return the first.

    Parameters
    ----------
    plan_of : (shape, *options) -> PoolPlan, pool, divisor
        What is computed is that pool divided by that divisor.
    answer : (x, *options) -> Tensor
        PyTorch's own, which says what is accepted and what shape comes out.
    """

    @lru_cache(maxsize=1024)
    def cached_plan(shape: tuple[int, ...], *options: Any) -> tuple[PoolPlan, _core.Pool, float]:
        answer(torch.empty(shape, device="meta"), *options)
        return plan_of(shape, *options)

    def plan(shape: Sequence[int], options: Sequence[Any]) -> tuple[PoolPlan, _core.Pool, float]:
        return cached_plan(tuple(shape), *frozen(options))

    def pool(x: Tensor, *options: Any) -> Tensor:
        planned, kind, divisor = plan(x.shape, options)
        dtype = x.dtype
        if divisor != 1 and dtype.itemsize < 4:  # the sum alone may be beyond the range
            x = x.float()
        out = empty_like(x, planned.out_shape)
        if out.numel():
            _core.pool(volumes(x), volumes(out), kind, number(x))
        return out if divisor == 1 else out.div_(divisor).to(dtype)

    def grad(flow: Tensor, input_size: Sequence[int], last: bool, *options: Any) -> Tensor:
        planned, kind, divisor = plan(input_size, options)
        out = empty(flow, planned.in_shape, last)
        if divisor != 1:
            flow = flow / divisor
        if out.numel():
            _core.sum_pool_grad(volumes(flow), volumes(out), kind, number(flow))
        return out

    def pool_fake(x: Tensor, *options: Any) -> Tensor:
        return empty_like(x, answer(x, *options).shape)

    def grad_fake(flow: Tensor, input_size: Sequence[int], last: bool, *options: Any) -> Tensor:
        return empty(flow, input_size, last)

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, *ctx.options = inputs
        ctx.input_size, ctx.last = x.shape, channels_last(x)

    def backward(ctx: Any, flow: Tensor) -> tuple[Any, ...]:
        back = grad_operator(flow, ctx.input_size, ctx.last, *ctx.options)
        return back, *(None for _ in ctx.options)

    def grad_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, _, _, *ctx.options = inputs

    def grad_backward(ctx: Any, second: Tensor) -> tuple[Any, ...]:
        return operator(second, *ctx.options), None, None, *(None for _ in ctx.options)

    operator = define(
        f"{name}(Tensor x, {options}) -> Tensor", pool, pool_fake, setup=setup, backward=backward
    )
    grad_operator = define(
        f"{name}_grad(Tensor grad, SymInt[] input_size, bool channels_last, {options}) -> Tensor",
        grad, grad_fake, setup=grad_setup, backward=grad_backward, sizes_argument=1,
    )  # fmt: skip
    return operator


# ------------------------------------------------------------------ the kinds of windows


def _sliding_plan(
    shape: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> tuple[PoolPlan, _core.Pool, float]:  # fmt: skip
    plan = plan_pool(
        "attar.torch.avg_pool", shape, kernel_size, "AVG", stride,
        tuple((side, side) for side in padding), CHANNELS_FIRST[len(shape) - 2],
        ceil_mode=ceil_mode, count_include_pad=count_include_pad, window_argument="kernel_size",
    )  # fmt: skip
    if divisor_override is None:
        return plan, plan.pool, 1
    return plan, core_pool(plan.axes, "SUM"), divisor_override


def _sliding_answer(
    x: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    divisor = () if x.ndim == 3 else (divisor_override,)
    return _TORCH[x.ndim](x, kernel_size, stride, padding, ceil_mode, count_include_pad, *divisor)


def _adaptive_plan(shape: tuple[int, ...], output_size: Any) -> tuple[PoolPlan, _core.Pool, float]:
    plan = plan_adaptive_pool(
        "attar.torch.adaptive_avg_pool", shape, output_size, "AVG", CHANNELS_FIRST[len(shape) - 2]
    )
    return plan, plan.pool, 1


def _adaptive_answer(x: Tensor, output_size: Any) -> Tensor:
    return _TORCH_ADAPTIVE[x.ndim](x, output_size)


def _norm(x: Tensor, p: float, kernel_size: Any, stride: Any) -> Tensor:
    plan = plan_pool(
        "attar.torch.lp_pool", tuple(x.shape), kernel_size, "LP", stride, "VALID",
        CHANNELS_FIRST[x.ndim - 2], p=p, window_argument="kernel_size",
    )  # fmt: skip
    out = empty_like(x, plan.out_shape)
    if out.numel():
        _core.pool(volumes(x), volumes(out), plan.pool, number(x))
    return out


def _norm_grad(flow: Tensor, x: Tensor, p: float, kernel_size: Any, stride: Any) -> Tensor:
    g, values = (
        dense(each.float() if each.dtype == torch.bfloat16 else each) for each in (flow, x)
    )
    back = nn.lp_pool_grad(g, values, kernel_size, stride, "VALID", CHANNELS_FIRST[x.ndim - 2], p=p)
    out = empty_like(x, x.shape)
    out.copy_(torch.from_numpy(np.asarray(back)))
    return out


def _norm_definition(x: Tensor, p: float, kernel_size: Any, stride: Any) -> Tensor:
    windows = (kernel_size, stride) if x.ndim > 3 else (kernel_size[0], stride[0])
    return _TORCH_NORM[x.ndim](x, p, *windows)


avg_pool = _define(
    "avg_pool",
    "int[] kernel_size, int[] stride, int[] padding, bool ceil_mode, bool count_include_pad, "
    "int? divisor_override",
    _sliding_plan,
    _sliding_answer,
)
adaptive_avg_pool = _define(
    "adaptive_avg_pool", "SymInt[] output_size", _adaptive_plan, _adaptive_answer
)
lp_pool = define_by_definition(
    "lp_pool",
    "float p, int[] kernel_size, int[] stride",
    _norm,
    _norm_grad,
    _norm_definition,
)
