"""The ONNX nodes that condense a map: blurred, as means, or one phase of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.errors import ModelError
from attar.repairing.kinds import Kind, taps_for, weights_of

if TYPE_CHECKING:
    import onnx

__all__ = ["Made"]

_END = np.iinfo(np.int64).max
_DOUBLE = 11  # TensorProto.DataType


class Made:
    """Makes nodes for a version of the operators, with names that are free.

    Parameters
    ----------
    opset : int
    taken : set of str
        Names that are not free.

    Attributes
    ----------
    weights : dict of str to TensorProto
        What the nodes take beside maps. Equal ones are there once.
    """

    def __init__(self, opset: int, taken: set[str]) -> None:
        self._opset, self._taken = opset, taken
        self._choices: dict[int, list[str]] = {}
        self._named: dict[Any, str] = {}
        self.weights: dict[str, onnx.TensorProto] = {}

    def name(self, wish: str) -> str:
        """Return this name, or with a number behind it if it is taken."""
        name, times = wish, 1
        while name in self._taken:
            times += 1
            name = f"{wish}_{times}"
        self._taken.add(name)
        return name

    def blur(
        self,
        given: str,
        answer: str,
        channels: int,
        kind: Kind,
        strides: Sequence[int],
        cells: Sequence[int | None],
        data_type: int,
    ) -> list[onnx.NodeProto]:
        """Let the map go on at its border, and filter each channel with the stride."""
        sizes = [taps_for(kind, step, n) for step, n in zip(strides, cells, strict=True)]
        sides = [size // 2 for size in sizes]
        nodes = []
        if any(sides):
            padded = self.name(f"{answer}_padded")
            if kind.wraps:
                nodes += self.wrap(given, padded, sides + sides)
            else:
                nodes.append(self._pad(given, padded, sides + sides, "reflect"))
            given = padded
        kernel = self._kernel(channels, sizes, data_type)
        nodes.append(
            self._node(
                "Conv",
                [given, kernel],
                answer,
                group=channels,
                kernel_shape=sizes,
                strides=list(strides),
            )
        )
        return nodes

    def wrap(self, given: str, answer: str, pads: Sequence[int]) -> list[onnx.NodeProto]:
        """Let a map go on at its other side: top, left, bottom, right."""
        nodes = []
        axes = [axis for axis in (0, 1) if pads[axis] or pads[2 + axis]]
        for axis in axes:
            before, after = pads[axis], pads[2 + axis]
            parts = [given]
            for side, start, end in (("end", -before, _END), ("begin", 0, after)):
                if before if side == "end" else after:
                    part = self.name(f"{answer}_{side}_{axis}")
                    nodes.append(self._slice(given, part, [start], [end], [2 + axis]))
                    parts.insert(0 if side == "end" else len(parts), part)
            given = answer if axis == axes[-1] else self.name(f"{answer}_{axis}")
            nodes.append(self._node("Concat", parts, given, axis=2 + axis))
        return nodes

    def mean(self, given: str, answer: str, strides: Sequence[int]) -> list[onnx.NodeProto]:
        """Take the mean of the cells from one that a stride keeps to the next."""
        # Padding at the end that does not count: as many windows as a stride keeps cells.
        pads = [0, 0, *(step - 1 for step in strides)]
        steps = list(strides)
        return [
            self._node("AveragePool", [given], answer, kernel_shape=steps, strides=steps, pads=pads)
        ]

    def polyphase(
        self,
        given: str,
        answer: str,
        strides: Sequence[int],
        surplus: Sequence[int],
        group: int,
    ) -> list[onnx.NodeProto]:
        """Keep one of the phases: the strongest, or that which was chosen for the same grid.

        Every phase gets as many cells as the first has without the surplus: those that the map
        lacks are 0. The strongest is found by comparing one after the other, so that nothing
        depends on a size.
        """
        if self._opset < 11:
            raise ModelError(
                f"repair: pool 'polyphase' needs operators of version 11 or newer, the model has "
                f"{self._opset}; convert it with onnx.version_converter"
            )
        down, right = strides
        filled = [max(0, step - 1 - more) for step, more in zip(strides, surplus, strict=True)]
        nodes = []
        if any(filled):
            padded = self.name(f"{answer}_filled")
            nodes.append(self._pad(given, padded, [0, 0, *filled], "constant"))
            given = padded
        phases = []
        for phase in itertools.product(range(down), range(right)):
            phases.append(self.name(f"{answer}_phase_{phase[0]}_{phase[1]}"))
            # The phase that begins at i ends i cells behind where the map without surplus does.
            ends = [
                begin - more - fill or _END
                for begin, more, fill in zip(phase, surplus, filled, strict=True)
            ]
            nodes.append(self._slice(given, phases[-1], list(phase), ends, [2, 3], [down, right]))
        choices = self._choices.get(group)
        if choices is None:
            choices = self._choices[group] = [
                self.name(f"{answer}_is_phase_{k}") for k in range(1, len(phases))
            ]
            nodes += self._choose(answer, phases, choices)
        best = phases[0]
        for k, choice in enumerate(choices, 1):
            result = answer if k == len(choices) else self.name(f"{answer}_best_{k}")
            nodes.append(self._node("Where", [choice, phases[k], best], result))
            best = result
        return nodes

    def _choose(self, answer: str, phases: list[str], choices: list[str]) -> list[onnx.NodeProto]:
        """Tell of each phase but the first whether it is stronger than all before it."""
        nodes, norms = [], []
        for k, phase in enumerate(phases):
            # In double precision: sums of the same numbers in another order must stay equal.
            wide, norm = self.name(f"{answer}_wide_{k}"), self.name(f"{answer}_norm_{k}")
            nodes.append(self._node("Cast", [phase], wide, to=_DOUBLE))
            nodes.append(self._sum_of_squares(wide, norm))
            norms.append(norm)
        largest = norms[0]
        for k, choice in enumerate(choices, 1):
            nodes.append(self._node("Greater", [norms[k], largest], choice))
            if k < len(choices):
                larger = self.name(f"{answer}_largest_{k}")
                nodes.append(self._node("Max", [norms[k], largest], larger))
                largest = larger
        return nodes

    # ------------------------------------------------------------------ nodes of every version

    def _node(self, kind: str, inputs: list[str], answer: str, **attributes: Any) -> onnx.NodeProto:
        from onnx import helper

        name = self.name(f"{answer}/{kind}")
        made: onnx.NodeProto = helper.make_node(kind, inputs, [answer], name=name, **attributes)
        return made

    def _pad(self, given: str, answer: str, pads: Sequence[int], mode: str) -> onnx.NodeProto:
        all_pads = [0, 0, *pads[:2], 0, 0, *pads[2:]]
        if self._opset < 11:
            return self._node("Pad", [given], answer, mode=mode, pads=all_pads)
        return self._node("Pad", [given, self._integers(all_pads)], answer, mode=mode)

    def _slice(
        self,
        given: str,
        answer: str,
        starts: list[int],
        ends: list[int],
        axes: list[int],
        steps: list[int] | None = None,
    ) -> onnx.NodeProto:
        if self._opset < 10:
            return self._node("Slice", [given], answer, starts=starts, ends=ends, axes=axes)
        numbers = [starts, ends, axes, *([steps] if steps else [])]
        return self._node("Slice", [given, *map(self._integers, numbers)], answer)

    def _sum_of_squares(self, given: str, answer: str) -> onnx.NodeProto:
        if self._opset < 18:
            return self._node("ReduceSumSquare", [given], answer, axes=[1, 2, 3], keepdims=1)
        axes = self._integers([1, 2, 3])
        return self._node("ReduceSumSquare", [given, axes], answer, keepdims=1)

    def _integers(self, numbers: list[int]) -> str:
        return self._weight(("integers", *numbers), np.array(numbers, np.int64), "numbers")

    def _kernel(self, channels: int, sizes: Sequence[int], data_type: int) -> str:
        from onnx import helper

        dtype = helper.tensor_dtype_to_np_dtype(data_type)
        rows, columns = (np.array(weights_of(size)) for size in sizes)
        kernel = np.broadcast_to(np.outer(rows, columns), (channels, 1, *sizes)).astype(dtype)
        return self._weight(("blur", channels, *sizes, data_type), kernel, "blur")

    def _weight(self, key: Any, array: Any, wish: str) -> str:
        from onnx import numpy_helper

        name = self._named.get(key)
        if name is None:
            name = self._named[key] = self.name(f"repair/{wish}")
            self.weights[name] = numpy_helper.from_array(array, name)
        return name
