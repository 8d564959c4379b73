"""Layers of Keras without a stride, and those that condense behind them.

They are made of Keras' own operations: they run and train on every backend and device, and are
saved under attar's name. They have no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from attar.repairing.kinds import kind_of, taps_for, weights_of

__all__ = ["Blur2D", "PaddedPooling2D", "Phase2D", "StrongestPhase2D"]

_Class = TypeVar("_Class", bound=type)


def _register(cls: _Class) -> _Class:
    registered: _Class = keras.saving.register_keras_serializable(package="attar.repairing")(cls)
    return registered


class _Layer(keras.layers.Layer):
    """What all have: the axes of height and width."""

    def __init__(self, data_format: str | None, **options: Any) -> None:
        super().__init__(**options)
        self.data_format = data_format or keras.config.image_data_format()
        self.axes = (2, 3) if self.data_format == "channels_first" else (1, 2)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "data_format": self.data_format}

    def _sized(self, shape: Any, sizes: Sequence[int | None]) -> tuple[Any, ...]:
        answer = list(shape)
        for axis, size in zip(self.axes, sizes, strict=True):
            answer[axis] = size
        return tuple(answer)

    def _part(self, x: Any, *parts: slice) -> Any:
        at: list[Any] = [slice(None)] * 4
        for axis, part in zip(self.axes, parts, strict=True):
            at[axis] = part
        return x[tuple(at)]

    def _wrapped(self, x: Any, sides: Sequence[Sequence[int]]) -> Any:
        for axis, (before, after) in zip(self.axes, sides, strict=True):
            at: list[Any] = [slice(None)] * 4
            parts = [x]
            if before:
                at[axis] = slice(-before, None)
                parts.insert(0, x[tuple(at)])
            if after:
                at[axis] = slice(0, after)
                parts.append(x[tuple(at)])
            x = ops.concatenate(parts, axis=axis) if len(parts) > 1 else x
        return x

    def _padded(self, x: Any, sides: Sequence[Sequence[int]], **options: Any) -> Any:
        widths = [(0, 0)] * 4
        for axis, side in zip(self.axes, sides, strict=True):
            widths[axis] = (side[0], side[1])
        return ops.pad(x, widths, **options) if any(map(any, sides)) else x


@_register
class Blur2D(_Layer):
    """Blur each channel, and keep every stride-th value.

    Parameters
    ----------
    pool : {"blur3", "blur5", "blur7"}
        The filter along the axes that have a stride: of fewer taps where a map has too few cells.
    strides : (int, int)
    border : {"reflect", "circular"}
        What lies beyond a map: itself, mirrored, or its other side.
    data_format : {"channels_last", "channels_first"}, optional
    """

    def __init__(
        self,
        pool: str,
        strides: Sequence[int],
        border: str = "reflect",
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data_format, **options)
        self.kind = kind_of("Blur2D", pool, border)
        self.strides = (int(strides[0]), int(strides[1]))

    def call(self, inputs: Any) -> Any:
        """Condense."""
        taps = [
            taps_for(self.kind, step, inputs.shape[axis])
            for step, axis in zip(self.strides, self.axes, strict=True)
        ]
        sides = [(size // 2, size // 2) for size in taps]
        if self.kind.wraps:
            padded = self._wrapped(inputs, sides)
        else:
            padded = self._padded(inputs, sides, mode="reflect")
        channels = inputs.shape[1 if self.data_format == "channels_first" else 3]
        rows, columns = (np.array(weights_of(size)) for size in taps)
        kernel = np.repeat(np.outer(rows, columns)[:, :, None, None], channels, 2)
        # TensorFlow has no depthwise convolution whose strides differ.
        even = self.strides[0] == self.strides[1]
        answer = ops.depthwise_conv(
            padded,
            ops.cast(kernel, inputs.dtype),
            strides=self.strides[0] if even else 1,
            padding="valid",
            data_format=self.data_format,
        )
        return answer if even else self._part(answer, *(slice(None, None, s) for s in self.strides))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the shape of the answer."""
        return self._sized(
            input_shape,
            [
                None if input_shape[axis] is None else -(-input_shape[axis] // step)
                for axis, step in zip(self.axes, self.strides, strict=True)
            ],
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        own = {"pool": self.kind.name, "strides": self.strides, "border": self.kind.border}
        return {**super().get_config(), **own}


@_register
class PaddedPooling2D(_Layer):
    """A pool that is told its padding: the maximum or the mean of each window.

    Parameters
    ----------
    pool_size, strides : (int, int)
    sides : ((int, int), (int, int))
        Padding at the top, bottom, left and right, which never wins and does not count.
    reduce : {"max", "mean"}
    wraps : bool
        Whether a map goes on at its other side instead.
    data_format : {"channels_last", "channels_first"}, optional
    """

    def __init__(
        self,
        pool_size: Sequence[int],
        strides: Sequence[int],
        sides: Sequence[Sequence[int]],
        reduce: str,
        wraps: bool = False,
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data_format, **options)
        self.pool_size = (int(pool_size[0]), int(pool_size[1]))
        self.strides = (int(strides[0]), int(strides[1]))
        self.sides = [[int(number) for number in side] for side in sides]
        self.reduce, self.wraps = reduce, wraps

    def call(self, inputs: Any) -> Any:
        """Take maxima or means."""
        if self.wraps:
            return self._pooled(self._wrapped(inputs, self.sides))
        if self.reduce == "max":
            return self._pooled(self._padded(inputs, self.sides, constant_values=float("-inf")))
        shares = self._pooled(self._padded(ops.ones_like(inputs), self.sides))
        return self._pooled(self._padded(inputs, self.sides)) / shares

    def _pooled(self, x: Any) -> Any:
        operation = ops.max_pool if self.reduce == "max" else ops.average_pool
        return operation(x, self.pool_size, self.strides, "valid", self.data_format)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the shape of the answer."""
        rows, columns = (
            None if input_shape[axis] is None
            else (input_shape[axis] + sum(self.sides[i]) - self.pool_size[i]) // self.strides[i] + 1
            for i, axis in enumerate(self.axes)
        )  # fmt: skip
        return self._sized(input_shape, [rows, columns])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("pool_size", "strides", "sides", "reduce", "wraps")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class _Phases(_Layer):
    """What looks at the phases of a stride.

    Parameters
    ----------
    strides : (int, int)
    surplus : (int, int)
        How many of the last rows and columns no stride would count.
    data_format : {"channels_last", "channels_first"}, optional
    """

    def __init__(
        self,
        strides: Sequence[int],
        surplus: Sequence[int] = (0, 0),
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data_format, **options)
        self.strides = (int(strides[0]), int(strides[1]))
        self.surplus = (int(surplus[0]), int(surplus[1]))

    def _phases(self, x: Any) -> list[Any]:
        """Return the phases, with zeros where the map has no cell."""
        filled = [
            max(0, step - 1 - more) for step, more in zip(self.strides, self.surplus, strict=True)
        ]
        x = self._padded(x, [(0, fill) for fill in filled])
        phases = []
        for begins in np.ndindex(*self.strides):
            # The phase that begins at i ends i cells behind where the map without surplus does.
            ends = (i - more - fill or None for i, more, fill in
                    zip(begins, self.surplus, filled, strict=True))  # fmt: skip
            parts = (slice(*each) for each in zip(begins, ends, self.strides, strict=True))
            phases.append(self._part(x, *parts))
        return phases

    def _kept(self, input_shape: Any) -> tuple[Any, ...]:
        sizes = (input_shape[axis] for axis in self.axes)
        return self._sized(
            input_shape,
            [
                None if size is None else -(-(size - more) // step)
                for size, more, step in zip(sizes, self.surplus, self.strides, strict=True)
            ],
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "strides": self.strides, "surplus": self.surplus}


@_register
class StrongestPhase2D(_Phases):
    """Tell which phase of a stride has the largest energy, for each image: (N,)."""

    def call(self, inputs: Any) -> Any:
        """Choose a phase."""
        # In double precision, where the backend has it: sums of the same numbers in another order
        # must stay equal.
        wide = "float32" if keras.backend.backend() == "jax" else "float64"
        energies = [
            ops.sum(ops.square(ops.cast(phase, wide)), axis=(1, 2, 3))
            for phase in self._phases(ops.stop_gradient(inputs))
        ]
        return ops.argmax(ops.stack(energies, axis=1), axis=1)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the shape of the answer, and its type."""
        return keras.KerasTensor((inputs.shape[0],), dtype="int32")


@_register
class Phase2D(_Phases):
    """Keep the phase of a stride that was chosen; cells that it lacks are 0."""

    def call(self, inputs: Any, chosen: Any) -> Any:
        """Condense by the choices (N,)."""
        best, *others = self._phases(inputs)
        at = ops.reshape(chosen, (-1, 1, 1, 1))
        for k, phase in enumerate(others, 1):
            best = ops.where(ops.equal(at, k), phase, best)
        return best

    def compute_output_spec(self, inputs: Any, chosen: Any) -> Any:
        """Return the shape of the answer, and its type."""
        return keras.KerasTensor(self._kept(inputs.shape), dtype=inputs.dtype)
