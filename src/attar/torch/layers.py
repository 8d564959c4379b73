"""Pools as torch.nn has them: the same arguments, attributes and answers, attar's kernels.

What a kernel cannot do is left to PyTorch: other devices, other dtypes, empty batches, arguments
that it refuses. Each layer is a subclass of the one whose name it has, where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from attar.errors import ArgumentError, ShapeError
from attar.torch import definitions, maxima, means, others
from attar.torch.tensors import FLOATS, REALS

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BlurPool2d",
    "FractionalMaxPool2d",
    "GeM",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxBlurPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "PolyphasePool2d",
    "SoftPool2d",
]

# NumPy, in which these are computed, has no bfloat16 of its own.
_OF_NUMPY = FLOATS - {torch.bfloat16}


def takes(x: Any, dims: int, dtypes: frozenset[torch.dtype]) -> bool:
    """Whether there is a kernel for maps with this many spatial axes, in a batch or not."""
    return (
        isinstance(x, Tensor)
        and not hasattr(type(x), "__tensor_flatten__")  # wrappers, as DTensor is
        and x.device.type == "cpu"
        and x.dtype in dtypes
        and x.layout is torch.strided
        and x.ndim in (dims + 1, dims + 2)
        and x.numel() > 0
        and forward_ad._current_level < 0  # derivatives forwards are PyTorch's
    )


def each(value: Any, dims: int) -> tuple[int, ...]:
    """Return one number for each spatial axis; whatever else it is, PyTorch will refuse it."""
    if isinstance(value, Sequence):
        return tuple(value) * dims if len(value) == 1 else tuple(value)
    return (value,) * dims


class _Pool(nn.Module):
    """A pool over `_dims` spatial axes of numbers of `_dtypes`."""

    _dims: int
    _dtypes = FLOATS

    def forward(self, input: Tensor) -> Any:
        if not (takes(input, self._dims, self._dtypes) and self._accepts(input)):
            return super().forward(input)
        if self._widens() and input.dtype.itemsize < 4 and torch.is_autocast_enabled("cpu"):
            input = input.float()
        if input.ndim == self._dims + 2:
            return self._pool(input)
        answer = self._pool(input.unsqueeze(0))
        if isinstance(answer, Tensor):
            return answer.squeeze(0)
        return tuple(part.squeeze(0) for part in answer)

    def _accepts(self, input: Tensor) -> bool:
        """Whether the kernel has the meaning that PyTorch gives to the arguments."""
        return True

    def _widens(self) -> bool:
        """Whether PyTorch computes this in float32 under autocast."""
        return self._dims == 3

    def _pool(self, x: Tensor) -> Any:
        """Condense a batch."""
        raise NotImplementedError


class _MaxPool(_Pool):
    _dtypes = REALS
    kernel_size: Any
    stride: Any
    padding: Any
    dilation: Any
    ceil_mode: bool
    return_indices: bool

    def _accepts(self, input: Tensor) -> bool:
        # Taps that straddle the whole map can see nothing but padding, which attar refuses.
        if self.dilation == 1 or self.padding == 0:
            return True
        sizes = input.shape[-self._dims :]
        dilations = each(self.dilation, self._dims)
        return all(step <= size for step, size in zip(dilations, sizes, strict=False))

    def _widens(self) -> bool:
        return super()._widens() and not self.return_indices

    def _pool(self, x: Tensor) -> Any:
        options = (
            each(self.kernel_size, self._dims),
            each(self.kernel_size if self.stride is None else self.stride, self._dims),
            each(self.padding, self._dims),
            each(self.dilation, self._dims),
            self.ceil_mode,
        )
        if self.return_indices:
            return maxima.SLIDING.maxima_and_indices(x, *options)
        return maxima.SLIDING.maxima(x, *options)


class _AvgPool(_Pool):
    kernel_size: Any
    stride: Any
    padding: Any
    ceil_mode: bool
    count_include_pad: bool

    def _pool(self, x: Tensor) -> Any:
        return means.avg_pool(
            x,
            each(self.kernel_size, self._dims),
            each(self.kernel_size if self.stride is None else self.stride, self._dims),
            each(self.padding, self._dims),
            self.ceil_mode,
            self.count_include_pad,
            getattr(self, "divisor_override", None),
        )


class _LPPool(_Pool):
    norm_type: float
    kernel_size: Any
    stride: Any
    ceil_mode: bool

    def _accepts(self, input: Tensor) -> bool:
        # attar sums magnitudes, PyTorch powers, which is the same where the power is even; and
        # PyTorch counts a window that reaches over the end as if it were full.
        return not self.ceil_mode and self.norm_type in (2, 4, 6, 8)

    def _pool(self, x: Tensor) -> Any:
        return means.lp_pool(
            x,
            float(self.norm_type),
            each(self.kernel_size, self._dims),
            each(self.kernel_size if self.stride is None else self.stride, self._dims),
        )


class _AdaptivePool(_Pool):
    output_size: Any

    def _accepts(self, input: Tensor) -> bool:
        wanted = each(self.output_size, self._dims)
        return len(wanted) == self._dims and 0 not in wanted

    def _sizes(self, x: Tensor) -> list[int]:
        wanted = each(self.output_size, self._dims)
        return [size if out is None else out for size, out in zip(x.shape[2:], wanted, strict=True)]


class _AdaptiveMaxPool(_AdaptivePool):
    _dtypes = REALS
    return_indices: bool

    def _pool(self, x: Tensor) -> Any:
        if self.return_indices:
            return maxima.ADAPTIVE.maxima_and_indices(x, self._sizes(x))
        return maxima.ADAPTIVE.maxima(x, self._sizes(x))


class _AdaptiveAvgPool(_AdaptivePool):
    def _pool(self, x: Tensor) -> Any:
        return means.adaptive_avg_pool(x, self._sizes(x))


# ------------------------------------------------------------------ as torch.nn has them


class MaxPool1d(_MaxPool, nn.MaxPool1d):
    """Maximum of each window: `torch.nn.MaxPool1d`.

    Examples
    --------
    >>> MaxPool1d(2)(torch.tensor([[[1.0, 5, 2, 0]]]))
    tensor([[[5., 2.]]])
    """

    _dims = 1


class MaxPool2d(_MaxPool, nn.MaxPool2d):
    """Maximum of each window: `torch.nn.MaxPool2d`.

    For training a byte is kept for each window of up to 256 values, not an index of 8 bytes.

    Examples
    --------
    >>> pool = MaxPool2d(2, return_indices=True)
    >>> pool(torch.arange(16.0).view(1, 1, 4, 4))
    (tensor([[[[ 5.,  7.],
              [13., 15.]]]]), tensor([[[[ 5,  7],
              [13, 15]]]]))
    """

    _dims = 2


class MaxPool3d(_MaxPool, nn.MaxPool3d):
    """Maximum of each window: `torch.nn.MaxPool3d`.

    Examples
    --------
    >>> MaxPool3d(2)(torch.arange(8.0).view(1, 1, 2, 2, 2)).item()
    7.0
    """

    _dims = 3


class AvgPool1d(_AvgPool, nn.AvgPool1d):
    """Mean of each window: `torch.nn.AvgPool1d`.

    Examples
    --------
    >>> AvgPool1d(2)(torch.tensor([[[1.0, 5, 2, 0]]]))
    tensor([[[3., 1.]]])
    """

    _dims = 1


class AvgPool2d(_AvgPool, nn.AvgPool2d):
    """Mean of each window: `torch.nn.AvgPool2d`.

    Examples
    --------
    >>> AvgPool2d(2, padding=1, count_include_pad=False)(torch.ones(1, 2, 2))
    tensor([[[1., 1.],
             [1., 1.]]])
    """

    _dims = 2


class AvgPool3d(_AvgPool, nn.AvgPool3d):
    """Mean of each window: `torch.nn.AvgPool3d`.

    Examples
    --------
    >>> AvgPool3d(2, divisor_override=1)(torch.ones(1, 1, 2, 2, 2)).item()
    8.0
    """

    _dims = 3


class LPPool1d(_LPPool, nn.LPPool1d):
    """Norm of each window: `torch.nn.LPPool1d`; native for an even `norm_type` up to 8.

    Examples
    --------
    >>> LPPool1d(2, 2)(torch.tensor([[[3.0, -4, 5, 12]]]))
    tensor([[[ 5., 13.]]])
    """

    _dims = 1


class LPPool2d(_LPPool, nn.LPPool2d):
    """Norm of each window: `torch.nn.LPPool2d`; native for an even `norm_type` up to 8.

    Examples
    --------
    >>> LPPool2d(2, (1, 2))(torch.tensor([[[3.0, -4, 5, 12]]]))
    tensor([[[ 5., 13.]]])
    """

    _dims = 2


class LPPool3d(_LPPool, nn.LPPool3d):
    """Norm of each window: `torch.nn.LPPool3d`; native for an even `norm_type` up to 8.

    Examples
    --------
    >>> LPPool3d(2, (1, 1, 2))(torch.tensor([[[[3.0, -4, 5, 12]]]]))
    tensor([[[[ 5., 13.]]]])
    """

    _dims = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool, nn.AdaptiveMaxPool1d):
    """Maximum, to a given size: `torch.nn.AdaptiveMaxPool1d`.

    Examples
    --------
    >>> AdaptiveMaxPool1d(2)(torch.tensor([[[1.0, 5, 2]]]))
    tensor([[[5., 5.]]])
    """

    _dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool, nn.AdaptiveMaxPool2d):
    """Maximum, to a given size: `torch.nn.AdaptiveMaxPool2d`.

    Examples
    --------
    >>> AdaptiveMaxPool2d((1, None))(torch.arange(6.0).view(1, 2, 3))
    tensor([[[3., 4., 5.]]])
    """

    _dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool, nn.AdaptiveMaxPool3d):
    """Maximum, to a given size: `torch.nn.AdaptiveMaxPool3d`.

    Examples
    --------
    >>> AdaptiveMaxPool3d(1)(torch.arange(8.0).view(1, 1, 2, 2, 2)).item()
    7.0
    """

    _dims = 3


class AdaptiveAvgPool1d(_AdaptiveAvgPool, nn.AdaptiveAvgPool1d):
    """Mean, to a given size: `torch.nn.AdaptiveAvgPool1d`.

    Examples
    --------
    >>> AdaptiveAvgPool1d(3)(torch.tensor([[[1.0, 2, 3, 4, 5]]]))
    tensor([[[1.5000, 3.0000, 4.5000]]])
    """

    _dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool, nn.AdaptiveAvgPool2d):
    """Mean, to a given size: `torch.nn.AdaptiveAvgPool2d`.

    Examples
    --------
    >>> AdaptiveAvgPool2d(1)(torch.arange(6.0).view(1, 2, 3)).item()
    2.5
    """

    _dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool, nn.AdaptiveAvgPool3d):
    """Mean, to a given size: `torch.nn.AdaptiveAvgPool3d`.

    Examples
    --------
    >>> AdaptiveAvgPool3d(1)(torch.arange(8.0).view(1, 1, 2, 2, 2)).item()
    3.5
    """

    _dims = 3


class FractionalMaxPool2d(_Pool, nn.FractionalMaxPool2d):
    """Maximum of windows at random places: `torch.nn.FractionalMaxPool2d`.

    The places are drawn for each map by itself, from PyTorch's generator. Every window is one of
    a pool with stride 1, so that this is computed, and looked up at the places.

    Examples
    --------
    >>> FractionalMaxPool2d(2, output_size=3)(torch.rand(1, 4, 7, 7)).shape
    torch.Size([1, 4, 3, 3])
    """

    _dims = 2

    def _accepts(self, input: Tensor) -> bool:
        if torch.is_autocast_enabled("cpu") and input.dtype.itemsize < 4:
            return False
        sizes, windows = input.shape[-2:], self.kernel_size
        return all(
            1 <= out <= size - window + 1
            for size, window, out in zip(sizes, windows, self._sizes(input), strict=True)
        )

    def _sizes(self, x: Tensor) -> list[int]:
        if self.output_size is not None:
            return list(self.output_size)
        return [int(n * ratio) for n, ratio in zip(x.shape[-2:], self.output_ratio, strict=True)]

    def _pool(self, x: Tensor) -> Any:
        samples = self._random_samples
        if samples is None:
            samples = torch.rand(*x.shape[:2], 2, dtype=x.dtype, device=x.device)
        elif samples.dtype != x.dtype or samples.shape != (*x.shape[:2], 2):
            return nn.FractionalMaxPool2d.forward(self, x)
        high, wide = x.shape[2:]
        windows, (rows, columns) = list(self.kernel_size), self._sizes(x)
        top = _begins(samples[..., 1], high, rows, windows[0])
        left = _begins(samples[..., 0], wide, columns, windows[1])
        options = (windows, [1, 1], [0, 0], [1, 1], False)
        across = wide - windows[1] + 1  # windows in a row of the pool with stride 1
        at = (top.unsqueeze(3) * across + left.unsqueeze(2)).flatten(2)
        shape = (*x.shape[:2], rows, columns)
        if not self.return_indices:
            every = maxima.SLIDING.maxima(x, *options)
            return every.flatten(2).gather(2, at).view(shape)
        every, places = maxima.SLIDING.maxima_and_indices(x, *options)
        return tuple(part.flatten(2).gather(2, at).view(shape) for part in (every, places))


def _begins(samples: Tensor, size: int, out: int, window: int) -> Tensor:
    """Where windows begin, (N, C, out): at floor((i + u) a) - floor(u a), the last at the end."""
    last = torch.full((*samples.shape, 1), size - window, device=samples.device)
    if out == 1:
        return last
    slope = torch.tensor(size - window, dtype=samples.dtype) / (out - 1)
    steps = torch.arange(out - 1, dtype=samples.dtype, device=samples.device)
    sample = samples.unsqueeze(2)
    begins = ((steps + sample) * slope).long() - (sample * slope).long()
    return torch.cat([begins, last], 2)


# ------------------------------------------------------------------ those that torch.nn has not


class _OwnPool(nn.Module):
    """A pool of (N, C, H, W) or (C, H, W), native where it can be, by its definition elsewhere."""

    _operator: Any
    _definition: Any

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ShapeError(
                f"attar.torch.{type(self).__name__}: input must be (N, C, H, W) or (C, H, W), "
                f"got shape {tuple(input.shape)}"
            )
        x = input if input.ndim == 4 else input.unsqueeze(0)
        compute = type(self)._operator if takes(x, 2, _OF_NUMPY) else type(self)._definition
        answer: Tensor = compute(x, *self._options())
        return answer if input.ndim == 4 else answer.squeeze(0)

    def _options(self) -> tuple[Any, ...]:
        """Return what follows the input in a call of the operator or the definition."""
        raise NotImplementedError


class SoftPool2d(_OwnPool):
    """Mean of each window, every value x weighted by ``exp(x)``: see `attar.nn.soft_pool`.

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        The window by default.
    padding : int or (int, int)
        At both ends; it has no weight.

    Examples
    --------
    >>> SoftPool2d((1, 2))(torch.tensor([[[1.0, 1, 0, 1000]]]))
    tensor([[[   1., 1000.]]])
    """

    _operator = others.soft_pool
    _definition = definitions.soft

    def __init__(self, kernel_size: Any = 2, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def _options(self) -> tuple[Any, ...]:
        return each(self.kernel_size, 2), each(self.stride, 2), each(self.padding, 2)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class BlurPool2d(_OwnPool):
    """Blur, then keep every stride-th value: see `attar.nn.blur_pool`.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Of the filter, a row of Pascal's triangle along each axis: 1 to 7.
    stride : int or (int, int)
    padding_mode : {"reflect", "circular", "zeros"}
        What lies beyond the map.

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> BlurPool2d((1, 3))(torch.tensor([[[0.0, 0, 4, 0, 0, 8]]]))
    tensor([[[0., 2., 2.]]])
    """

    _operator = others.blur_pool
    _definition = definitions.blur

    def __init__(
        self, kernel_size: Any = 3, stride: Any = 2, padding_mode: str = "reflect"
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding_mode = _one_of(
            "BlurPool2d", "padding_mode", padding_mode, ("reflect", "circular", "zeros")
        )

    def _options(self) -> tuple[Any, ...]:
        return each(self.kernel_size, 2), each(self.stride, 2), self.padding_mode

    def extra_repr(self) -> str:
        """Show the arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding_mode={self.padding_mode!r}"
        )


