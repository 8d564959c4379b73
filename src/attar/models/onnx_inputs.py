"""What the numbers of an ONNX model's input are, as far as the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attar.preparation import Preparation

if TYPE_CHECKING:
    from attar.models.onnx_graph import Graph

__all__ = ["preparation_of"]

_UINT8 = 2  # TensorProto.DataType
_LARGE = 8.0  # a mean or a deviation above it is of bytes

# https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md
_RANGES = {
    "NominalRange_0_255": (255.0, 0.0),
    "Normalized_0_1": (1.0, 0.0),
    "Normalized_1_1": (2.0, 1.0),
}


def preparation_of(graph: Graph) -> tuple[Preparation | None, str]:
    """Return what a model's input must be by its metadata, its type, or what it does first."""
    told = {entry.key: entry.value for entry in graph.model.metadata_props[:100]}
    bgr = told.get("Image.BitmapPixelFormat") in ("Bgr8", "Bgra8")
    if told.get("Image.NominalPixelRange") in _RANGES:
        scale, mean = _RANGES[told["Image.NominalPixelRange"]]
        return Preparation(scale, (mean,), bgr=bgr), "the model's metadata"
    if graph.image_type == _UINT8:
        return Preparation(scale=255.0, bgr=bgr), "its input is of bytes"
    if (node := _first_large(graph)) is not None:
        return Preparation(scale=255.0, bgr=bgr), f"its first {node} takes 0 to 255"
    return (Preparation(bgr=True), "the model's metadata") if bgr else (None, "")


def _first_large(graph: Graph) -> str | None:
    """Return the operator at the beginning that makes bytes small, if there is one."""
    name = graph.image.name
    for _ in range(8):
        node = graph.users.get(name)
        if node is None or not node.output:
            return None
        constants = [graph.numbers[each] for each in node.input if each in graph.numbers]
        largest = max((float(np.abs(c).max(initial=0)) for c in constants), default=0.0)
        if node.op_type in ("Sub", "Add", "Div") and largest > _LARGE:
            return str(node.op_type)
        if node.op_type == "Mul" and 0 < largest < 1 / _LARGE:
            return "Mul"
        if node.op_type == "BatchNormalization":
            return "BatchNormalization" if largest > _LARGE else None
        if node.op_type not in ("Add", "Cast", "Div", "Identity", "Mul", "Sub", "Transpose"):
            return None
        name = node.output[0]
    return None
