"""The frameworks side by side: one module each, imported only when its peer is asked for.

A peer is a `Peer` with `name`, `load(threads)` and one method per operation that it can do
(`extract`), which prepares the data in the layout the peer likes best and returns its `Way`s.
To add a peer, write its module and name it in `PEERS`.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


def _as_array(answer: Any) -> NDArray[Any]:
    return np.asarray(answer)


@dataclass(frozen=True)
class Way:
    """One way to do the work. `call` is timed; `read` turns its answer into (N, H', W', K)."""

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
}
"""Key (in results and on the command line) → where its class is. attar's own come first."""

OWN = ("attar", "attar_out")
"""The library under test; every other key is a peer."""


def find(key: str) -> Peer:
    """Return the peer of this key, its framework not yet imported."""
    module, _, name = PEERS[key].partition(":")
    peer: Peer = getattr(importlib.import_module(module), name)()
    return peer
