"""ONNX models that may be run: checked before onnxruntime sees them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from attar.errors import ModelError
from attar.interchange.limits import LAYERS, Budget, check_protobuf, file_of, shown, shown_path
from attar.interchange.onnx_reader import opset_of
from attar.interchange.tensors import Tensors
from attar.models.protocol import OPERATION, missing

if TYPE_CHECKING:
    import onnx

__all__ = ["check", "read", "read_bytes"]

_LOOPS = ("Loop", "Scan", "SequenceMap")
_DEPTH = 4  # of graphs within nodes: branches and loops
_WEIGHTS_BYTES = (2 << 30) - (32 << 20)  # protobuf writes no larger message


def read(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read a file that onnxruntime may be given; weights beside it are taken in.

    Raises
    ------
    ModelError (a ValueError)
        The file is damaged, lies about sizes, names files outside of its folder, or has operators
        that are not ONNX's own.
    ModelNotFoundError (a FileNotFoundError)
    """
    file = file_of(OPERATION, path)
    return _parse(file.read_bytes(), shown_path(file), file.parent)


def read_bytes(data: bytes) -> onnx.ModelProto:
    """Read the bytes of a file that holds all of its weights.

    Examples
    --------
    >>> read_bytes(b"no model")
    Traceback (most recent call last):
    attar.errors.ModelError: open_model: the file is not an ONNX model, or it is cut off
    """
    return _parse(data, "the file", None)


def _parse(data: bytes, called: str, folder: Path | None) -> onnx.ModelProto:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise missing("onnx", "models", error) from error
    check_protobuf(OPERATION, data)
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ModelError(f"{OPERATION}: {called} is not an ONNX model, or it is cut off") from error
    check(model, folder, len(data))
    return model


def check(model: onnx.ModelProto, folder: Path | None, file_bytes: int) -> None:
    """Refuse a model that says what is not so; take in the weights that lie beside it.

    Parameters
    ----------
    model : onnx.ModelProto
        Tensors whose numbers lie in other files get them.
    folder : Path or None
        Where other files may be; None where there may be none.
    file_bytes : int
    """
    opset_of(OPERATION, model)
    if model.functions:
        raise ModelError(
            f"{OPERATION}: the model has {len(model.functions)} functions of its own; inline them "
            "with onnx.inliner.inline_local_functions"
        )
    _Check(Tensors(OPERATION, folder, Budget(OPERATION, file_bytes))).graph(model.graph, 0)


class _Check:
    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._nodes = self._bytes = 0

    def graph(self, graph: onnx.GraphProto, depth: int) -> None:
        """Check the nodes and the tensors of a graph, and of the graphs in its nodes."""
        self._nodes += len(graph.node)
        if self._nodes > LAYERS or depth > _DEPTH:
            raise ModelError(
                f"{OPERATION}: the model has more than {LAYERS} nodes, or graphs more than "
                f"{_DEPTH} deep"
            )
        if graph.sparse_initializer:
            raise ModelError(f"{OPERATION}: sparse weights are not read; store them densely")
        values = (*graph.input, *graph.output, *graph.initializer)
        _check_text(each.name for each in values)
        self._take(graph.initializer)
        for node in graph.node:
            _check_text((node.name, node.op_type, node.domain, *node.input, *node.output))
            _check_text(attribute.name for attribute in node.attribute)
            where = f"the node {shown(node.name or next(iter(node.output), ''))}"
            if node.domain not in ("", "ai.onnx"):
                raise ModelError(
                    f"{OPERATION}: {where} is {shown(node.op_type)} of the domain "
                    f"{shown(node.domain)}; operators of ONNX itself are run, no custom ones"
                )
            if node.op_type in _LOOPS:
                raise ModelError(
                    f"{OPERATION}: {where} is {shown(node.op_type)}: loops, whose end the file "
                    "decides, are not run. Unroll it, or cut the model before it "
                    "(onnx.utils.extract_model)"
                )
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    self.graph(attribute.g, depth + 1)
                if attribute.HasField("t"):
                    self._take([attribute.t])
                if (
                    attribute.graphs
                    or attribute.tensors
                    or attribute.sparse_tensors
                    or attribute.HasField("sparse_tensor")
                ):
                    raise ModelError(
                        f"{OPERATION}: {where} has lists of tensors or graphs, or sparse tensors, "
                        f"as {shown(attribute.name)}, which are not read"
                    )

    def _take(self, tensors: Iterable[onnx.TensorProto]) -> None:
        for tensor in tensors:
            array = self._tensors.array(tensor)
            self._bytes += array.nbytes
            if self._bytes > _WEIGHTS_BYTES:
                raise ModelError(
                    f"{OPERATION}: the model has more than {_WEIGHTS_BYTES} bytes of weights"
                )
            if tensor.external_data:
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")
                tensor.raw_data = array.tobytes()


def _check_text(names: Iterable[str]) -> None:
    """Refuse names that are no text: protobuf gives their bytes instead."""
    for name in names:
        if not isinstance(name, str):
            raise ModelError(f"{OPERATION}: the name {shown(name)} is no text")
