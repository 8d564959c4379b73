"""How weights begin: Keras' initializers, always from a seed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from attar.arrays import Array
from attar.errors import ArgumentError

__all__ = [
    "Constant",
    "Initializer",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]

# Standard deviation of a normal distribution that is cut off at two of them.
_TRUNCATED_STDDEV = 0.87962566103423978


@dataclass(frozen=True)
class Initializer:
    """Makes an array of weights.

    Called with a shape and a seed it returns float32. The seed counts where the initializer has
    none of its own.
    """

    def __call__(self, shape: tuple[int, ...], seed: int = 0) -> Array:
        """Make the weights."""
        own = getattr(self, "seed", None)
        generator = np.random.default_rng(seed if own is None else own)
        return self._draw(shape, generator).astype(np.float32, copy=False)

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return its class and arguments, as Keras writes them."""
        return {"class_name": type(self).__name__, "config": asdict(self)}


@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0."""

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return np.zeros(shape, np.float32)


@dataclass(frozen=True)
class Ones(Initializer):
    """All 1."""

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return np.ones(shape, np.float32)


@dataclass(frozen=True)
class Constant(Initializer):
    """All one value."""

    value: float = 0.0

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        return np.full(shape, self.value, np.float32)


@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        drawn = generator.random(shape, np.float32)
        drawn *= np.float32(self.maxval - self.minval)
        drawn += np.float32(self.minval)
        return drawn


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """Normal."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        drawn = generator.standard_normal(shape, np.float32)
        drawn *= np.float32(self.stddev)
        drawn += np.float32(self.mean)
        return drawn


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """Normal, drawn anew where it falls more than two standard deviations from the mean."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        drawn = generator.standard_normal(shape, np.float32)
        while (outside := np.abs(drawn) > 2).any():
            drawn[outside] = generator.standard_normal(int(outside.sum()), np.float32)
        return drawn * np.float32(self.stddev) + np.float32(self.mean)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Variance of scale / n, where n is what a value is summed from, goes to, or their mean.

    Glorot and Bengio, 2010: https://proceedings.mlr.press/v9/glorot10a.html, and He et al., 2015:
    https://arxiv.org/abs/1502.01852, are its best known settings.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.scale > 0 or not math.isfinite(self.scale):
            raise ArgumentError(
                f"layers.initializers: scale must be larger than 0 and finite, got {self.scale!r}"
            )
        if self.mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ArgumentError(
                "layers.initializers: mode must be 'fan_in', 'fan_out' or 'fan_avg', "
                f"got {self.mode!r}"
            )
        if self.distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            raise ArgumentError(
                "layers.initializers: distribution must be 'uniform', 'truncated_normal' or "
                f"'untruncated_normal', got {self.distribution!r}"
            )

    def _draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        taps = math.prod(shape[:-2])
        fan_in = taps * shape[-2] if len(shape) > 1 else math.prod(shape)
        fan_out = taps * shape[-1] if len(shape) > 1 else math.prod(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        kind: Initializer
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            kind = RandomUniform(-limit, limit)
        elif self.distribution == "truncated_normal":
            kind = TruncatedNormal(0, math.sqrt(variance) / _TRUNCATED_STDDEV)
        else:
            kind = RandomNormal(0, math.sqrt(variance))
        return kind._draw(shape, generator)


def _scaling(scale: float, mode: str, distribution: str) -> Callable[..., Initializer]:
    def make(seed: int | None = None) -> Initializer:
        return VarianceScaling(scale, mode, distribution, seed)

    return make


_KINDS: dict[str, Callable[..., Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_uniform": RandomUniform,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": _scaling(1, "fan_avg", "uniform"),
    "glorot_normal": _scaling(1, "fan_avg", "truncated_normal"),
    "he_uniform": _scaling(2, "fan_in", "uniform"),
    "he_normal": _scaling(2, "fan_in", "truncated_normal"),
    "lecun_uniform": _scaling(1, "fan_in", "uniform"),
    "lecun_normal": _scaling(1, "fan_in", "truncated_normal"),
}


def get(where: str, argument: str, identifier: Any) -> Initializer:
    """Return the initializer that is meant: one itself, a name, or a config of `get_config`.

    Examples
    --------
    >>> get("Conv2D", "kernel_initializer", "he_normal")
    VarianceScaling(scale=2, mode='fan_in', distribution='truncated_normal', seed=None)
    >>> get("Conv2D", "bias_initializer", {"class_name": "Constant", "config": {"value": 1}})
    Constant(value=1)
    """
    if isinstance(identifier, Initializer):
        return identifier
    name, arguments = identifier, {}
    if isinstance(identifier, dict):
        name, arguments = identifier.get("class_name"), identifier.get("config", {})
    kind = (
        _KINDS.get(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
        if (isinstance(name, str))
        else None
    )
    if kind is None:
        raise ArgumentError(
            f"{where}: {argument} must be one of {', '.join(sorted(_KINDS))}, or an initializer "
            f"of attar.layers.initializers, got {identifier!r}"
        )
    try:
        return kind(**arguments)
    except TypeError:
        raise ArgumentError(
            f"{where}: {argument} has arguments that {name} does not take: {arguments!r}"
        ) from None
