"""The frameworks side by side: one module each, imported only when its peer is asked for.

A peer is a `Peer` with `name`, `load(threads)` and one method per operation that it can do
(`extract`, `base`, `pool`, `pool_grad`), which prepares the data and returns its `Way`s. To add a
peer, write its module and name it in `PEERS`.

Layouts: `extract` and `base` hand each peer the layout that it likes best. A row of `pool` and
`pool_grad` says how its arrays lie in memory, and there they lie: a peer that wants them otherwise
converts them, and back, inside `Way.call`.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Pooling


def _as_array(answer: Any) -> NDArray[Any]:
    return np.asarray(answer)


@dataclass(frozen=True)
class Way:
    """One way to do the work. `call` is timed; `read` turns its answer into the row's array.

    That is (N, H', W', K) for `extract` and `base`, and of the row's layout and dtype otherwise.
    """

    call: Callable[[], Any]
    read: Callable[[Any], NDArray[Any]] = _as_array


class Peer(Protocol):
    """A framework, ready to be measured. An operation that it lacks is not an attribute."""

    name: str
    """How tables call it."""

    hand_built: bool = False
    """True for code built by hand on top of a library, which no user of it writes.

    It is a peer like every other, and left out only of "fastest library call ÷ attar".
    """

    def load(self, threads: int) -> Mapping[str, str]:
        """Import the framework, set its threads and return the versions of what was imported."""
        ...


def nchw_to_nhwc(answer: NDArray[Any]) -> NDArray[Any]:
    """Turn (N, K, H, W) into (N, H, W, K), as a view."""
    return answer.transpose(0, 2, 3, 1)


def to_channels_first(dims: int) -> tuple[int, ...]:
    """Return the order of axes that makes channels first of channels last."""
    return 0, dims + 1, *range(1, dims + 1)


def to_channels_last(dims: int) -> tuple[int, ...]:
    """Return the order of axes that makes channels last of channels first."""
    return 0, *range(2, dims + 2), 1


def in_blocks(workload: Pooling) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape that gives each window axes of its own, and which axes they are.

    For windows that lie side by side.
    """
    shape: list[int] = []
    axes: list[int] = []
    for axis, size in enumerate(workload.shape):
        if axis in workload.spatial_axes:
            window = workload.window[axis - workload.spatial_axes[0]]
            shape += [size // window, window]
            axes.append(len(shape) - 1)
        else:
            shape.append(size)
    return tuple(shape), tuple(axes)


PEERS = {
    "attar": "benchmarks.peers.attar:Attar",
    "attar_out": "benchmarks.peers.attar:AttarOut",
    "torch": "benchmarks.peers.torch:Torch",
    "torch_channels_last": "benchmarks.peers.torch:TorchChannelsLast",
    "onnxruntime": "benchmarks.peers.onnxruntime:OnnxRuntime",
    "openvino": "benchmarks.peers.openvino:OpenVino",
    "opencv": "benchmarks.peers.opencv:OpenCV",
    "opencv_strips": "benchmarks.peers.opencv:OpenCVStrips",
    "tensorflow": "benchmarks.peers.tensorflow:TensorFlow",
    "scipy": "benchmarks.peers.scipy:SciPy",
    "skimage": "benchmarks.peers.skimage:ScikitImage",
}
"""Key (in results and on the command line) → where its class is. attar's own come first."""

OWN = ("attar", "attar_out")
"""The library under test; every other key is a peer."""


def find(key: str) -> Peer:
    """Return the peer of this key, its framework not yet imported."""
    module, _, name = PEERS[key].partition(":")
    peer: Peer = getattr(importlib.import_module(module), name)()
    return peer
