"""Steps of training with modules of PyTorch: PyTorch's own, or attar's in their places."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import Way
from benchmarks.rows import PoolingStep, TrainingStep

Change = Callable[[Any], Any]
"""What is done to a model before it is trained."""


def step(
    workload: TrainingStep, arrays: tuple[NDArray[np.float32], ...], layout: Any, change: Change
) -> Way:
    """Return a step: forwards, backwards, stochastic gradient descent with a rate of 0."""
    import torch
    from torch import nn

    image, *weights, gradient = arrays
    modules: list[Any] = []
    for stage, kernel, bias in zip(workload.stages, weights[::2], weights[1::2], strict=True):
        conv = nn.Conv2d(kernel.shape[2], stage.filters, stage.size, stage.stride, stage.pad)
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(kernel).permute(3, 2, 0, 1))
            conv.bias.copy_(torch.from_numpy(bias))
        modules += [conv, nn.ReLU(inplace=True)]
        if stage.pool:
            modules.append(nn.MaxPool2d(stage.pool, 2, stage.pool_pad))
    model = nn.Sequential(*modules).to(memory_format=layout)
    change(model)
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0)
    x, flow = (
        torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        for array in (image, gradient)
    )

    def call() -> Any:
        optimizer.zero_grad()
        model(x).backward(flow)
        optimizer.step()
        return [parameter.grad for parameter in parameters]

    def read(grads: list[Any]) -> NDArray[Any]:
        flat = [
            (grad.permute(2, 3, 1, 0) if grad.ndim == 4 else grad).reshape(-1) for grad in grads
        ]
        return torch.cat(flat).numpy()

    return Way(call, read)


def pool_step(
    workload: PoolingStep, x: NDArray[Any], gradient: NDArray[Any], own: bool, change: Change
) -> Way:
    """Return a layer's way there and back; `own`: tensors lie in memory as the row says."""
    import torch
    from torch import nn

    if not own or workload.dims != 2 or not workload.symmetric:
        raise NotImplementedError("written for the layout of the row, in two dimensions")
    pads = tuple(before for before, _ in workload.pads)
    if workload.kind == "MAX":
        layer: Any = nn.MaxPool2d(workload.window, workload.strides, pads)
    else:
        layer = nn.AvgPool2d(workload.window, workload.strides, pads, count_include_pad=False)
    change(layer)
    order = (0, 1, 2, 3) if workload.channels_first else (0, 3, 1, 2)
    image, flow = (torch.from_numpy(array).permute(order) for array in (x, gradient))
    image.requires_grad_()
    back = (0, 1, 2, 3) if workload.channels_first else (0, 2, 3, 1)

    def call() -> Any:
        image.grad = None
        layer(image).backward(flow)
        return image.grad

    return Way(call, lambda grad: grad.permute(back).numpy())
