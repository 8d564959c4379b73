"""Operators of the pools that PyTorch has none of: blurred, polyphase, soft, generalised."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from attar import nn
from attar.torch import definitions
from attar.torch.library import define, define_by_definition
from attar.torch.tensors import dense, empty_like

__all__ = ["blur_pool", "gem_pool", "max_blur_pool", "polyphase_pool", "soft_pool"]

_NCHW = "NCHW"
_FORMATS = {3: "NCW", 4: "NCHW", 5: "NCDHW"}


def _border(border: str) -> str:
    return "zero" if border == "zeros" else border


def _pairs(padding: Any) -> list[tuple[int, int]]:
    return [(side, side) for side in padding]


def _laid_out(x: Tensor, array: Any) -> Tensor:
    """Return an array as a tensor in the layout of `x`."""
    out = empty_like(x, array.shape)
    out.copy_(torch.from_numpy(np.asarray(array)))
    return out


# ------------------------------------------------------------------ blur


def _blur(x: Tensor, size: Any, stride: Any, border: str) -> Tensor:
    sizes = (-(-size // step) for size, step in zip(x.shape[2:], stride, strict=True))
    out = empty_like(x, (*x.shape[:2], *sizes))
    nn.blur_pool(dense(x), size, stride, _NCHW, border=_border(border), out=dense(out))
    return out


def _blur_grad(grad: Tensor, input_size: Any, size: Any, stride: Any, border: str) -> Tensor:
    back = nn.blur_pool_grad(
        dense(grad), tuple(input_size), size, stride, _NCHW, border=_border(border)
    )
    return _laid_out(grad, back)


def _blur_fake(x: Tensor, size: Any, stride: Any, border: str) -> Tensor:
    return empty_like(x, definitions.blur(x, size, stride, border).shape)


def _blur_grad_fake(grad: Tensor, input_size: Any, *_: Any) -> Tensor:
    return empty_like(grad, input_size)


def _blur_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.options = inputs
    ctx.input_size = x.shape


def _blur_backward(ctx: Any, flow: Tensor) -> tuple[Any, ...]:
    return blur_pool_grad(flow, ctx.input_size, *ctx.options), None, None, None


def _blur_grad_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, _, *ctx.options = inputs


def _blur_grad_backward(ctx: Any, second: Tensor) -> tuple[Any, ...]:
    return blur_pool(second, *ctx.options), None, None, None, None


blur_pool = define(
    "blur_pool(Tensor x, int[] size, int[] stride, str border) -> Tensor",
    _blur,
    _blur_fake,
    setup=_blur_setup,
    backward=_blur_backward,
)
blur_pool_grad = define(
    "blur_pool_grad(Tensor grad, SymInt[] input_size, int[] size, int[] stride, str border) "
    "-> Tensor",
    _blur_grad,
    _blur_grad_fake,
    setup=_blur_grad_setup,
    backward=_blur_grad_backward,
    sizes_argument=1,
)


def _max_blur(
    x: Tensor, kernel_size: Any, size: Any, stride: Any, padding: Any, border: str
) -> Tensor:
    answer = nn.max_blur_pool(
        dense(x), kernel_size, size, stride, _pairs(padding), _NCHW, border=_border(border)
    )
    return _laid_out(x, answer)


def _max_blur_grad(
    grad: Tensor, x: Tensor, kernel_size: Any, size: Any, stride: Any, padding: Any, border: str
) -> Tensor:
    back = nn.max_blur_pool_grad(
        dense(grad), dense(x), kernel_size, size, stride, _pairs(padding), _NCHW,
        border=_border(border),
    )  # fmt: skip
    return _laid_out(x, back)


max_blur_pool = define_by_definition(
    "max_blur_pool",
    "int[] kernel_size, int[] size, int[] stride, int[] padding, str border",
    _max_blur,
    _max_blur_grad,
    definitions.max_blur,
)

# ------------------------------------------------------------------ phases


def _polyphase(x: Tensor, stride: Any, norm: str) -> Tensor:
    return _laid_out(x, nn.polyphase_pool(dense(x), stride, norm, _NCHW))


def _polyphase_grad(grad: Tensor, x: Tensor, stride: Any, norm: str) -> Tensor:
    return _laid_out(x, nn.polyphase_pool_grad(dense(grad), dense(x), stride, norm, _NCHW))


polyphase_pool = define_by_definition(
    "polyphase_pool", "int[] stride, str norm", _polyphase, _polyphase_grad, definitions.polyphase
)

# ------------------------------------------------------------------ soft and generalised means


def _soft(x: Tensor, kernel_size: Any, stride: Any, padding: Any) -> Tensor:
    return _laid_out(x, nn.soft_pool(dense(x), kernel_size, stride, _pairs(padding), _NCHW))


def _soft_grad(grad: Tensor, x: Tensor, kernel_size: Any, stride: Any, padding: Any) -> Tensor:
    back = nn.soft_pool_grad(dense(grad), dense(x), kernel_size, stride, _pairs(padding), _NCHW)
    return _laid_out(x, back)


soft_pool = define_by_definition(
    "soft_pool",
    "int[] kernel_size, int[] stride, int[] padding",
    _soft,
    _soft_grad,
    definitions.soft,
)


def _gem(x: Tensor, p: Tensor, eps: float) -> Tensor:
    mean = nn.gem_pool(dense(x), p.item(), eps, _FORMATS[x.ndim], keepdims=True)
    return _laid_out(x, mean)


def _gem_grad(grad: Tensor, x: Tensor, p: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the gradients for the maps and for p: dy/dp = y (E[v^p ln v] / E[v^p] - ln y) / p."""
    power = p.item()
    back = nn.gem_pool_grad(dense(grad), dense(x), power, eps, _FORMATS[x.ndim])
    values = x.detach().double().clamp(min=eps).flatten(2)
    largest = values.amax(2, keepdim=True)
    weights = (values / largest).pow(power)
    weights /= weights.sum(2, keepdim=True)
    logarithms = values.log()
    mean = largest.log() + ((values / largest).pow(power).mean(2, keepdim=True)).log() / power
    slope = mean.exp() * ((weights * logarithms).sum(2, keepdim=True) - mean) / power
    return _laid_out(x, back), (grad.flatten(2).double() * slope).sum().to(p.dtype).reshape(p.shape)


