"""Condense by a ratio that need not be whole."""

from __future__ import annotations

import math
from typing import Any

import keras

from attar.errors import ArgumentError, ShapeError
from attar.keras.native import Image, register
from attar.keras.operations import FractionalMaxPool
from attar.layers.arguments import finite_number

__all__ = ["FractionalMaxPool2D"]


@register
class FractionalMaxPool2D(Image):
    """The maximum of windows that are drawn at random: `attar.nn.fractional_max_pool`.

    In training each call draws new windows. Outside of it they are those of the `seed`, and so
    always the same.

    Parameters
    ----------
    pooling_ratio : float or pair
        Of a size to its number of outputs, ``floor(size / ratio)``; at least 1.
    pseudo_random : bool
        Draw a staircase at a random height, not windows in random order.
    overlapping : bool
        Let a window see the first cell of the next one too.
    data_format : {"channels_last", "channels_first"}, optional
        Keras' own default if it is left out.
    seed : int, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import FractionalMaxPool2D
    >>> image = np.arange(7, dtype="float32").reshape(1, 1, 7, 1)
    >>> layer = FractionalMaxPool2D((1, 1.5), seed=0)
    >>> np.from_dlpack(layer(image)).ravel().tolist()
    [0.0, 2.0, 4.0, 6.0]
    """

    def __init__(
        self,
        pooling_ratio: Any,
        pseudo_random: bool = False,
        overlapping: bool = False,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, name, kwargs)
        self.pooling_ratio = self._ratios(pooling_ratio)
        self.pseudo_random = bool(pseudo_random)
        self.overlapping = bool(overlapping)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _ratios(self, value: Any) -> tuple[float, float]:
        numbers = tuple(value) if isinstance(value, list | tuple) else (value, value)
        ratios = [finite_number(self._where, "pooling_ratio", number) for number in numbers]
        if len(ratios) != 2 or min(ratios) < 1:
            raise ArgumentError(
                f"{self._where}: pooling_ratio must be one number or 2 (height and width), at "
                f"least 1, got {value!r}"
            )
        return ratios[0], ratios[1]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Pool a batch by windows that are new in `training`."""
        operation = FractionalMaxPool(
            self.pooling_ratio, self.pseudo_random, self.overlapping, self._layout(2)
        )
        if training:
            seed = keras.random.randint((), 0, 2**31 - 1, "int32", seed=self.seed_generator)
        else:
            seed = keras.ops.convert_to_tensor((self.seed or 0) % 2**31, "int32")
        return self._compute(operation, inputs, seed)

    def _out(self, axis: int, size: int) -> int:
        outputs = math.floor(size / self.pooling_ratio[axis])
        if outputs < 1:
            raise ShapeError(
                f"{self._where}: pooling_ratio must be at most the size of the input, {size}, got "
                f"{self.pooling_ratio[axis]}"
            )
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("pooling_ratio", "pseudo_random", "overlapping", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
