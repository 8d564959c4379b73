"""Operators that take the maximum of each window, and know which value it was.

For the way back a winner is kept for each window: which of its values was the largest, a byte
where a window has up to 256. What flows into a maximum flows to its winner; so the derivative of
that is a look-up at the winners, which is linear again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from attar import _core
from attar.nn.bins import plan_adaptive_pool
from attar.nn.layout import CHANNELS_FIRST
from attar.nn.pooling import PoolPlan, plan_pool
from attar.nn.winners import places_of
from attar.torch.library import Operator, define, differentiates, frozen
from attar.torch.tensors import channels_last, dense, empty, empty_like, number, volumes

__all__ = ["ADAPTIVE", "SLIDING", "MaxOperators"]

_TORCH = {3: functional.max_pool1d, 4: functional.max_pool2d, 5: functional.max_pool3d}
_TORCH_ADAPTIVE = {
    3: functional.adaptive_max_pool1d,
    4: functional.adaptive_max_pool2d,
    5: functional.adaptive_max_pool3d,
}


class MaxOperators(NamedTuple):
    """The operators of one kind of windows; all take the options of the windows last.

    Attributes
    ----------
    pool : (x) -> maxima
    winners : (x) -> maxima, winners
    indices : (winners, input_size) -> places of the winners in their plane, as int64
    grad : (grad, winners, input_size, channels_last) -> gradient for x, in that layout
    """

    pool: Operator
    winners: Operator
    indices: Operator
    grad: Operator

    def maxima(self, x: Tensor, *options: Any) -> Tensor:
        """Return the maxima, and keep the winners where a derivative will be asked for."""
        if differentiates(x):
            maxima: Tensor = self.winners(x, *options)[0]
            return maxima
        return self.pool(x, *options)

    def maxima_and_indices(self, x: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
        """Return the maxima, and where in their plane they are."""
        maxima, winners = self.winners(x, *options)
        return maxima, self.indices(winners, x.shape, *options)


def _define(
    name: str,
    options: str,
    plan_of: Callable[..., PoolPlan],
    answer: Callable[..., Tensor],
    taps: Callable[..., int],
) -> MaxOperators:
    """Register the operators for windows of one kind.

    Parameters
    ----------
    plan_of : (shape, *options) -> PoolPlan
    answer : (x, *options) -> Tensor
        PyTorch's own, which says what is accepted and what shape comes out.
    taps : (spatial sizes, *options) -> int
        An upper bound for the values in a window.
    """

    def winner_dtype(sizes: Sequence[int], options: Sequence[Any]) -> Any:
        count = taps(sizes[2:], *options)
        return torch.uint8 if count <= 2**8 else torch.uint16 if count <= 2**16 else torch.uint32

    @lru_cache(maxsize=1024)
    def cached_plan(shape: tuple[int, ...], *options: Any) -> PoolPlan:
        answer(torch.empty(shape, device="meta"), *options)
        return plan_of(shape, *options)

    def plan(shape: Sequence[int], options: Sequence[Any]) -> PoolPlan:
        return cached_plan(tuple(shape), *frozen(options))

    def pool(x: Tensor, *options: Any) -> Tensor:
        planned = plan(x.shape, options)
        out = empty_like(x, planned.out_shape)
        if out.numel():
            _core.pool(volumes(x), volumes(out), planned.pool, number(x))
        return out

    def winners(x: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
        planned = plan(x.shape, options)
        last = channels_last(x)
        out = empty(x, planned.out_shape, last)
        won = empty(x, planned.out_shape, last, winner_dtype(x.shape, options))
        if out.numel():
            _core.pool_winners(
                volumes(x), volumes(out), volumes(won), planned.pool, number(x), False
            )
        return out, won

    def indices(won: Tensor, input_size: Sequence[int], *options: Any) -> Tensor:
        planned = plan(input_size, options)
        taps_at, first = places_of(planned)
        places = taps_at[dense(won)]
        places += first
        return torch.from_numpy(places).contiguous()

    def grad(
        flow: Tensor, won: Tensor, input_size: Sequence[int], last: bool, *options: Any
    ) -> Tensor:
        planned = plan(input_size, options)
        out = empty(flow, planned.in_shape, last)
        if out.numel():
            _core.max_pool_grad(
                volumes(flow), volumes(won), volumes(out), planned.pool, number(flow)
            )
        return out

    def pool_fake(x: Tensor, *options: Any) -> Tensor:
        return empty_like(x, answer(x, *options).shape)

    def winners_fake(x: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
        shape = answer(x, *options).shape
        return empty_like(x, shape), empty_like(x, shape, winner_dtype(x.shape, options))

    def indices_fake(won: Tensor, input_size: Sequence[int], *options: Any) -> Tensor:
        return empty(won, won.shape, False, torch.int64)

    def grad_fake(
        flow: Tensor, won: Tensor, input_size: Sequence[int], last: bool, *options: Any
    ) -> Tensor:
        return empty(flow, input_size, last)

    def pool_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, *ctx.options = inputs
        ctx.save_for_backward(x)

    def pool_backward(ctx: Any, flow: Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        _, won = operators.winners(x, *ctx.options)
        back = operators.grad(flow, won, x.shape, channels_last(x), *ctx.options)
        return back, *(None for _ in ctx.options)

    def winners_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, *ctx.options = inputs
        ctx.input_size, ctx.last = x.shape, channels_last(x)
        ctx.save_for_backward(output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # else zeros are made for the winners, to no end

    def winners_backward(ctx: Any, flow: Tensor | None, _: Any) -> tuple[Any, ...]:
        (won,) = ctx.saved_tensors
        back = (
            None
            if flow is None
            else operators.grad(flow, won, ctx.input_size, ctx.last, *ctx.options)
        )
        return back, *(None for _ in ctx.options)

    def grad_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, won, ctx.input_size, _, *ctx.options = inputs
        ctx.save_for_backward(won)

    def grad_backward(ctx: Any, second: Tensor) -> tuple[Any, ...]:
        (won,) = ctx.saved_tensors
        places = operators.indices(won, ctx.input_size, *ctx.options)
        found = second.flatten(2).gather(2, places.flatten(2)).view(places.shape)
        return found, None, None, None, *(None for _ in ctx.options)

    operators = MaxOperators(
        define(
            f"{name}(Tensor x, {options}) -> Tensor", pool, pool_fake,
            setup=pool_setup, backward=pool_backward,
        ),
        define(
            f"{name}_winners(Tensor x, {options}) -> (Tensor, Tensor)", winners, winners_fake,
            setup=winners_setup, backward=winners_backward,
        ),
        define(
            f"{name}_indices(Tensor winners, SymInt[] input_size, {options}) -> Tensor",
            indices, indices_fake, sizes_argument=1,
        ),
        define(
            f"{name}_grad(Tensor grad, Tensor winners, SymInt[] input_size, bool channels_last, "
            f"{options}) -> Tensor",
            grad, grad_fake, setup=grad_setup, backward=grad_backward, sizes_argument=2,
        ),
    )  # fmt: skip
    return operators


# ------------------------------------------------------------------ the kinds of windows


def _sliding_plan(
    shape: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool,
) -> PoolPlan:  # fmt: skip
    return plan_pool(
        "attar.torch.max_pool", shape, kernel_size, "MAX", stride,
        tuple((side, side) for side in padding), CHANNELS_FIRST[len(shape) - 2], dilation,
        ceil_mode=ceil_mode, window_argument="kernel_size",
    )  # fmt: skip


def _sliding_answer(
    x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Tensor:
    return _TORCH[x.ndim](x, kernel_size, stride, padding, dilation, ceil_mode)


def _adaptive_plan(shape: tuple[int, ...], output_size: Any) -> PoolPlan:
    return plan_adaptive_pool(
        "attar.torch.adaptive_max_pool", shape, output_size, "MAX", CHANNELS_FIRST[len(shape) - 2]
    )


def _adaptive_answer(x: Tensor, output_size: Any) -> Tensor:
    return _TORCH_ADAPTIVE[x.ndim](x, output_size)


def _adaptive_taps(sizes: Sequence[int], output_size: Sequence[int]) -> int:
    return math.prod(size // out + 2 for size, out in zip(sizes, output_size, strict=True))


SLIDING = _define(
    "max_pool",
    "int[] kernel_size, int[] stride, int[] padding, int[] dilation, bool ceil_mode",
    _sliding_plan,
    _sliding_answer,
    lambda sizes, kernel_size, *_: math.prod(kernel_size),
)
ADAPTIVE = _define(
    "adaptive_max_pool",
    "SymInt[] output_size",
    _adaptive_plan,
    _adaptive_answer,
    _adaptive_taps,
)
