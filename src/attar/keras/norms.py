"""Condense by means that lean towards the larger values."""

from __future__ import annotations

from typing import Any

from attar import nn
from attar.errors import ArgumentError
from attar.keras.native import Image, one_of, outputs, pair, register
from attar.keras.operations import plain
from attar.layers.arguments import finite_number

__all__ = ["GeM2D", "LPPool2D", "SoftPool2D"]


class _Windows(Image):
    """A pool with Keras' arguments."""

    def __init__(
        self,
        pool_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        name: str | None,
        options: dict[str, Any],
    ) -> None:
        super().__init__(data_format, name, options)
        self.pool_size = pair(self, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(self, "strides", strides)
        self.padding = one_of(self, "padding", padding, "valid", "same")

    @property
    def _window(self) -> dict[str, Any]:
        return {
            "ksize": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self._layout(2),
        }

    def _out(self, axis: int, size: int) -> int:
        return outputs(self, size, self.pool_size[axis], self.strides[axis], self.padding)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("pool_size", "strides", "padding")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@register
class LPPool2D(_Windows):
    """The p-norm of each window, ``(Σ|x|ᵖ)^(1/p)``: `attar.nn.lp_pool`.

    Parameters
    ----------
    pool_size, strides, padding, data_format
        As in `MaxPooling2D`.
    p : float
        Larger than 0.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import LPPool2D
    >>> image = np.array([3, -4, 0, 2], "float32").reshape(1, 1, 4, 1)
    >>> np.from_dlpack(LPPool2D((1, 2))(image)).ravel().tolist()
    [5.0, 2.0]
    """

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        p: float = 2.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, kwargs)
        self.p = _positive(self, "p", p)

    def call(self, inputs: Any) -> Any:
        """Take the norm of each window."""
        operation = plain(nn.lp_pool, nn.lp_pool_grad, **self._window, p=self.p)
        return self._compute(operation, inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "p": self.p}


@register
class SoftPool2D(_Windows):
    """The mean of each window, every value x weighted by ``exp(x)``: `attar.nn.soft_pool`.

    Parameters
    ----------
    pool_size, strides, padding, data_format
        As in `MaxPooling2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import SoftPool2D
    >>> image = np.array([1, 1, 0, 1000], "float32").reshape(1, 1, 4, 1)
    >>> np.from_dlpack(SoftPool2D((1, 2))(image)).ravel().tolist()
    [1.0, 1000.0]
    """

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, kwargs)

    def call(self, inputs: Any) -> Any:
        """Take the weighted mean of each window."""
        return self._compute(plain(nn.soft_pool, nn.soft_pool_grad, **self._window), inputs)


@register
class GeM2D(Image):
    """The generalised mean of each map, ``(mean of max(x, eps)ᵖ)^(1/p)``: `attar.nn.gem_pool`.

    Parameters
    ----------
    p : float
        Larger than 0; 1 is the mean, and the larger it is, the nearer is the maximum. It is not
        trained.
    eps : float
        Larger than 0. Smaller values count as this.
    data_format : {"channels_last", "channels_first"}, optional
        Keras' own default if it is left out.
    keepdims : bool
        Keep the spatial axes, of size 1.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import GeM2D
    >>> image = np.array([1, 7], "float32").reshape(1, 1, 2, 1)
    >>> np.from_dlpack(GeM2D(p=2)(image)).tolist()
    [[5.0]]
    """

    def __init__(
        self,
        p: float = 3.0,
        eps: float = 1e-6,
        data_format: str | None = None,
        keepdims: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, name, kwargs)
        self.p = _positive(self, "p", p)
        self.eps = _positive(self, "eps", eps)
        self.keepdims = bool(keepdims)

    def call(self, inputs: Any) -> Any:
        """Take the mean of each map."""
        operation = plain(
            nn.gem_pool,
            nn.gem_pool_grad,
            p=self.p,
            eps=self.eps,
            data_format=self._layout(2),
            keepdims=self.keepdims,
        )
        return self._compute(operation, inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return (N, C), or with the spatial axes that `keepdims` keeps."""
        n, channels = input_shape[0], input_shape[1 if self._layout(2) == "NCHW" else 3]
        if not self.keepdims:
            return n, channels
        return (n, channels, 1, 1) if self._layout(2) == "NCHW" else (n, 1, 1, channels)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("p", "eps", "keepdims")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _positive(layer: Image, argument: str, value: Any) -> float:
    number = finite_number(layer._where, argument, value)
    if number <= 0:
        raise ArgumentError(f"{layer._where}: {argument} must be larger than 0, got {value!r}")
    return number
