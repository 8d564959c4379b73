"""JAX: callbacks that write into JAX' own buffers; gradients by `custom_vjp`."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from attar.arrays import Array
from attar.keras.backends import Backend
from attar.keras.operations import Operation

__all__ = ["connect"]


class _Call(NamedTuple):
    """An operation and all that is known about its arrays while JAX traces: a key of caches."""

    operation: Operation
    answer: Any  # ShapeDtypeStruct, as the next
    inputs: tuple[Any, ...]

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        return (self.operation.run(*inputs),)

    def record(self, *inputs: Array) -> tuple[Array, ...]:
        return self.operation.record(*inputs)

    def grads(self, group: tuple[int, ...], grad: Array, *rest: Array) -> tuple[Any, ...]:
        shapes = tuple(x.shape for x in self.inputs)
        count = len(shapes) if self.operation.keeps_inputs else 0
        inputs, kept = rest[:count] or shapes, rest[count:]
        needed = tuple(i in group for i in range(len(shapes)))
        grads = self.operation.grads(needed, grad, inputs, kept)
        return tuple(grads[i] for i in group)


@functools.lru_cache(maxsize=1024)
def _callback(call: _Call, name: str, *arguments: Any) -> Any:
    """Return the same function for the same call: JAX compiles anew for each that it meets."""
    function = functools.partial(getattr(call, name), *arguments)

    def callback(context: Any, outs: tuple[Any, ...], *inputs: Any) -> None:
        for out, result in zip(outs, function(*map(np.asarray, inputs)), strict=True):
            np.asarray(out)[...] = result

    return callback


def connect() -> Backend:
    """Import JAX and hook the operations into its transformations."""
    import jax
    from jax import numpy as jnp

    try:
        from jax.experimental.buffer_callback import buffer_callback
    except ImportError as error:
        raise ImportError(
            f"attar.keras needs a newer JAX than {jax.__version__}, with jax.experimental."
            "buffer_callback; update it with pip install -U jax"
        ) from error
    # Not pure_callback: it copies all arrays, and waits for ever for the copy of a large one
    # where JAX has one thread (seen in 0.10 with 17 MB). Mapped over a batch, a callback is called
    # for one element after the other.
    on_host = functools.partial(buffer_callback, vmap_method="sequential")

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def compute(call: _Call, *inputs: Any) -> Any:
        (answer,) = on_host(_callback(call, "run"), (call.answer,))(*inputs)
        return answer

    def forward(call: _Call, *inputs: Any) -> Any:
        kept = call.operation.kept(call.answer.shape)
        results = (call.answer, *(jax.ShapeDtypeStruct(*each) for each in kept))
        answer, *rest = on_host(_callback(call, "record"), results)(*inputs)
        return answer, (*(inputs if call.operation.keeps_inputs else ()), *rest)

    def backward(call: _Call, residuals: Any, grad: Any) -> Any:
        # Several callbacks, so that gradients that nobody asks for are not computed.
        grads: list[Any] = [None] * len(call.inputs)
        if jnp.issubdtype(call.answer.dtype, jnp.inexact):
            for group in call.operation.together:
                results = tuple(call.inputs[i] for i in group)
                found = on_host(_callback(call, "grads", group), results)(grad, *residuals)
                for i, each in zip(group, found, strict=True):
                    grads[i] = each
        return tuple(grads)

    compute.defvjp(forward, backward)

    def apply(operation: Operation, inputs: tuple[Any, ...], shape: Any) -> Any:
        kinds = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs)
        operation.check(*((x.shape, x.dtype) for x in inputs))
        answer = jax.ShapeDtypeStruct(shape(), inputs[0].dtype)
        return compute(_Call(operation, answer, kinds), *inputs)

    def obstacle(tensor: Any) -> str | None:
        if isinstance(tensor, jax.core.Tracer):
            place = jax.config.jax_default_device or jax.devices()[0]
        else:
            place = next(iter(tensor.devices()))
        platform = getattr(place, "platform", place)
        return None if platform == "cpu" else f"a tensor on {place}"

    return Backend(obstacle, apply)