class MaxBlurPool2d(_OwnPool):
    """Take the maximum at every place, blur, keep every stride-th value, in one pass.

    What becomes of a `MaxPool2d` with a stride when it is anti-aliased: see
    `attar.nn.max_blur_pool`.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The window of the maximum.
    stride : int or (int, int)
        Of the blur; the maximum has stride 1.
    padding : int or (int, int)
        Of the maximum, at both ends; it never wins.
    blur_size : int or (int, int)
        Of the filter: 1 to 7.
    padding_mode : {"reflect", "circular", "zeros"}
        What lies beyond the map of the maxima.

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> MaxBlurPool2d((1, 2), blur_size=(1, 3))(torch.tensor([[[0.0, 0, 4, 0, 0, 8]]]))
    tensor([[[2., 3., 4.]]])
    """

    _operator = others.max_blur_pool
    _definition = definitions.max_blur

    def __init__(
        self,
        kernel_size: Any = 2,
        stride: Any = 2,
        padding: Any = 0,
        blur_size: Any = 3,
        padding_mode: str = "reflect",
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.blur_size = blur_size
        self.padding_mode = _one_of(
            "MaxBlurPool2d", "padding_mode", padding_mode, ("reflect", "circular", "zeros")
        )

    def _options(self) -> tuple[Any, ...]:
        windows = (self.kernel_size, self.blur_size, self.stride, self.padding)
        return *(each(value, 2) for value in windows), self.padding_mode

    def extra_repr(self) -> str:
        """Show the arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"blur_size={self.blur_size}, padding_mode={self.padding_mode!r}"
        )


class PolyphasePool2d(_OwnPool):
    """Keep every stride-th value, from where there is most to keep: `attar.nn.polyphase_pool`.

    Parameters
    ----------
    stride : int or (int, int)
    norm : {"l2", "l1", "linf"}
        Which of the phases of an image is kept: that with the largest norm.

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> PolyphasePool2d((1, 2))(torch.tensor([[[1.0, 5, 2, 6, 3, 7]]]))
    tensor([[[5., 6., 7.]]])
    """

    _operator = others.polyphase_pool
    _definition = definitions.polyphase

    def __init__(self, stride: Any = 2, norm: str = "l2") -> None:
        super().__init__()
        self.stride = stride
        self.norm = _one_of("PolyphasePool2d", "norm", norm, ("l2", "l1", "linf"))

    def _options(self) -> tuple[Any, ...]:
        return each(self.stride, 2), self.norm

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"stride={self.stride}, norm={self.norm!r}"


class GeM(nn.Module):
    """Generalised mean of each map, ``(mean of max(x, eps)^p)^(1/p)``: see `attar.nn.gem_pool`.

    Parameters
    ----------
    p : float
        Where `p`, a parameter of shape (1,), begins: larger than 0.
    eps : float
        Smaller values count as this.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError)

    Examples
    --------
    >>> GeM(p=2)(torch.tensor([[[[1.0, 7]]]]))
    tensor([[[[5.]]]], grad_fn=<...>)
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        if not (p > 0 and eps > 0):
            raise ArgumentError(
                f"attar.torch.GeM: p and eps must be larger than 0, got p={p!r}, eps={eps!r}"
            )
        self.p = nn.Parameter(torch.full((1,), float(p)))
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        """Condense (N, C, *spatial), one to three spatial axes, to (N, C, 1, ...)."""
        dims = input.ndim - 2
        if not 1 <= dims <= 3:
            raise ShapeError(
                "attar.torch.GeM: input must be (N, C) and one to three spatial axes, "
                f"got shape {tuple(input.shape)}"
            )
        if takes(input, dims, _OF_NUMPY):
            answer: Tensor = others.gem_pool(input, self.p, self.eps)
        else:
            answer = definitions.generalised_mean(input, self.p, self.eps)
        return answer

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"p={self.p.item():.4g}, eps={self.eps}"


def _one_of(layer: str, argument: str, value: Any, accepted: tuple[str, ...]) -> str:
    if value not in accepted:
        *names, last = map(repr, accepted)
        raise ArgumentError(
            f"attar.torch.{layer}: {argument} must be {', '.join(names)} or {last}, got {value!r}"
        )
    name: str = value
    return name
