"""What a model is made of and what it costs, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from attar.fusion import Plan
from attar.graph import Graph, shape_argument
from attar.layers.arguments import Shape
from attar.receptive import fields
from attar.tables import count, memory, shape_text, table

__all__ = ["LayerSummary", "Summary", "summarize"]

_FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a model, for one image.

    Attributes
    ----------
    layer, kind : str
        Its name and its class.
    output_shape : tuple
        Of its map; the batch is None.
    parameters : int
        Numbers in its weights; 0 where the weights are those of a layer above.
    multiply_adds : int
    receptive_field, stride : (int, int)
        As of `attar.receptive.ReceptiveField`.
    map_bytes : int
        Of its map as float32; 0 where it is that of its input.
    kept : bool
        Whether the plan writes the map to memory.
    """

    layer: str
    kind: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, int]
    stride: tuple[int, int]
    map_bytes: int
    kept: bool


@dataclass(frozen=True, repr=False)
class Summary:
    """A model layer by layer, for one image. Its text is a table.

    Attributes
    ----------
    name : str
    input_shape : tuple
        The batch is None.
    layers : tuple of LayerSummary
    plan : Plan
        For one image.
    """

    name: str
    input_shape: Shape
    layers: tuple[LayerSummary, ...]
    plan: Plan

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiplications with weights for one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def map_bytes(self) -> int:
        """All maps together."""
        return sum(layer.map_bytes for layer in self.layers)

    @property
    def peak_bytes(self) -> int:
        """What the plan needs at most, beside the image and the weights."""
        return int(self.plan.peak_bytes)

    @property
    def saved_bytes(self) -> int:
        """What fusing and reuse save of the memory of all maps."""
        return self.map_bytes - self.peak_bytes

    def __str__(self) -> str:
        head = (
            "layer", "kind", "answer", "weights", "multiply-adds",
            "field", "stride", "memory", "",
        )  # fmt: skip
        rows = [
            (
                row.layer,
                row.kind,
                shape_text(row.output_shape[1:]),
                count(row.parameters),
                count(row.multiply_adds),
                shape_text(row.receptive_field),
                shape_text(row.stride),
                memory(row.map_bytes),
                "" if row.kept or not row.map_bytes else "fused",
            )
            for row in self.layers
        ]
        lines = [
            f"{self.name}: {shape_text(self.input_shape[1:])}",
            table(head, rows, right=(3, 4, 5, 6, 7)),
            f"weights        {count(self.parameters)} "
            f"({memory(self.parameters * _FLOAT32)} as float32)",
            f"multiply-adds  {count(self.multiply_adds)}",
            f"all maps       {memory(self.map_bytes)}",
            f"peak memory    {memory(self.peak_bytes)}, fused and with maps that share memory",
        ]
        return "\n".join(lines)

    __repr__ = __str__


def summarize(name: str, graph: Graph, plan: Plan) -> Summary:
    """Describe a built graph by its plan for one image."""
    kept = {step.layers[-1] for step in plan.steps if step.layers}
    known = set()
    rows = []
    inputs, shapes = graph.input_shapes(plan.input_shape), graph.shapes(plan.input_shape)
    reaches = fields(graph, plan.input_shape)
    for i, (node, called) in enumerate(zip(graph, graph.names(), strict=True)):
        layer = node.layer
        sizes = [max(reach.end - reach.begin for reach in axis) for axis in reaches[i]]
        strides = [max(reach.stride for reach in axis) for axis in reaches[i]]
        numbers = math.prod(size or 0 for size in shapes[i])
        rows.append(
            LayerSummary(
                called,
                type(layer).__name__,
                (None, *shapes[i][1:]),
                0 if layer in known else layer.count_params(),
                layer.multiply_adds(shape_argument(layer, inputs[i])),
                (sizes[0], sizes[1]),
                (strides[0], strides[1]),
                0 if layer.is_view else numbers * _FLOAT32,
                called in kept,
            )
        )
        known.add(layer)
    return Summary(name, (None, *plan.input_shape[1:]), tuple(rows), plan)
