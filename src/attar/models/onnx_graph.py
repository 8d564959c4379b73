"""The graph of an ONNX model: what depends on the image, in which shape and which layout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.errors import ModelError
from attar.interchange.limits import DIMENSION, FILE_BYTES, shown
from attar.interchange.onnx_reader import NAME_LENGTH, told_layout
from attar.models.calls import Call
from attar.models.onnx_calls import Node, seen_by, task_of, work_of
from attar.models.protocol import OPERATION, Described, Layout

if TYPE_CHECKING:
    import onnx

__all__ = ["Graph", "inputs_of"]

_FLOATS = (1, 10, 11)  # TensorProto.DataType: float32, float16, float64
_UINT8 = 2
_SMALL = 1024  # numbers of a constant that shapes may depend on
# Operators that answer with numbers about tensors; what is computed from them is no map.
_ABOUT = {"Shape", "Size", "ArgMax", "ArgMin", "NonZero"}
# Operators whose weights are counted.
_WEIGHTED = {
    "Add", "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "GroupNormalization",
    "InstanceNormalization", "LayerNormalization", "MatMul", "Mul", "PRelu",
}  # fmt: skip


def inputs_of(node: onnx.NodeProto) -> Iterator[str]:
    """Give the tensors that a node takes, those that graphs within it take from outside as well."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            inner = attribute.g
            own = {each.name for each in (*inner.input, *inner.initializer)}
            own.update(name for each in inner.node for name in each.output)
            for each in inner.node:
                yield from (name for name in inputs_of(each) if name not in own)
            yield from (each.name for each in inner.output if each.name not in own)


