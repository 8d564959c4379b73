"""The operators of the namespace ``attar``: how one is made known to PyTorch.

An operator has a kernel for the CPU, a fake that says what shape and layout the answer has (for
`torch.compile` and `torch.export`), a derivative that is made of operators again, and a rule for
`torch.func.vmap`. Images are batches, (N, C, *spatial).

PyTorch's dispatcher takes 15 to 40 µs to find a kernel that is written in Python. Where nobody
looks on (no compiler, no transform, no mode, no profiler) the kernel is called at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attar.torch.tensors import empty_like

__all__ = ["Operator", "alone", "define", "define_by_definition", "differentiates", "frozen"]

_LIBRARY = torch.library.Library("attar", "FRAGMENT")
# The layout of an answer follows from the strides of its input, so these must stay what they were.
_TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)

_TENSORS = frozenset({Tensor, torch.nn.Parameter})


def alone(*arguments: Any) -> bool:
    """Whether tensors are just numbers: nothing that the dispatcher calls would look on."""
    return (
        not torch.compiler.is_compiling()
        and all(type(each) in _TENSORS for each in arguments if isinstance(each, Tensor))
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
        and not _transforming()
        and not torch.autograd._profiler_enabled()
        and not torch.jit.is_tracing()
    )


def _transforming() -> bool:
    return torch._C._functorch.peek_interpreter_stack() is not None


def differentiates(*arguments: Any) -> bool:
    """Whether a derivative will be asked for."""
    return torch.is_grad_enabled() and any(
        isinstance(argument, Tensor) and argument.requires_grad for argument in arguments
    )


def frozen(options: Sequence[Any]) -> Iterator[Any]:
    """Turn the lists among an operator's options into tuples: what a cache of plans needs."""
    return (tuple(option) if isinstance(option, list) else option for option in options)


class Operator(NamedTuple):
    """An operator: called, it takes the shortest way.

    Attributes
    ----------
    kernel : callable
        What computes tensors on the CPU.
    recorded : callable
        The same, leaving behind what the derivative needs.
    transformed : callable
        The same, for the transforms of `torch.func`, which do not see the derivative of an
        overload.
    overload : torch._ops.OpOverload
        The same as PyTorch knows it.
    """

    kernel: Callable[..., Any]
    recorded: Callable[..., Any]
    transformed: Callable[..., Any]
    overload: Any

    def __call__(self, first: Tensor, *others: Any) -> Any:
        """Compute."""
        if not alone(first, *others):
            if not torch.compiler.is_compiling() and _transforming():
                return self.transformed(first, *others)
            return self.overload(first, *others)
        if differentiates(first, *others):
            return self.recorded(first, *others)
        return self.kernel(first, *others)


def define(
    schema: str,
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
    *,
    setup: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
    sizes_argument: int | None = None,
    maps_images: bool = True,
) -> Operator:
    """Register an operator and return it.

    Parameters
    ----------
    schema : str
        In PyTorch's language, without the namespace.
    kernel, fake : callable
        What computes tensors on the CPU, and tensors without numbers.
    setup, backward : callable, optional
        As `torch.library.register_autograd` takes them.
    sizes_argument : int, optional
        Which argument is the shape of a batch of images.
    maps_images : bool
        Whether each image of the batch is computed by itself and every tensor has the axis of the
        images first, so that a batch of batches is a larger batch. Else `vmap` is a loop.
    """
    name = schema.partition("(")[0]
    _LIBRARY.define(schema, tags=_TAGS)
    _LIBRARY.impl(name, kernel, "CPU")
    qualified = f"attar::{name}"
    torch.library.register_fake(qualified, fake, lib=_LIBRARY)
    if backward is not None:
        torch.library.register_autograd(qualified, backward, setup_context=setup, lib=_LIBRARY)
    overload = getattr(torch.ops.attar, name).default
    rule = _batches_of_batches(overload, sizes_argument) if maps_images else _in_turn(overload)
    torch.library.register_vmap(qualified, rule, lib=_LIBRARY)
    if setup is None or backward is None:
        return Operator(kernel, overload, overload, overload)

    def recorded(ctx: Any, *arguments: Any) -> Any:
        output = kernel(*arguments)
        setup(ctx, arguments, output)
        return output

    def transformed(first: Tensor, *others: Any) -> Any:
        return (kernel if alone(first, *others) else overload)(first, *others)

    return Operator(
        kernel,
        _function(name, forward=recorded, backward=backward),
        _function(name, forward=transformed, setup_context=setup, backward=backward),
        overload,
    )


