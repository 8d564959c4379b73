"""Condense such that a shift of the image is not lost: blur before the stride, or choose it."""

from __future__ import annotations

from typing import Any

from attar import nn
from attar.errors import ArgumentError
from attar.keras.native import Image, one_of, outputs, pair, register
from attar.keras.operations import plain

__all__ = ["BlurPool2D", "MaxBlurPool2D", "PolyphasePool2D"]

_BORDERS = ("reflect", "circular", "zero")
_LARGEST_FILTER = 7


class _Blurred(Image):
    """What is blurred before the stride."""

    def __init__(
        self,
        size: Any,
        strides: Any,
        data_format: str | None,
        border: str,
        name: str | None,
        options: dict[str, Any],
    ) -> None:
        super().__init__(data_format, name, options)
        self.size = pair(self, "size", size)
        if max(self.size) > _LARGEST_FILTER:
            raise ArgumentError(
                f"{self._where}: size must be at most {_LARGEST_FILTER}, got {size!r}"
            )
        self.strides = pair(self, "strides", strides)
        self.border = one_of(self, "border", border, *_BORDERS)

    def _out(self, axis: int, size: int) -> int:
        return -(-size // self.strides[axis])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("size", "strides", "border")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@register
class BlurPool2D(_Blurred):
    """Blur, then keep every stride-th value: a stride without aliasing, `attar.nn.blur_pool`.

    Parameters
    ----------
    size : int or pair
        Of the filter, a row of Pascal's triangle along each axis; 1 to 7.
    strides : int or pair
    data_format : {"channels_last", "channels_first"}, optional
        Keras' own default if it is left out.
    border : {"reflect", "circular", "zero"}
        What lies beyond the image.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import BlurPool2D
    >>> image = np.array([0, 0, 4, 0, 0, 8], "float32").reshape(1, 1, 6, 1)
    >>> np.from_dlpack(BlurPool2D(size=(1, 3))(image)).ravel().tolist()
    [0.0, 2.0, 2.0]
    """

    def __init__(
        self,
        size: Any = 3,
        strides: Any = 2,
        data_format: str | None = None,
        border: str = "reflect",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(size, strides, data_format, border, name, kwargs)

    def call(self, inputs: Any) -> Any:
        """Blur and stride."""
        operation = plain(
            nn.blur_pool,
            nn.blur_pool_grad,
            keeps_inputs=False,
            size=self.size,
            strides=self.strides,
            data_format=self._layout(2),
            border=self.border,
        )
        return self._compute(operation, inputs)


@register
class MaxBlurPool2D(_Blurred):
    """The maximum at every place, blurred, of which every stride-th value is kept.

    What becomes of `MaxPooling2D` when it is anti-aliased: `attar.nn.max_blur_pool`, in one pass.

    Parameters
    ----------
    pool_size : int or pair
        The window of the maximum.
    size, strides
        Of the filter, as in `BlurPool2D`.
    padding : {"valid", "same"}
        Of the maximum.
    data_format, border
        As in `BlurPool2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import MaxBlurPool2D
    >>> image = np.array([0, 0, 4, 0, 0, 8], "float32").reshape(1, 1, 6, 1)
    >>> layer = MaxBlurPool2D(pool_size=(1, 2), size=(1, 3))
    >>> np.from_dlpack(layer(image)).ravel().tolist()
    [2.0, 3.0, 4.0]
    """

    def __init__(
        self,
        pool_size: Any = 2,
        size: Any = 3,
        strides: Any = 2,
        padding: str = "valid",
        data_format: str | None = None,
        border: str = "reflect",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(size, strides, data_format, border, name, kwargs)
        self.pool_size = pair(self, "pool_size", pool_size)
        self.padding = one_of(self, "padding", padding, "valid", "same")

    def call(self, inputs: Any) -> Any:
        """Take maxima, blur and stride."""
        operation = plain(
            nn.max_blur_pool,
            nn.max_blur_pool_grad,
            ksize=self.pool_size,
            size=self.size,
            strides=self.strides,
            padding=self.padding,
            data_format=self._layout(2),
            border=self.border,
        )
        return self._compute(operation, inputs)

    def _out(self, axis: int, size: int) -> int:
        return super()._out(axis, outputs(self, size, self.pool_size[axis], 1, self.padding))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "pool_size": self.pool_size, "padding": self.padding}


@register
class PolyphasePool2D(Image):
    """Keep every stride-th value, from where there is most to keep: `attar.nn.polyphase_pool`.

    Parameters
    ----------
    strides : int or pair
    norm : {"l2", "l1", "linf"}
        By which the phases of an image are compared.
    data_format : {"channels_last", "channels_first"}, optional
        Keras' own default if it is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import PolyphasePool2D
    >>> image = np.array([1, 5, 2, 6, 3, 7], "float32").reshape(1, 1, 6, 1)
    >>> np.from_dlpack(PolyphasePool2D((1, 2))(image)).ravel().tolist()
    [5.0, 6.0, 7.0]
    """

    def __init__(
        self,
        strides: Any = 2,
        norm: str = "l2",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, name, kwargs)
        self.strides = pair(self, "strides", strides)
        self.norm = one_of(self, "norm", norm, "l2", "l1", "linf")

    def call(self, inputs: Any) -> Any:
        """Keep the strongest phase of each image."""
        operation = plain(
            nn.polyphase_pool,
            nn.polyphase_pool_grad,
            strides=self.strides,
            norm=self.norm,
            data_format=self._layout(2),
        )
        return self._compute(operation, inputs)

    def _out(self, axis: int, size: int) -> int:
        return -(-size // self.strides[axis])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "strides": self.strides, "norm": self.norm}
