"""What tells a model from every other: a hash of its structure and its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from attar.models import Model

__all__ = ["identity_of_model"]


def identity_of_model(model: Model) -> dict[str, str]:
    """Return what tells a model from others, and how it is asked.

    Returns
    -------
    dict of str to str
        "model" is a SHA-256 of its structure and its weights.
    """
    whole = hashlib.sha256()
    for layer in model.layers:
        whole.update(repr(layer).encode())
    for weights in _WEIGHTS[model.framework](model.wrapped):
        whole.update(weights)
    return {
        "model": whole.hexdigest(),
        "input": " ".join(str(model.input).split()),
        "output": f"{model.output}, {model.output_kind}",
    }


def _of_arrays(arrays: Any) -> Iterator[bytes]:
    for array in arrays:
        values = np.asarray(array)
        yield f"{values.dtype} {values.shape}".encode()
        yield np.ascontiguousarray(values).tobytes()


def _of_onnx(wrapped: Any) -> Iterator[bytes]:
    yield wrapped.SerializeToString(deterministic=True)


def _of_torch(wrapped: Any) -> Iterator[bytes]:
    import torch

    for name, values in wrapped.state_dict().items():
        yield name.encode()
        if isinstance(values, torch.Tensor):
            # Views as bytes: NumPy has no bfloat16.
            plain = values.detach().cpu().contiguous().reshape(-1)
            yield plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b""


def _of_keras(wrapped: Any) -> Iterator[bytes]:
    return _of_arrays(wrapped.get_weights())


def _of_sequential(wrapped: Any) -> Iterator[bytes]:
    for node in wrapped.graph.nodes:
        yield from _of_arrays(node.layer.get_weights())


_WEIGHTS = {"onnx": _of_onnx, "torch": _of_torch, "keras": _of_keras, "attar": _of_sequential}
