"""ONNX graphs: strides taken out, and nodes of ONNX itself put in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attar.models.onnx_graph import inputs_of
from attar.repairing.kinds import Kind
from attar.repairing.onnx_nodes import Made
from attar.repairing.onnx_reading import Graph, is_mean_of_windows
from attar.repairing.plan import Place, Step, plan_of
from attar.repairing.repaired import Rewritten
from attar.repairing.wording import replacements

if TYPE_CHECKING:
    import onnx

__all__ = ["rewrite"]


def rewrite(model: onnx.ModelProto, kind: Kind) -> Rewritten:
    """Return a copy of a checked model in which nothing is left out unseen.

    Raises
    ------
    ModelError (a ValueError)
        The operators are of a version that has no nodes for it.
    """
    import onnx

    graph = Graph(model)
    steps, nodes = graph.steps(kind)
    plan = plan_of(steps, kind)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = max(model.ir_version, 4)  # before, weights had to be inputs as well
    if plan.places:
        _Writer(graph, copy, kind).write(steps, nodes, plan.places)
    was = {i: graph.text(nodes[i]) for i in (*plan.places, *plan.left)}
    dense = {i: graph.dense_text(nodes[i], kind) for i in plan.places}
    return Rewritten(copy, replacements(steps, plan, kind, was, dense))


class _Writer:
    """Writes nodes anew."""

    def __init__(self, graph: Graph, copy: onnx.ModelProto, kind: Kind) -> None:
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
        behind = {place.at: place for place in places.values() if not place.before}
        written: list[onnx.NodeProto] = []
        changed: set[str] = set()
        for node in self._graph.proto.node:
            copy = type(node)()
            copy.CopyFrom(node)
            i = position.get(id(node), -1)
            place, follows = places.get(i), behind.get(i)
            if place is not None:
                if place.before:
                    inside = self._made.name(f"{node.output[0]}_condensed")
                    written += self._condense(place, node, copy.input[0], inside)
                    copy.input[0] = inside
                changed.update(node.output)
                written += self._without_stride(node, copy)
            if follows is None or is_mean_of_windows(nodes[follows.step], self._kind):
                written.append(copy)
                continue
            answer, source = copy.output[0], nodes[follows.step]
            if follows.step == i and self._graph.is_nothing(node):
                given = copy.input[0]
            else:
                given = copy.output[0] = self._made.name(f"{answer}_dense")
                written.append(copy)
            written += self._condense(follows, source, given, answer)
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

    def _without_stride(self, node: onnx.NodeProto, copy: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Change a node; return what has to come before it."""
        from onnx import helper

        before: list[onnx.NodeProto] = []
        dropped: tuple[str, ...]
        added: dict[str, Any] = {}
        if is_mean_of_windows(node, self._kind):
            copy.op_type = "AveragePool"
            dropped = ("storage_order", "dilations")
        else:
            dropped = ("auto_pad", "ceil_mode", "pads", "strides")
            pads, _ = self._graph.dense_pads(node, self._kind)
            if self._kind.wraps and node.op_type != "Conv" and any(pads):
                copy.input[0] = self._made.name(f"{node.output[0]}_wrapped")
                before = self._made.wrap(node.input[0], copy.input[0], pads)
                pads = [0, 0, 0, 0]
            added = {"pads": pads, "strides": [1, 1]}
        kept = [each for each in copy.attribute if each.name not in dropped]
        del copy.attribute[:]
        copy.attribute.extend(kept)
        copy.attribute.extend(helper.make_attribute(name, value) for name, value in added.items())
        return before

    def _condense(
        self, place: Place, node: onnx.NodeProto, given: str, answer: str
    ) -> list[onnx.NodeProto]:
        """Make the nodes that take a map without a stride to one with it."""
        graph, kind, made = self._graph, self._kind, self._made
        strides = graph.strides(node)
        if kind.name == "average":
            return made.mean(given, answer, strides)
        if kind.name == "polyphase":
            _, surplus = graph.dense_pads(node, kind)
            return made.polyphase(given, answer, strides, surplus, place.leader)
        if place.before:
            channels, cells = graph.channels_taken(node), graph.shape(node.input[0])[2:]
        else:
            channels, cells = graph.channels(node), graph.dense_cells(node, kind)
        data_type = graph.data_type(node.input[0]) or 1
        return made.blur(given, answer, channels, kind, strides, cells or [None, None], data_type)
