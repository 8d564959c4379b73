"""ONNX graphs: strides taken out, and nodes of ONNX itself put in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attar.errors import ModelError
from attar.models.onnx_graph import inputs_of
from attar.repairing.kinds import Kind
from attar.repairing.onnx_nodes import Made
from attar.repairing.plan import IMAGE, Place, Role, Step, plan_of
from attar.repairing.repaired import Rewritten
from attar.repairing.wording import replacements, window_text

if TYPE_CHECKING:
    import onnx

__all__ = ["rewrite"]

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
_STRIDED = {"Conv", "ConvInteger", "LpPool", "QLinearConv", *_POOLS}


def rewrite(model: onnx.ModelProto, kind: Kind) -> Rewritten:
    """Return a copy of a checked model in which nothing is left out unseen.

    Raises
    ------
    ModelError (a ValueError)
        The operators are of a version that has no nodes for it.
    """
    import onnx

    graph = _Graph(model)
    steps, nodes = graph.steps(kind)
    plan = plan_of(steps, kind)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = max(model.ir_version, 4)  # before, weights had to be inputs as well
    if plan.places:
        _Writer(graph, copy, kind).write(steps, nodes, plan.places)
    was = {i: _text(graph, nodes[i]) for i in (*plan.places, *plan.left)}
    dense = {i: _dense_text(graph, nodes[i], kind) for i in plan.places}
    return Rewritten(copy, replacements(steps, plan, kind, was, dense))


class _Graph:
    """What is known of a model: attributes, shapes, and what depends on the image."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        self.proto = model.graph
        self.opset = next(
            int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx")
        )
        self.weights = {tensor.name: tensor for tensor in self.proto.initializer}
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
        role = _ROLES.get(node.op_type, "keep")
        if node.op_type in ("Slice", "Transpose") and not self._keeps_places(node):
            role = "regrid"
        return Step(name, node.op_type, taken, role, answers=answers)

    def _is_pixelwise(self, node: onnx.NodeProto) -> bool:
        # SAME adds no padding to a window of one.
        return {*self.window(node)} == {1} and not any(self.attribute(node, "pads", ()))

    def _keeps_places(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "Transpose":
            return True  # one way to keep channels, and the other
        axes = self.attribute(node, "axes")
        if axes is None and len(node.input) > 3:
            axes = self._numbers(node.input[3])
        return axes is not None and {int(axis) for axis in axes} <= {0, 1}

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
        if self.pads(node) is None:
            return f"the padding {self.attribute(node, 'auto_pad')} depends on a size not known"
        if node.op_type in _POOLS:
            return self._why_pool_left(node, kind)
        if kind.taps and not self.channels(node):
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

    def dense_pads(self, node: onnx.NodeProto) -> list[int]:
        """Return the padding that gives the node without its stride all windows that it had.

        A pool that rounds up has a last window that reaches over the padding. Where more padding
        is added, as much as a stride leaves out, but none that a window sees alone, there are as
        many windows as a stride then keeps.
        """
        pads = self.pads(node) or [0, 0, 0, 0]
        if self.attribute(node, "ceil_mode", 0):
            for i, (window, step) in enumerate(
                zip(self.window(node), self.strides(node), strict=True)
            ):
                pads[2 + i] = max(pads[2 + i], min(pads[2 + i] + step - 1, window - 1))
        return pads

    def dense_cells(self, node: onnx.NodeProto) -> list[int | None]:
        """Return height and width of the map without the stride, where they are known."""
        sizes = self.shape(node.input[0])[2:]
        pads = self.dense_pads(node)
        dilations = self.attribute(node, "dilations", [1, 1])
        cells: list[int | None] = []
        for i, window in enumerate(self.window(node)):
            size = sizes[i] if i < len(sizes) else None
            reach = (window - 1) * dilations[i] + 1
            cells.append(None if size is None else size + pads[i] + pads[2 + i] - reach + 1)
        return cells


class _Writer:
    """Writes nodes anew."""

    def __init__(self, graph: _Graph, copy: onnx.ModelProto, kind: Kind) -> None:
        self._graph, self._copy, self._kind = graph, copy, kind
        taken = {value.name for value in (*copy.graph.input, *copy.graph.initializer)}
        for node in copy.graph.node:
            taken.update((node.name, *node.output, *inputs_of(node)))
        self._made = Made(graph.opset, taken)

    def write(
        self, steps: Sequence[Step], nodes: list[onnx.NodeProto], places: dict[int, Place]
    ) -> None:
        """Replace the nodes of the copy."""
        position = {id(node): i for i, node in enumerate(nodes)}
        behind: dict[int, list[Place]] = {}
        for place in places.values():
            if not place.before:
                behind.setdefault(place.at, []).append(place)
        written: list[onnx.NodeProto] = []
        changed: set[str] = set()
        for node in self._graph.proto.node:
            copy = type(node)()
            copy.CopyFrom(node)
            i = position.get(id(node), -1)
            place = places.get(i)
            follows = behind.get(i, [])
            given = copy.input[0] if copy.input else ""
            if place is not None:
                if place.before:
                    inside = self._made.name(f"{node.output[0]}_condensed")
                    written += self._condense(place, node, given, inside)
                    copy.input[0] = inside
                changed.update(node.output)
                self._without_stride(node, copy)
            if follows and follows[0].step == i and self._is_nothing(node):
                # Every place is looked at by itself: nothing is left to compute but the choice.
                written += self._condense(follows[0], node, given, node.output[0])
                continue
            if follows:
                answer = copy.output[0]
                copy.output[0] = self._made.name(f"{answer}_dense")
                written.append(copy)
                source = nodes[follows[0].step]
                if self._is_mean_of_windows(source):
                    copy.output[0] = answer
                else:
                    written += self._condense(follows[0], source, copy.output[0], answer)
                continue
            written.append(copy)
        del self._copy.graph.node[:]
        self._copy.graph.node.extend(written)
        self._copy.graph.initializer.extend(self._made.weights.values())
        self._forget_shapes(steps, nodes, places, changed)

    def _forget_shapes(
        self,
        steps: Sequence[Step],
        nodes: list[onnx.NodeProto],
        places: dict[int, Place],
        changed: set[str],
    ) -> None:
        """Take out what the file says of maps that are larger now."""
        for place in places.values():
            if place.before:
                continue
            for i, node in enumerate(nodes[place.step : place.at], place.step):
                if steps[i].role in ("stride", "normalize"):
                    changed.update(node.output)
        kept = [value for value in self._copy.graph.value_info if value.name not in changed]
        del self._copy.graph.value_info[:]
        self._copy.graph.value_info.extend(kept)

    def _is_mean_of_windows(self, node: onnx.NodeProto) -> bool:
        return self._kind.name == "average" and node.op_type in _POOLS

    def _is_nothing(self, node: onnx.NodeProto) -> bool:
        """Whether a pool without its stride is the map itself."""
        graph = self._graph
        return node.op_type in _POOLS and {*graph.window(node)} == {1} and not any(
            graph.dense_pads(node)
        ) and not self._is_mean_of_windows(node)  # fmt: skip

    def _without_stride(self, node: onnx.NodeProto, copy: onnx.NodeProto) -> None:
        from onnx import helper

        if self._is_mean_of_windows(node):
            copy.op_type = "AveragePool"
            dropped: tuple[str, ...] = ("storage_order", "dilations")
            added: dict[str, Any] = {}
        else:
            dropped = ("auto_pad", "ceil_mode", "pads", "strides")
            added = {"pads": self._graph.dense_pads(node), "strides": [1, 1]}
        kept = [each for each in copy.attribute if each.name not in dropped]
        del copy.attribute[:]
        copy.attribute.extend(kept)
        copy.attribute.extend(helper.make_attribute(name, value) for name, value in added.items())

    def _condense(
        self, place: Place, node: onnx.NodeProto, given: str, answer: str
    ) -> list[onnx.NodeProto]:
        """Make the nodes that take a map without a stride to one with it."""
        graph, kind = self._graph, self._kind
        steps = graph.strides(node)
        cells = graph.shape(node.input[0])[2:] if place.before else graph.dense_cells(node)
        data_type = graph.data_type(node.input[0]) or 1
        if kind.name == "polyphase":
            return self._made.polyphase(given, answer, steps, place.leader)
        if kind.name == "average":
            return self._made.mean(given, answer, steps)
        if place.before:
            shape = graph.shape(node.input[0])
            channels = shape[1] if len(shape) == 4 and shape[1] else self._channels_taken(node)
        else:
            channels = graph.channels(node)
        sizes = (*cells, None, None)[:2]
        return self._made.blur(given, answer, channels, kind.taps, steps, sizes, data_type)

    def _channels_taken(self, node: onnx.NodeProto) -> int:
        graph = self._graph
        held = graph.weights.get(node.input[1])
        if held is None:
            raise ModelError(
                f"repair: {node.name or node.output[0]} takes a map of unknown channels; convert "
                "the model with fixed shapes"
            )
        return int(held.dims[1]) * int(graph.attribute(node, "group", 1))


def _text(graph: _Graph, node: onnx.NodeProto) -> str:
    return window_text(node.op_type, graph.window(node), graph.strides(node))


def _dense_text(graph: _Graph, node: onnx.NodeProto, kind: Kind) -> str:
    window = graph.window(node)
    if node.op_type in _POOLS:
        if kind.name == "average":
            return ""
        if {*window} == {1}:
            return ""
    return window_text(node.op_type, window, [1, 1])
