"""Small networks that differ in how they condense, and their training. Needs PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["NETWORKS", "one_thread", "parameters", "train"]

Array = NDArray[Any]

NETWORKS = {
    "dense": "dense only",
    "conv": "conv",
    "conv_stride": "conv, stride 2",
    "conv_max": "conv + max pool",
    "conv_average": "conv + average pool",
}
"""The networks by what they condense with, and how tables and figures call them."""

_FILTERS = (8, 16)
_HIDDEN = 64  # of the network without convolutions
_CLASSES = 10


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ModelError(
            "experiments.less_data: networks are trained with PyTorch, which is not installed; "
            "pip install 'attar[experiments]'"
        ) from error
    return torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: networks as small as these wait for a second one for nothing.

    On two cores a step took 27 ms with two threads and 9 ms with one, where the cores had other
    work as well. It also makes the sums, and so the answers, the same on every machine.
    """
    torch = _torch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def network(kind: str, size: int) -> torch.nn.Sequential:
    """Return an untrained network of this kind for gray images of `size` × `size`.

    Two convolutions of 3 × 3 with ReLU, each followed by what halves the map, then one dense
    layer. ``"conv"`` halves nothing; ``"conv_stride"`` lets the convolutions step by 2.
    """
    nn = _torch().nn
    if kind == "dense":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(size * size, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _CLASSES)
        )
    layers, channels, side = [], 1, size
    for filters in _FILTERS:
        stride = 2 if kind == "conv_stride" else 1
        layers += [nn.Conv2d(channels, filters, 3, stride=stride, padding=1), nn.ReLU()]
        if kind in ("conv_max", "conv_average"):
            layers.append((nn.MaxPool2d if kind == "conv_max" else nn.AvgPool2d)(2, ceil_mode=True))
        channels, side = filters, side if kind == "conv" else math.ceil(side / 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, _CLASSES))


def parameters(kind: str, size: int) -> int:
    """Return how many numbers training sets in a network of this kind."""
    with _torch().random.fork_rng(devices=[]):
        return sum(weights.numel() for weights in network(kind, size).parameters())


def train(
    kind: str,
    batches: Iterator[tuple[Array, Array]],
    *,
    steps: int,
    learning_rate: float,
    test: tuple[Array, Array],
    seed: int,
) -> float:
    """Train a network on `steps` batches and return its accuracy on `test`.

    Adam, with a learning rate that falls to 0 along a cosine.

    Parameters
    ----------
    kind : str
        One of `NETWORKS`.
    batches : iterator of (images, labels)
        Images are float32 (N, S, S), labels int64 (N,).
    seed : int
        Of the weights that the network begins with.
    """
    torch = _torch()

    def tensor(images: Array) -> Any:
        given = torch.from_numpy(np.ascontiguousarray(images[:, None]))
        return given.to(memory_format=torch.channels_last)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(kind, test[0].shape[1]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _, (images, labels) in zip(range(steps), batches, strict=False):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(tensor(images)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        answers = model(tensor(test[0])).argmax(1).numpy()
    return float(np.mean(answers == test[1]))