class Graph:
    """A checked model.

    Parameters
    ----------
    model : onnx.ModelProto
    layout : {"NCHW", "NHWC"}, optional
        Of the image, where it is not told right.
    """

    def __init__(self, model: onnx.ModelProto, layout: Layout | None) -> None:
        self.model = model
        graph = model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.users: dict[str, onnx.NodeProto] = {}
        for node in reversed(graph.node):
            self.users.update((name, node) for name in inputs_of(node))
        self.image = self._image()
        kind = self.image.type.tensor_type
        self.image_type = int(kind.elem_type)
        if self.image_type not in (*_FLOATS, _UINT8):
            raise ModelError(
                f"{OPERATION}: the input {shown(self.image.name)} has the data type "
                f"{self.image_type}; float32, float16, float64 and uint8 are accepted"
            )
        if len(kind.shape.dim) != 4:
            raise ModelError(
                f"{OPERATION}: the input {shown(self.image.name)} has rank {len(kind.shape.dim)}; "
                "images (rank 4) are accepted"
            )
        self.dims = [self._size(dim) for dim in kind.shape.dim]
        self.layout: Layout = layout or self._layout()
        self.layouts: dict[str, Layout] = {self.image.name: self.layout}
        self.outputs = tuple(output.name for output in graph.output)
        if not self.outputs:
            raise ModelError(f"{OPERATION}: the model has no output")

    def _image(self) -> onnx.ValueInfoProto:
        inputs = [each for each in self.model.graph.input if each.name not in self.initializers]
        if len(inputs) != 1:
            names = ", ".join(shown(each.name) for each in inputs[:8])
            raise ModelError(
                f"{OPERATION}: the model has {len(inputs)} inputs ({names}); one, of images, is "
                "accepted"
            )
        image: onnx.ValueInfoProto = inputs[0]
        return image

    def _size(self, dim: onnx.TensorShapeProto.Dimension) -> int | None:
        if not dim.HasField("dim_value") or dim.dim_value in (0, -1):  # some exporters write -1
            return None
        if not 0 < dim.dim_value <= DIMENSION:
            raise ModelError(
                f"{OPERATION}: the input {shown(self.image.name)} has the size {dim.dim_value}; "
                f"sizes from 1 to {DIMENSION} are accepted"
            )
        return int(dim.dim_value)

    def _layout(self) -> Layout:
        if told_layout(self.image, self.users) == "NHWC":
            return "NHWC"
        first, last = (self.dims[axis] in (1, 3) for axis in (1, 3))
        return "NHWC" if last and not first else "NCHW"

    @property
    def size(self) -> tuple[int | None, int | None, int | None]:
        """Height, width and channels of the image."""
        _, *sizes = self.dims
        if self.layout == "NCHW":
            sizes = [*sizes[1:], sizes[0]]
        return sizes[0], sizes[1], sizes[2] or self._channels()

    def _channels(self) -> int | None:
        node = self.users.get(self.image.name)
        if node is None or node.op_type != "Conv" or len(node.input) < 2:
            return None
        groups = next((int(a.i) for a in node.attribute if a.name == "group"), 1)
        shape, _ = self.constants.get(node.input[1], ((), 0))
        return shape[1] * groups if len(shape) == 4 else None

    # ------------------------------------------------------------------ constants

    @cached_property
    def constants(self) -> dict[str, tuple[tuple[int, ...], int]]:
        """Shape and data type of every tensor that is written in the file."""
        held = {name: self._held(tensor) for name, tensor in self.initializers.items()}
        for node in self.model.graph.node:
            if node.op_type == "Constant" and node.output:
                for attribute in node.attribute:
                    if attribute.HasField("t"):
                        held[node.output[0]] = self._held(attribute.t)
        return held

    @staticmethod
    def _held(tensor: onnx.TensorProto) -> tuple[tuple[int, ...], int]:
        return tuple(int(size) for size in tensor.dims), int(tensor.data_type)

    @cached_property
    def numbers(self) -> dict[str, np.ndarray[Any, Any]]:
        """The numbers of small tensors that are written in the file."""
        from onnx import numpy_helper

        found = [(tensor.name, tensor) for tensor in self.model.graph.initializer]
        found += [
            (node.output[0], attribute.t)
            for node in self.model.graph.node
            if node.op_type == "Constant" and node.output
            for attribute in node.attribute
            if attribute.HasField("t")
        ]
        return {
            name: numpy_helper.to_array(tensor)
            for name, tensor in found
            if math.prod(tensor.dims) <= _SMALL
        }

    # ------------------------------------------------------------------ shapes

    @cached_property
    def _skeleton(self) -> onnx.ModelProto:
        """The model without its weights, for shapes to be told."""
        import onnx
        from onnx import helper

        graph = self.model.graph
        skeleton = onnx.ModelProto(ir_version=8)
        skeleton.opset_import.extend(self.model.opset_import)
        large = {name: held for name, held in self.constants.items() if math.prod(held[0]) > _SMALL}
        bare = skeleton.graph
        bare.input.add().CopyFrom(self.image)
        bare.input.extend(
            helper.make_tensor_value_info(name, data_type, shape)
            for name, (shape, data_type) in large.items()
        )
        bare.initializer.extend(t for t in graph.initializer if t.name not in large)
        bare.node.extend(n for n in graph.node if not (n.output and n.output[0] in large))
        for output in graph.output:
            elem_type = output.type.tensor_type.elem_type
            bare.output.append(helper.make_tensor_value_info(output.name, elem_type, None))
        return skeleton

    def shapes(self, height: int, width: int, channels: int) -> dict[str, tuple[Any, int]]:
        """Return shape and data type of each tensor as far as they follow from the image's size.

        Sizes that do not are None, and a shape of which nothing is known is.

        Raises
        ------
        ModelError (a ValueError)
            Shapes contradict each other, or something would take more than 4 GiB.
        """
        from onnx import shape_inference

        model = self._skeleton
        sizes = (channels, height, width) if self.layout == "NCHW" else (height, width, channels)
        dims = model.graph.input[0].type.tensor_type.shape.dim
        for dim, size in zip(dims, (self.dims[0] or 1, *sizes), strict=True):
            dim.dim_value = size
        try:
            inferred = shape_inference.infer_shapes(model, data_prop=True)
        except Exception as error:  # of several kinds, some of them of C++
            raise ModelError(
                f"{OPERATION}: the shapes of the model do not fit together: "
                f"{shown(str(error), 300)}"
            ) from error
        found: dict[str, tuple[Any, int]] = dict(self.constants)
        graph = inferred.graph
        for value in (*graph.input, *graph.value_info, *graph.output):
            kind = value.type.tensor_type
            shape = None
            if kind.HasField("shape"):
                shape = tuple(
                    int(dim.dim_value) if dim.HasField("dim_value") else None
                    for dim in kind.shape.dim
                )
                if 4 * math.prod(size or 1 for size in shape) > FILE_BYTES:
                    raise ModelError(
                        f"{OPERATION}: {shown(value.name)} would have the shape {shape} for one "
                        f"image, more than {FILE_BYTES} bytes"
                    )
            found[value.name] = (shape, int(kind.elem_type))
        return found

    # ------------------------------------------------------------------ what is computed

    @cached_property
    def watched(self) -> dict[str, str]:
        """The tensors that can be watched, by the names of their layers."""
        names: dict[str, str] = {}
        for node in self._on_the_way:
            first = next(iter(node.output), "")
            base = (node.name or first).lstrip("/")[:NAME_LENGTH] or node.op_type
            for tensor in node.output if node.op_type == "Split" else node.output[:1]:
                if tensor:
                    name, times = base, 1
                    while name in names:
                        times += 1
                        name = f"{base}:{times}"
                    names[name] = tensor
        return names

    @cached_property
    def _on_the_way(self) -> list[onnx.NodeProto]:
        """The nodes whose answers depend on the numbers of the image."""
        dependent, about, nodes = {self.image.name}, set[str](), []
        for node in self.model.graph.node:
            taken = set(inputs_of(node))
            if node.op_type in _ABOUT or not taken & dependent:
                if taken & (dependent | about):
                    about.update(node.output)
                continue
            dependent.update(node.output)
            nodes.append(node)
        return nodes

    def unknown(self, shapes: dict[str, tuple[Any, int]]) -> list[str]:
        """List the tensors that can be watched and whose shapes are not known."""
        return [
            tensor
            for tensor in self.watched.values()
            if not _whole(shapes.get(tensor, (None, 0))[0])
            and shapes.get(tensor, (None, 0))[1] in (0, *_FLOATS)
        ]

    def describe(self, shapes: dict[str, tuple[Any, int]]) -> Described:
        """Tell what is computed for shapes of which all are known; note the layouts of maps."""
        layouts = self.layouts
        places = {self.image.name: -1}
        names = {tensor: name for name, tensor in self.watched.items()}
        counted: set[str] = set()
        batch = self.dims[0] or 1
        calls: list[Call] = []
        for proto in self._on_the_way:
            taken = [name for name in inputs_of(proto) if name in places]
            node = Node(proto, taken, shapes, layouts, self.numbers, self.opset)
            node.set_layouts()
            for tensor in proto.output if proto.op_type == "Split" else proto.output[:1]:
                shape, data_type = shapes.get(tensor, (None, 0))
                if not _whole(shape):
                    shape = None
                watchable = shape is not None and shape[:1] == (batch,) and data_type in _FLOATS
                new = self._weights(proto, shapes) - counted
                counted |= new
                call = Call(
                    names.get(tensor, "") if watchable else "",
                    proto.op_type,
                    task_of(node),
                    tuple(dict.fromkeys(places[name] for name in taken)),
                    node.shape(tensor),
                    seen_by(node) if shape is not None else None,
                    sum(math.prod(shapes[name][0]) for name in new),
                    work_of(node),
                )
                places[tensor] = len(calls)
                calls.append(call)
            for tensor in proto.output:
                places.setdefault(tensor, len(calls) - 1)
        return Described(tuple(calls), tuple(places.get(name, -1) for name in self.outputs))

    @property
    def opset(self) -> int:
        """The version of the operators."""
        return next(
            int(each.version) for each in self.model.opset_import if each.domain in ("", "ai.onnx")
        )

    def _weights(self, node: onnx.NodeProto, shapes: dict[str, tuple[Any, int]]) -> set[str]:
        if node.op_type not in _WEIGHTED:
            return set()
        return {
            name
            for name in node.input
            if name
            and name not in self._computed
            and _whole(shapes.get(name, (None, 0))[0])
            and shapes[name][1] in _FLOATS
            and math.prod(shapes[name][0]) > (1 if node.op_type in ("Add", "Mul") else 0)
        }

    @cached_property
    def _computed(self) -> set[str]:
        """The tensors that depend on the image, and the image."""
        return {self.image.name, *(name for node in self._on_the_way for name in node.output)}

    # ------------------------------------------------------------------ parts

    def part(self, tensors: Iterable[str]) -> onnx.ModelProto:
        """Return a model that computes these tensors and nothing that they do not need."""
        import onnx

        graph, wanted = self.model.graph, list(tensors)
        needed, nodes = set(wanted), []
        for node in reversed(graph.node):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(inputs_of(node))
        part = onnx.ModelProto(ir_version=max(self.model.ir_version, 4))
        part.opset_import.extend(self.model.opset_import)
        part.graph.name = "part"
        part.graph.input.add().CopyFrom(self.image)
        part.graph.node.extend(reversed(nodes))
        part.graph.initializer.extend(
            tensor for name, tensor in self.initializers.items() if name in needed
        )
        declared = {output.name: output for output in graph.output}
        for name in wanted:
            if name in declared:
                part.graph.output.add().CopyFrom(declared[name])
            else:
                part.graph.output.add().name = name  # onnxruntime tells its type
        return part


def _whole(shape: tuple[int | None, ...] | None) -> bool:
    return shape is not None and None not in shape
