"""PyTorch: tensors share their memory with arrays; gradients by an `autograd.Function`."""

from __future__ import annotations

from typing import Any

import numpy as np

from attar.arrays import Array
from attar.errors import ArgumentError, DTypeError
from attar.keras.backends import NO_SECOND_DERIVATIVE, Backend
from attar.keras.operations import Operation

__all__ = ["connect"]


def connect() -> Backend:
    """Import PyTorch and hook the operations into its autograd."""
    import torch

    def array_of(tensor: Any) -> Array:
        if tensor.dtype != torch.bfloat16:
            array: Array = tensor.numpy(force=True)
            return array
        try:
            from ml_dtypes import bfloat16
        except ImportError as error:
            raise DTypeError(
                "attar.keras: bfloat16 is known to NumPy from ml_dtypes only; install it "
                "(pip install ml_dtypes)"
            ) from error
        array = tensor.detach().view(torch.int16).numpy().view(bfloat16)
        return array

    def tensor_of(array: Array) -> Any:
        if array.dtype.name == "bfloat16":
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    class Recorded(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, operation: Operation, *inputs: Any) -> Any:
            answer, *ctx.kept = operation.record(*map(array_of, inputs))
            ctx.operation, ctx.shapes = operation, tuple(tuple(x.shape) for x in inputs)
            if operation.keeps_inputs:
                ctx.save_for_backward(*inputs)
            return tensor_of(answer)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return None, *Gradient.apply(ctx, grad, *ctx.saved_tensors)

    class Gradient(torch.autograd.Function):
        # Of its own, so that whoever derives it once more is told. Inputs that are not looked at
        # a second time are not among its arguments.
        @staticmethod
        def forward(ctx: Any, first: Any, grad: Any, *inputs: Any) -> Any:
            given = tuple(map(array_of, inputs)) or first.shapes
            needed = first.needs_input_grad[1:]
            grads = first.operation.grads(needed, array_of(grad), given, first.kept)
            return tuple(None if each is None else tensor_of(each) for each in grads)

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            raise ArgumentError(NO_SECOND_DERIVATIVE)

    def run(operation: Operation, inputs: tuple[Any, ...]) -> Any:
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            return Recorded.apply(operation, *inputs)
        return tensor_of(operation.run(*map(array_of, inputs)))

    # Dynamo would trace NumPy as if it were PyTorch. It leaves this call alone instead.
    run_between_graphs = torch.compiler.disable(run)

    def apply(operation: Operation, inputs: tuple[Any, ...], shape: Any) -> Any:
        if inputs[0].device.type == "meta":  # Keras asks for shapes and dtypes
            return torch.empty(shape(), dtype=inputs[0].dtype, device="meta")
        if torch.compiler.is_compiling():
            return run_between_graphs(operation, inputs)
        return run(operation, inputs)

    def obstacle(tensor: Any) -> str | None:
        if torch.compiler.is_exporting():
            return "a tensor that is being exported"
        place = tensor.device
        return None if place.type in ("cpu", "meta") else f"a tensor on {place}"

    return Backend(obstacle, apply)