def _function(name: str, **parts: Callable[..., Any]) -> Callable[..., Any]:
    members: dict[str, Any] = {part: staticmethod(each) for part, each in parts.items()}
    members["generate_vmap_rule"] = "setup_context" in parts
    function: Any = type(name, (torch.autograd.Function,), members)
    apply: Callable[..., Any] = function.apply
    return apply


def _batches_of_batches(operator: Any, sizes_argument: int | None) -> Callable[..., Any]:
    def rule(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> Any:
        count = info.batch_size
        flat: list[Any] = []
        for i, (argument, dim) in enumerate(zip(arguments, in_dims, strict=True)):
            if isinstance(argument, Tensor):
                if dim is None:
                    argument = argument.expand(count, *argument.shape)
                else:
                    argument = argument.movedim(dim, 0)
                flat.append(argument.flatten(0, 1))
            elif i == sizes_argument:
                flat.append([count * argument[0], *argument[1:]])
            else:
                flat.append(argument)
        answer = operator(*flat)
        if isinstance(answer, Tensor):
            return answer.unflatten(0, (count, -1)), 0
        return tuple(each.unflatten(0, (count, -1)) for each in answer), (0,) * len(answer)

    return rule


def _in_turn(operator: Any) -> Callable[..., Any]:
    def rule(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> Any:
        answers = [
            operator(
                *(
                    argument.select(dim, i)
                    if isinstance(argument, Tensor) and dim is not None
                    else argument
                    for argument, dim in zip(arguments, in_dims, strict=True)
                )
            )
            for i in range(info.batch_size)
        ]
        if isinstance(answers[0], Tensor):
            return torch.stack(answers), 0
        return tuple(map(torch.stack, zip(*answers, strict=True))), (0,) * len(answers[0])

    return rule


def define_by_definition(
    name: str,
    options: str,
    kernel: Callable[..., Any],
    grad_kernel: Callable[..., Any],
    definition: Callable[..., Any],
) -> Operator:
    """Register ``name(x, options)`` and ``name_grad(grad, x, options)``; return the first.

    Both are native. Derivatives of the second are those of `definition`, which computes the same
    in operations of PyTorch.
    """

    def fake(x: Tensor, *options: Any) -> Tensor:
        return empty_like(x, definition(x, *options).shape)

    def grad_fake(grad: Tensor, x: Tensor, *options: Any) -> Tensor:
        return empty_like(x, x.shape)

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, *ctx.options = inputs
        ctx.save_for_backward(x)

    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        return grad_operator(grad, x, *ctx.options), *(None for _ in ctx.options)

    def grad_setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        grad, x, *ctx.options = inputs
        ctx.save_for_backward(grad, x)

    def grad_backward(ctx: Any, second: Tensor) -> tuple[Any, ...]:
        higher = torch.is_grad_enabled()
        with torch.enable_grad():
            grad, x = map(_differentiable, ctx.saved_tensors)
            answer = definition(x, *ctx.options)
            (first,) = torch.autograd.grad(answer, x, grad, create_graph=True)
            both = torch.autograd.grad(
                first, (grad, x), second, create_graph=higher, materialize_grads=True
            )
        return *both, *(None for _ in ctx.options)

    operator = define(
        f"{name}(Tensor x, {options}) -> Tensor", kernel, fake, setup=setup, backward=backward
    )
    grad_operator = define(
        f"{name}_grad(Tensor grad, Tensor x, {options}) -> Tensor", grad_kernel, grad_fake,
        setup=grad_setup, backward=grad_backward,
    )  # fmt: skip
    return operator


def _differentiable(tensor: Tensor) -> Tensor:
    return tensor if tensor.requires_grad else tensor.detach().requires_grad_()