def _gem_fake(x: Tensor, p: Tensor, eps: float) -> Tensor:
    return empty_like(x, (*x.shape[:2], *(1 for _ in x.shape[2:])))


def _gem_grad_fake(grad: Tensor, x: Tensor, p: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return empty_like(x, x.shape), torch.empty_like(p)


def _gem_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, p, ctx.eps = inputs
    ctx.save_for_backward(x, p)


def _gem_backward(ctx: Any, flow: Tensor) -> tuple[Any, ...]:
    x, p = ctx.saved_tensors
    if torch.is_grad_enabled():  # of this derivative there will be one more
        mean = definitions.generalised_mean(x, p, ctx.eps)
        inputs = [each for each in (x, p) if each.requires_grad]
        found = iter(torch.autograd.grad(mean, inputs, flow, create_graph=True))
        return *(next(found) if each.requires_grad else None for each in (x, p)), None
    return *gem_pool_grad(flow, x, p, ctx.eps), None


gem_pool = define(
    "gem_pool(Tensor x, Tensor p, float eps) -> Tensor",
    _gem,
    _gem_fake,
    setup=_gem_setup,
    backward=_gem_backward,
    maps_images=False,
)
gem_pool_grad = define(
    "gem_pool_grad(Tensor grad, Tensor x, Tensor p, float eps) -> (Tensor, Tensor)",
    _gem_grad,
    _gem_grad_fake,
    maps_images=False,
)
