"""ONNX graphs, read: where their strides are, and what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attar.models.onnx_graph import inputs_of
from attar.repairing.kinds import Kind, behind
from attar.repairing.plan import IMAGE, Role, Step
from attar.repairing.wording import window_text

if TYPE_CHECKING:
    import onnx

__all__ = ["Graph", "is_mean_of_windows"]

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("BatchNormalization", "Identity", "Dropout"), "normalize"),
    **dict.fromkeys(
        ("Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu",
         "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu"),
        "detect",
    ),
    **dict.fromkeys(
        ("ConvTranspose", "DepthToSpace", "If", "Loop", "MaxUnpool", "Reshape", "Resize", "Scan",
         "SpaceToDepth", "Tile", "Upsample"),
        "regrid",
    ),
    **dict.fromkeys(
        ("ArgMax", "ArgMin", "Flatten", "Gemm", "GlobalAveragePool", "GlobalLpPool",
         "GlobalMaxPool", "MatMul", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "Shape",
         "Size"),
        "vector",
    ),
}  # fmt: skip
_POOLS = ("AveragePool", "MaxPool")
_FLOATS = (1, 10, 11, 16)  # TensorProto.DataType
_STRIDED = {"Conv", "ConvInteger", "LpPool", "QLinearConv", *_POOLS}


def is_mean_of_windows(node: onnx.NodeProto, kind: Kind) -> bool:
    """Whether a pool becomes the mean of its windows, with its stride."""
    return kind.name == "average" and node.op_type in _POOLS


class Graph:
    """What is known of a model: attributes, shapes, and what depends on the image."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        self.proto = model.graph
        self.opset = next(
            int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx")
        )
        self.weights = {tensor.name: tensor for tensor in self.proto.initializer}
        for node in self.proto.node:
            if node.op_type == "Constant" and (held := self.attribute(node, "value")) is not None:
                self.weights[node.output[0]] = held
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        except (onnx.shape_inference.InferenceError, ValueError):
            inferred = model.graph  # what cannot be told is not known
        self._types = {
            value.name: value.type.tensor_type
            for value in (*inferred.input, *inferred.value_info, *inferred.output)
        }
        self.outputs = {value.name for value in self.proto.output}

    def shape(self, tensor: str) -> list[int | None]:
        """Return the sizes of a tensor as far as they are known."""
        kind = self._types.get(tensor)
        if kind is None or not kind.HasField("shape"):
            return []
        return [
            int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None
            for dim in kind.shape.dim
        ]

    def data_type(self, tensor: str) -> int:
        """Return the number of a tensor's data type, 0 where it is not known."""
        kind = self._types.get(tensor)
        return 0 if kind is None else int(kind.elem_type)

    def attribute(self, node: onnx.NodeProto, name: str, default: Any = None) -> Any:
        """Return an attribute's value."""
        from onnx import helper

        found = next((each for each in node.attribute if each.name == name), None)
        if found is None:
            return default
        value = helper.get_attribute_value(found)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def text(self, node: onnx.NodeProto) -> str:
        """Name a node with its window and stride."""
        is_slice = node.op_type == "Slice"
        strides = self._steps_of_slice(node) if is_slice else self.strides(node)
        return window_text(node.op_type, self.window(node), strides)

    def dense_text(self, node: onnx.NodeProto, kind: Kind) -> str:
        """Name a node without its stride; empty where nothing of it is left."""
        if is_mean_of_windows(node, kind) or self.is_nothing(node):
            return ""
        return window_text(node.op_type, self.window(node), [1, 1])

    def window(self, node: onnx.NodeProto) -> list[int]:
        """Return the window of a pool or a convolution."""
        window = self.attribute(node, "kernel_shape")
        if window is None and node.op_type == "Conv":
            held = self.weights.get(node.input[1])
            window = list(held.dims)[2:] if held is not None else self.shape(node.input[1])[2:]
        return [int(size or 0) for size in window or ()]

    def strides(self, node: onnx.NodeProto) -> list[int]:
        """Return the strides of a pool or a convolution."""
        window = self.window(node)
        return [int(step) for step in self.attribute(node, "strides", [1] * len(window))]

    # ------------------------------------------------------------------ steps

    def steps(self, kind: Kind) -> tuple[list[Step], list[onnx.NodeProto]]:
        """Write the nodes down that depend on the image."""
        places: dict[str, int] = {
            value.name: IMAGE for value in self.proto.input if value.name not in self.weights
        }
        steps: list[Step] = []
        nodes: list[onnx.NodeProto] = []
        for node in self.proto.node:
            taken = tuple(dict.fromkeys(places[name] for name in inputs_of(node) if name in places))
            if not taken:
                continue
            places.update((name, len(steps)) for name in node.output if name)
            steps.append(self._step(node, taken, kind))
            nodes.append(node)
        return steps, nodes

    def _step(self, node: onnx.NodeProto, taken: tuple[int, ...], kind: Kind) -> Step:
        name = node.name or next(iter(node.output), "")
        answers = not self.outputs.isdisjoint(node.output)
        if node.op_type in _STRIDED and max(self.strides(node), default=1) > 1:
            height, width = (*self.strides(node), 1, 1)[:2]
            return Step(
                name,
                node.op_type,
                taken,
                "stride",
                (height, width),
                is_filter=node.op_type == "Conv",
                is_pixelwise=node.op_type == "Conv" and self._is_pixelwise(node),
                left=self._why_left(node, kind),
                answers=answers,
            )
        if node.op_type == "Slice" and (steps := self._steps_of_slice(node)) != (1, 1):
            left = "it leaves places out as a slice, which is not among what is replaced"
            return Step(name, node.op_type, taken, "stride", steps, left=left, answers=answers)
        role = _ROLES.get(node.op_type, "keep")
        return Step(name, node.op_type, taken, role, answers=answers)

    def _is_pixelwise(self, node: onnx.NodeProto) -> bool:
        # SAME adds no padding to a window of one.
        return {*self.window(node)} == {1} and not any(self.attribute(node, "pads", ()))

    def _steps_of_slice(self, node: onnx.NodeProto) -> tuple[int, int]:
        """Return the strides along height and width; 1 where they are not known."""
        axes, steps = (
            self._numbers(node.input[i]) if len(node.input) > i and node.input[i] else None
            for i in (3, 4)
        )
        if steps is None or len(self.shape(node.input[0])) != 4:
            return 1, 1
        by_axis = dict(zip((axis % 4 for axis in axes or range(4)), steps, strict=False))
        return abs(by_axis.get(2, 1)), abs(by_axis.get(3, 1))

    def _numbers(self, tensor: str) -> Any:
        from onnx import numpy_helper

        held = self.weights.get(tensor)
        return None if held is None else numpy_helper.to_array(held).ravel().tolist()

    def _why_left(self, node: onnx.NodeProto, kind: Kind) -> str:
        """Say why a stride cannot be replaced; nothing where it can."""
        if node.op_type not in ("Conv", *_POOLS):
            return f"{node.op_type} is not among what is replaced: Conv, MaxPool, AveragePool"
        if len(self.window(node)) != 2 or len(self.strides(node)) != 2:
            return "it does not work along height and width, or its window is not known"
        if node.op_type == "AveragePool" and kind.name == "average":
            return "it is a mean already"
        if kind.name != "polyphase" and self.data_type(node.input[0]) not in (0, *_FLOATS):
            return "its numbers are whole, and have no means"
        if self.pads(node) is None:
            return f"the padding {self.attribute(node, 'auto_pad')} depends on a size not known"
        if node.op_type in _POOLS:
            return self._why_pool_left(node, kind)
        if kind.taps and not (self.channels(node) and self.channels_taken(node)):
            return "the number of its channels is not known"
        return ""

    def _why_pool_left(self, node: onnx.NodeProto, kind: Kind) -> str:
        if len(node.output) > 1 and node.output[1]:
            return "the places of its maxima are asked for"
        if max(self.attribute(node, "dilations", [1])) > 1:
            return "it is dilated"
        if self.attribute(node, "count_include_pad", 0) and self.attribute(node, "ceil_mode", 0):
            return "it counts padding, and where it rounds up the padding is not known"
        if kind.taps and not self.channels(node):
            return "the number of its channels is not known"
        return ""

    def channels(self, node: onnx.NodeProto) -> int:
        """Return how many channels a node answers with; 0 where that is not known."""
        if node.op_type == "Conv" and node.input[1] in self.weights:
            return int(self.weights[node.input[1]].dims[0])
        for tensor in (node.output[0], node.input[0]):
            shape = self.shape(tensor)
            if len(shape) == 4 and shape[1]:
                return shape[1]
        return 0

    def channels_taken(self, node: onnx.NodeProto) -> int:
        """Return how many channels a convolution takes; 0 where that is not known."""
        if node.input[1] in self.weights:
            return int(self.weights[node.input[1]].dims[1]) * int(self.attribute(node, "group", 1))
        shape = self.shape(node.input[0])
        return shape[1] or 0 if len(shape) == 4 else 0

    def pads(self, node: onnx.NodeProto) -> list[int] | None:
        """Return the padding as numbers: top, left, bottom, right; None where it is not known."""
        auto = self.attribute(node, "auto_pad", "NOTSET")
        if auto == "VALID":
            return [0, 0, 0, 0]
        if auto not in ("SAME_UPPER", "SAME_LOWER"):
            return [int(pad) for pad in self.attribute(node, "pads", [0, 0, 0, 0])]
        before, behind = [], []
        sizes = self.shape(node.input[0])[2:]
        dilations = self.attribute(node, "dilations", [1, 1])
        window, strides = self.window(node), self.strides(node)
        for i in range(2):
            reach = (window[i] - 1) * dilations[i] + 1
            size = sizes[i] if i < len(sizes) else None
            if size is None and window[i] > 1:
                return None
            out = -(-(size or 1) // strides[i])
            total = max(0, (out - 1) * strides[i] + reach - size) if size else 0
            least, most = total // 2, total - total // 2
            before.append(least if auto == "SAME_UPPER" else most)
            behind.append(most if auto == "SAME_UPPER" else least)
        return before + behind

    def dense_pads(self, node: onnx.NodeProto, kind: Kind) -> tuple[list[int], list[int]]:
        """Return the padding of a node without its stride, and how many last cells are surplus."""
        pads = self.pads(node) or [0, 0, 0, 0]
        surplus = [0, 0]
        if node.op_type not in _POOLS or self.is_nothing(node):
            return pads, surplus
        counts_padding = self.attribute(node, "count_include_pad", 0) and not kind.wraps
        rounds_up = bool(self.attribute(node, "ceil_mode", 0))
        for i, (window, step) in enumerate(zip(self.window(node), self.strides(node), strict=True)):
            if not counts_padding:
                pads[2 + i], surplus[i] = behind(
                    kind, window, step, (pads[i], pads[2 + i]), rounds_up
                )
        return pads, surplus

    def is_nothing(self, node: onnx.NodeProto) -> bool:
        """Whether a pool without its stride is the map itself."""
        return node.op_type in _POOLS and {*self.window(node)} == {1} and not any(
            self.pads(node) or ()
        )  # fmt: skip

    def dense_cells(self, node: onnx.NodeProto, kind: Kind) -> list[int | None]:
        """Return height and width of the map without the stride, where they are known."""
        sizes = self.shape(node.input[0])[2:]
        pads, _ = self.dense_pads(node, kind)
        dilations = self.attribute(node, "dilations", [1, 1])
        cells: list[int | None] = []
        for i, window in enumerate(self.window(node)):
            size = sizes[i] if i < len(sizes) else None
            reach = (window - 1) * dilations[i] + 1
            cells.append(None if size is None else size + pads[i] + pads[2 + i] - reach + 1)
        return cells
