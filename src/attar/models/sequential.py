"""attar's own models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attar.errors import ModelError
from attar.graph import shape_argument
from attar.layers import Layer
from attar.models.calls import EVERYTHING, PIXEL, Call, Seen, Task
from attar.models.inputs import known_preparation, rescaled
from attar.models.protocol import OPERATION, Answers, Array, Described, Takes
from attar.preparation import Preparation
from attar.sequential import Sequential

__all__ = ["SequentialEngine"]

_TASKS: dict[str, Task] = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "Dense"), "filter"),
    **dict.fromkeys(
        ("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"), "detect"
    ),
    **dict.fromkeys(
        (
            "AverageBlurPooling2D", "AveragePooling2D", "GlobalAveragePooling2D",
            "GlobalMaxPooling2D", "MaxBlurPooling2D", "MaxPooling2D",
        ),
        "condense",
    ),
    **dict.fromkeys(
        ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"), "merge"
    ),
}  # fmt: skip


class SequentialEngine:
    """An `attar.Sequential` as an engine."""

    framework = "attar"

    def __init__(self, model: Sequential) -> None:
        if not model.built or model.input_shape is None:
            raise ModelError(
                f"{OPERATION}: the model {model.name!r} has no weights yet; build it "
                "(model.build((None, H, W, C)))"
            )
        self.wrapped = model
        self.name = model.name
        self.outputs: tuple[str, ...] = (model.graph.names()[model.graph.output],)
        shape: Any = model.input_shape
        if len(shape) != 4:
            raise ModelError(f"{OPERATION}: the model takes {shape[1:]}; images are accepted")
        height, width, channels = shape[1:]
        self.takes = Takes(
            None, height, width, channels, "NHWC", "the model's input", *self._preparation()
        )

    def _preparation(self) -> tuple[Preparation | None, str]:
        first = self.wrapped.graph.nodes[0].layer
        if type(first).__name__ == "Rescaling":
            return rescaled(np.max(np.abs(first.get_config()["scale"])), first.name)
        return known_preparation(self.name) or (None, "")

    def describe(self, height: int, width: int, channels: int) -> Described:
        """Tell what is computed for an image of this size."""
        graph, shape = self.wrapped.graph, (1, height, width, channels)
        known: set[Layer] = set()
        calls = []
        inputs, answers = graph.input_shapes(shape), graph.shapes(shape)
        for node, name, shapes, answer in zip(graph, graph.names(), inputs, answers, strict=True):
            layer, kind = node.layer, type(node.layer).__name__
            given = shape_argument(layer, shapes)
            calls.append(
                Call(
                    name,
                    kind,
                    _TASKS.get(kind, "other"),
                    node.inputs,
                    tuple(size or 1 for size in answer[1:]),
                    _seen(layer, given, shapes),
                    0 if layer in known else layer.count_params(),
                    layer.multiply_adds(given),
                )
            )
            known.add(layer)
        return Described(tuple(calls), (graph.output,))

    def run(self, images: Array, watch: Sequence[str], output: int | None) -> Answers:
        """Compute a batch."""
        maps: dict[str, Array] = {}
        wanted = set(watch)
        if not wanted:
            return Answers(maps, self.wrapped(images))
        names = self.wrapped.graph.names()
        if output is not None:
            wanted.add(self.outputs[0])
        last = max(wanted, key=names.index)
        for name, map in self.wrapped.steps(images, until=last):
            if name in wanted:
                # Layers that change no number answer with their input itself.
                maps[name] = np.array(map) if _shared(map, images, maps) else map
        answer = None if output is None else maps[self.outputs[0]]
        return Answers({name: maps[name] for name in watch}, answer)


def _shared(map: Any, images: Array, maps: dict[str, Array]) -> bool:
    """Whether an answer lies in memory that someone else was given."""
    return any(np.may_share_memory(map, other) for other in (images, *maps.values()))


def _seen(layer: Layer, given: Any, shapes: list[Any]) -> Seen:
    kind = type(layer).__name__
    if kind.startswith("Global"):
        return EVERYTHING
    single = all(len(shape) == 2 or shape[1:3] == (1, 1) for shape in shapes)
    if single and layer.windows(given) is None:
        return PIXEL  # of one position nothing is lost
    return layer.windows(given)
