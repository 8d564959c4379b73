"""TensorFlow: `numpy_function` in graphs, arrays outside; gradients by `custom_gradient`."""

from __future__ import annotations

from typing import Any

import numpy as np

from attar.errors import ArgumentError
from attar.keras.backends import NO_SECOND_DERIVATIVE, Backend
from attar.keras.operations import Operation

__all__ = ["connect"]


def connect() -> Backend:
    """Import TensorFlow and hook the operations into its graphs and tapes."""
    import tensorflow as tf

    def on_host(function: Any, inputs: Any, dtypes: list[Any]) -> list[Any]:
        if tf.executing_eagerly():
            return [tf.convert_to_tensor(x) for x in function(*map(np.asarray, inputs))]
        # Without state: what nobody asks for is not computed.
        results: list[Any] = tf.numpy_function(function, inputs, dtypes, stateful=False)
        return results

    def gradients(
        operation: Operation,
        group: tuple[int, ...],
        grad: Any,
        shapes: Any,
        inputs: Any,
        kept: Any,
    ) -> Any:
        count = len(inputs)

        def on_arrays(grad: Any, *arrays: Any) -> Any:
            if operation.keeps_inputs:
                given: tuple[Any, ...] = arrays[:count]
            else:
                given = tuple(tuple(shape.tolist()) for shape in arrays[:count])
            needed = tuple(i in group for i in range(count))
            grads = operation.grads(needed, grad, given, arrays[count:])
            return [grads[i] for i in group]

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def once(grad: Any, *first: Any) -> Any:
            results = on_host(on_arrays, [grad, *first, *kept], [inputs[i].dtype for i in group])
            shaped = [
                tf.ensure_shape(result, inputs[i].shape)
                for i, result in zip(group, results, strict=True)
            ]

            def again(*grads: Any) -> Any:
                raise ArgumentError(NO_SECOND_DERIVATIVE)

            return shaped, again

        return once(grad, *(inputs if operation.keeps_inputs else shapes))

    def apply(operation: Operation, inputs: tuple[Any, ...], shape: Any) -> Any:
        static = shape()
        if not tf.executing_eagerly() and all(x.shape[1:].is_fully_defined() for x in inputs):
            operation.check(*((tuple(x.shape), x.dtype.as_numpy_dtype) for x in inputs))
        kinds = [tf.as_dtype(dtype) for _, dtype in operation.kept(static)]

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def compute(*inputs: Any) -> Any:
            def on_arrays(*arrays: Any) -> Any:
                return list(operation.record(*arrays))

            answer, *kept = on_host(on_arrays, list(inputs), [inputs[0].dtype, *kinds])
            shapes = [tf.shape(x, out_type=tf.int64) for x in inputs]

            def backward(grad: Any) -> Any:
                # Several functions, so that gradients that nobody asks for are not computed.
                grads: list[Any] = [None] * len(inputs)
                if answer.dtype.is_floating:
                    for group in operation.together:
                        found = gradients(operation, group, grad, shapes, inputs, kept)
                        for i, each in zip(group, found, strict=True):
                            grads[i] = each
                return grads

            return tf.ensure_shape(answer, static), backward

        return compute(*inputs)

    def obstacle(tensor: Any) -> str | None:
        name = getattr(tensor, "device", "")
        kind = tf.DeviceSpec.from_string(name).device_type if name else None
        if kind is None:  # in a graph: TensorFlow decides, later
            others = (each.device_type for each in tf.config.list_logical_devices())
            kind = next((each for each in others if each != "CPU"), "CPU")
        return None if kind == "CPU" else f"a tensor on {kind}"

    return Backend(obstacle, apply)
