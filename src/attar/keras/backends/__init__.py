"""What Keras runs on: how tensors become arrays there, and where a gradient hooks in.

Each room has one function, `connect`, that imports its framework and returns a `Backend`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from attar.errors import ArgumentError
from attar.keras.operations import Operation

__all__ = ["NO_SECOND_DERIVATIVE", "Backend", "compute"]

NO_SECOND_DERIVATIVE = (
    "attar.keras: there is no gradient of a gradient; where you need one, use Keras' own layer"
)
_SERVED = ("jax", "numpy", "tensorflow", "torch")


class Backend(NamedTuple):
    """What a framework must be able to do.

    Attributes
    ----------
    obstacle : function
        ``obstacle(tensor)`` says where a tensor is if attar's kernels cannot reach it; else None.
    apply : function
        ``apply(operation, inputs, shape)`` runs an `Operation` such that gradients flow through
        it. ``shape()`` is that of the answer, with None where it is not known.
    """

    obstacle: Callable[[Any], str | None]
    apply: Callable[[Operation, tuple[Any, ...], Callable[[], Any]], Any]


def _connect(name: str) -> Backend | None:
    if name not in _SERVED:
        return None
    backend: Backend = importlib.import_module(f"attar.keras.backends.{name}").connect()
    return backend


# Keras has chosen by now, and keeps to it. Compilers need not trace how.
_NAME = keras.backend.backend()
_BACKEND = _connect(_NAME)


def compute(
    layer: Any,
    operation: Operation,
    inputs: tuple[Any, ...],
    otherwise: Callable[[], Any] | None = None,
) -> Any:
    """Run `operation` for a layer where attar has a kernel for it, and `otherwise` elsewhere.

    Raises
    ------
    ArgumentError (a ValueError)
        Where neither is possible: it says what the tensor is, and what it should be.
    """
    x = inputs[0]
    if _BACKEND is None:
        obstacle: str | None = f"a tensor of Keras' backend {_NAME!r}"
    else:
        dtype = keras.backend.standardize_dtype(x.dtype)
        obstacle = None if dtype in operation.dtypes else f"a tensor of {dtype}"
        obstacle = obstacle or _BACKEND.obstacle(x)
        if obstacle is None:
            shape = functools.partial(layer.compute_output_shape, tuple(x.shape))
            return _BACKEND.apply(operation, inputs, shape)
    if otherwise is not None:
        return otherwise()
    raise ArgumentError(
        f"attar.keras.{type(layer).__name__}: inputs must be on the CPU, of "
        f"{', '.join(sorted(operation.dtypes))}, and of one of Keras' backends "
        f"{', '.join(_SERVED)}; got {obstacle}"
    )
