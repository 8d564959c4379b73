"""Keras models: built again from the same layers, and layers in the places of strides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import keras

from attar.errors import ModelError
from attar.interchange.limits import shown
from attar.repairing.keras_layers import Blur2D, PaddedPooling2D, Phase2D, StrongestPhase2D
from attar.repairing.kinds import Kind, behind
from attar.repairing.plan import IMAGE, Place, Plan, Role, Step, plan_of
from attar.repairing.repaired import Replacement, Rewritten
from attar.repairing.wording import replacements, window_text

__all__ = ["rewrite"]

Pair: TypeAlias = tuple[int, int]

_FILTER_LAYERS = (
    keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D,
)  # fmt: skip
_POOLS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
_OTHER_DIMS = (
    keras.layers.Conv1D, keras.layers.Conv3D, keras.layers.MaxPooling1D,
    keras.layers.MaxPooling3D, keras.layers.AveragePooling1D, keras.layers.AveragePooling3D,
)  # fmt: skip
_ROLES: dict[str, Role] = {
    **dict.fromkeys(("BatchNormalization", "Dropout", "Identity", "SpatialDropout2D"), "normalize"),
    **dict.fromkeys(
        ("Activation", "ELU", "Elu", "Gelu", "HardSigmoid", "HardSilu", "LeakyReLU", "LeakyRelu",
         "Mish", "PReLU", "ReLU", "Relu", "Relu6", "Selu", "Sigmoid", "Silu", "Softplus",
         "Softsign", "Tanh"),
        "detect",
    ),
    **dict.fromkeys(
        ("Conv2DTranspose", "GetItem", "Permute", "Reshape", "Resize", "Resizing", "Transpose",
         "UpSampling2D"),
        "regrid",
    ),
    **dict.fromkeys(
        ("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "Flatten", "GlobalAveragePooling2D",
         "GlobalMaxPooling2D", "Max", "Mean", "Sum"),
        "vector",
    ),
}  # fmt: skip


def rewrite(model: Any, kind: Kind) -> Rewritten:
    """Return a functional model in which nothing is left out unseen, with weights of its own.

    Raises
    ------
    ModelError (a ValueError)
        The model is written as a class: it has no graph to be built again from.
    """
    return _Rewriter(model, kind).rewritten()


def _graph_of(model: Any) -> Any:
    """Return the functional model in a model; None where there is none."""
    graph = getattr(model, "_functional", model)  # of a Sequential
    return graph if hasattr(graph, "_nodes_by_depth") else None


def _nodes_of(graph: Any) -> Iterator[Any]:
    """Give the calls in an order in which they can be computed."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.operation and not node.is_input:
                yield node


class _Strided:
    """A layer with a stride, and the size of the map that it is called on."""

    def __init__(self, layer: Any, shape: Any) -> None:
        self.layer = layer
        self.kind = type(layer).__name__
        self.is_filter = isinstance(layer, _FILTER_LAYERS)
        window = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
        self.window: Pair = tuple(window)
        self.strides: Pair = tuple(layer.strides)
        self.first = layer.data_format == "channels_first"
        self.sizes = shape[2:4] if self.first else shape[1:3]

    @property
    def is_fused(self) -> bool:
        """Whether an activation is part of it."""
        activation = getattr(self.layer, "activation", None)
        return activation is not None and activation is not keras.activations.linear

    @property
    def is_pixelwise(self) -> bool:
        return self.kind == "Conv2D" and self.window == (1, 1) and not self.is_fused

    @property
    def is_nothing(self) -> bool:
        return not self.is_filter and self.window == (1, 1)

    def sides(self) -> list[Pair] | None:
        """Return the padding before and behind; None where it depends on a size not known."""
        sides = []
        for size, window, step in zip(self.sizes, self.window, self.strides, strict=True):
            if self.layer.padding == "valid" or window == 1:
                sides.append((0, 0))
                continue
            if size is None:
                return None
            total = max(0, (-(-size // step) - 1) * step + window - size)
            sides.append((total // 2, total - total // 2))
        return sides

    def dense(self, kind: Kind) -> tuple[list[Pair], Pair]:
        """Return the padding without the stride, and how many last cells are surplus."""
        sides = self.sides() or [(0, 0), (0, 0)]
        if self.is_filter or self.is_nothing:
            return sides, (0, 0)
        found = [
            behind(kind, window, step, side, False)
            for window, step, side in zip(self.window, self.strides, sides, strict=True)
        ]
        padded = [(side[0], after) for side, (after, _) in zip(sides, found, strict=True)]
        return padded, (found[0][1], found[1][1])

    def why_left(self, kind: Kind, calls: int) -> str:
        """Say why the stride must stay; nothing where it need not."""
        if isinstance(self.layer, _POOLS):
            if kind.name == "average" and isinstance(self.layer, keras.layers.AveragePooling2D):
                return "it is a mean already"
        elif type(self.layer) not in _FILTER_LAYERS:
            return f"{self.kind} is not among what is replaced: it computes more than a convolution"
        elif calls > 1 and kind.name == "polyphase":
            return f"it is called {calls} times, and each call would choose a phase of its own"
        if self.sides() is None:
            return (
                "its padding 'same' depends on a size not known; build the model for images of one "
                "size"
            )
        return ""

    def text(self) -> str:
        return window_text(self.kind, self.window, self.strides)

    def dense_text(self, kind: Kind) -> str:
        if self.is_nothing or (kind.name == "average" and not self.is_filter):
            return ""
        return window_text(self.kind, self.window, (1, 1))


class _Rewriter:
    """Builds a model again.

    Parameters
    ----------
    model : keras.Model
    kind : Kind
    """

    def __init__(self, model: Any, kind: Kind) -> None:
        self._model, self._kind = model, kind
        self._copies: dict[int, tuple[Any, Any]] = {}
        graph = _graph_of(model)
        if graph is None:
            raise ModelError(
                f"repair: the model {shown(model.name)} is written as a class, so that its graph "
                "is not known; write it with keras.Input and keras.Model, or export it as ONNX "
                "(model.export(path, format='onnx')) and repair that"
            )
        self._graph = graph
        self._nodes = list(_nodes_of(graph))
        self._strided: dict[int, _Strided] = {}
        self._others: dict[int, str] = {}
        self._inner: dict[int, Rewritten] = {}
        self._steps = self._read()
        self._plan = plan_of(self._steps, kind)
        self._choices: dict[int, Any] = {}
        self._taken = {
            step.name
            for i, step in enumerate(self._steps)
            if i not in self._strided or self._strided[i].is_filter
        }

    # ------------------------------------------------------------------ steps

    def _read(self) -> list[Step]:
        places = {id(tensor): IMAGE for tensor in self._graph.inputs}
        answers = {id(tensor) for tensor in self._graph.outputs}
        calls = Counter(id(node.operation) for node in self._nodes)
        steps: list[Step] = []
        for i, node in enumerate(self._nodes):
            taken = dict.fromkeys(places[id(x)] for x in node.input_tensors if id(x) in places)
            places.update((id(tensor), i) for tensor in node.outputs)
            step = self._step(i, node, calls[id(node.operation)])
            is_answer = any(id(tensor) in answers for tensor in node.outputs)
            steps.append(replace(step, inputs=tuple(taken), answers=is_answer))
        # Filters that are called several times have one stride.
        left = {
            id(self._nodes[i].operation): step.left for i, step in enumerate(steps) if step.left
        }
        return [
            replace(step, left=left.get(id(node.operation), ""))
            for step, node in zip(steps, self._nodes, strict=True)
        ]

    def _step(self, i: int, node: Any, calls: int) -> Step:
        operation = node.operation
        kind = type(operation).__name__
        step = Step(operation.name, kind, (), _ROLES.get(kind, "keep"))
        if isinstance(operation, keras.Model):
            if _graph_of(operation) is None or not _strides_in(operation, self._kind):
                return step
            if len(node.outputs[0].shape) != 4:
                return replace(step, role="vector")
            # What is in it begins grids of its own, which are like no other.
            return replace(step, role="stride", strides=(0, i + 2))
        strides = getattr(operation, "strides", None) or 1
        most = max(strides) if isinstance(strides, list | tuple) else strides
        if most == 1:
            return step
        if isinstance(operation, _OTHER_DIMS):
            self._others[i] = window_text(kind, (), (most,))
            left = "it does not work along height and width"
            return replace(step, role="stride", strides=(most, most), left=left)
        if not isinstance(operation, (*_FILTER_LAYERS, *_POOLS)):
            return step
        found = self._strided[i] = _Strided(operation, node.input_tensors[0].shape)
        return replace(
            step,
            role="stride",
            strides=found.strides,
            is_filter=found.is_filter and not found.is_fused,
            is_pixelwise=found.is_pixelwise,
            left=found.why_left(self._kind, calls),
        )

    # ------------------------------------------------------------------ writing

    def rewritten(self) -> Rewritten:
        """Build the model."""
        given = [
            keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x._keras_history.operation.name)
            for x in self._graph.inputs
        ]
        tensors = {id(old): new for old, new in zip(self._graph.inputs, given, strict=True)}
        behind = {place.at: place for place in self._plan.places.values() if not place.before}
        for i, node in enumerate(self._nodes):
            args, kwargs = node.arguments.fill_in(tensors)
            place = self._plan.places.get(i)
            strided = self._strided.get(i)
            if place is not None and strided is not None:
                answer = self._without_stride(place, strided, args[0])
            else:
                answer = self._copy(i, node.operation)(*args, **kwargs)
            follows = behind.get(i)
            condensed = None if follows is None else self._strided.get(follows.step)
            if follows is not None and condensed is not None and not self._is_mean(condensed):
                answer = self._condense(follows, condensed, answer)
            for old, new in zip(node.outputs, keras.tree.flatten(answer), strict=True):
                tensors[id(old)] = new
        inputs, outputs = (
            keras.tree.map_structure(lambda x: tensors[id(x)], structure)
            for structure in (self._graph._inputs_struct, self._graph._outputs_struct)
        )
        model = keras.Model(inputs, outputs, name=self._model.name)
        for old, new in self._copies.values():
            if getattr(old, "weights", None) and _graph_of(old) is None:
                _bring_weights(old, new)
        return Rewritten(model, self._told())

    def _copy(self, i: int, operation: Any) -> Any:
        key = id(operation)
        if key not in self._copies:
            is_model = isinstance(operation, keras.Model) and _graph_of(operation) is not None
            if is_model and i not in self._plan.left:
                self._inner[i] = _Rewriter(operation, self._kind).rewritten()
                copy = self._inner[i].model
            elif is_model:
                copy = keras.models.clone_model(operation)
                _bring_weights(operation, copy)
            else:
                copy = _again(operation)
            self._copies[key] = (operation, copy)
        return self._copies[key][1]

    def _without_stride(self, place: Place, strided: _Strided, x: Any) -> Any:
        layer, kind = strided.layer, self._kind
        key = id(layer)
        format = layer.data_format
        if place.before:
            x = self._condense(place, strided, x)
        if strided.is_filter:
            sides, _ = strided.dense(kind)
            if any(map(any, sides)):
                x = keras.layers.ZeroPadding2D(
                    tuple(sides), data_format=format, name=self._name(f"{layer.name}_padded")
                )(x)
            if key not in self._copies:
                self._copies[key] = (layer, _again(layer, strides=1, padding="valid"))
            return self._copies[key][1](x)
        if strided.is_nothing and not self._is_mean(strided):
            return x
        strides: Pair = (1, 1)
        sides, _ = strided.dense(kind)
        reduce, wraps = (
            "max" if isinstance(layer, keras.layers.MaxPooling2D) else "mean",
            kind.wraps,
        )
        if self._is_mean(strided):
            strides, sides, reduce, wraps = strided.strides, strided.sides() or sides, "mean", False
        name = self._name(layer.name)
        return PaddedPooling2D(strided.window, strides, sides, reduce, wraps, format, name=name)(x)

    def _is_mean(self, strided: _Strided) -> bool:
        """Whether a pool becomes the mean of its windows, with its stride."""
        return self._kind.name == "average" and not strided.is_filter

    def _condense(self, place: Place, strided: _Strided, x: Any) -> Any:
        kind, format = self._kind, strided.layer.data_format
        wish = strided.layer.name
        strides = strided.strides
        if kind.name == "average":
            # Padding at the end that does not count: as many windows as a stride keeps cells.
            sides = [(0, step - 1) for step in strides]
            name = self._name(f"{wish}_condensed")
            return PaddedPooling2D(strides, strides, sides, "mean", False, format, name=name)(x)
        if kind.name != "polyphase":
            name = self._name(f"{wish}_condensed")
            return Blur2D(kind.name, strides, kind.border, format, name=name)(x)
        _, surplus = strided.dense(kind)
        if place.leader not in self._choices:
            self._choices[place.leader] = StrongestPhase2D(
                strides, surplus, format, name=self._name(f"{wish}_strongest")
            )(x)
        name = self._name(f"{wish}_condensed")
        return Phase2D(strides, surplus, format, name=name)(x, self._choices[place.leader])

    def _name(self, wish: str) -> str:
        name, times = wish, 1
        while name in self._taken:
            times += 1
            name = f"{wish}_{times}"
        self._taken.add(name)
        return name

    def _told(self) -> tuple[Replacement, ...]:
        models = {i for i in range(len(self._steps)) if self._is_model(i)}
        plan = Plan(
            {i: place for i, place in self._plan.places.items() if i not in models},
            {i: why for i, why in self._plan.left.items() if i not in models},
        )
        was = {i: each.text() for i, each in self._strided.items()} | self._others
        dense = {i: each.dense_text(self._kind) for i, each in self._strided.items()}
        told = list(replacements(self._steps, plan, self._kind, was, dense))
        for i, inner in self._inner.items():
            name = self._steps[i].name
            told += [replace(each, layer=f"{name}/{each.layer}") for each in inner.replaced]
        for i in sorted(models & self._plan.left.keys()):
            name, why = self._steps[i].name, f"stays: {self._plan.left[i]}"
            told += [
                replace(each, layer=f"{name}/{each.layer}", now="", why=why)
                for each in _strides_in(self._nodes[i].operation, self._kind)
            ]
        return tuple(told)

    def _is_model(self, i: int) -> bool:
        return isinstance(self._nodes[i].operation, keras.Model)


def _strides_in(model: Any, kind: Kind) -> list[Replacement]:
    """List the strides in a model within a model, none of them replaced."""
    inner = _Rewriter(model, kind)
    told = []
    for i, step in enumerate(inner._steps):
        if isinstance(inner._nodes[i].operation, keras.Model):
            if _graph_of(inner._nodes[i].operation) is not None:
                told += [
                    replace(each, layer=f"{step.name}/{each.layer}")
                    for each in _strides_in(inner._nodes[i].operation, kind)
                ]
        elif i in inner._strided or i in inner._others:
            was = inner._others.get(i) or inner._strided[i].text()
            told.append(Replacement(step.name, was, "", ""))
    return told


def _bring_weights(old: Any, new: Any) -> None:
    for one, other in zip(new.weights, old.weights, strict=True):
        one.assign(other.value)


def _again(operation: Any, **changed: Any) -> Any:
    """Make a layer or an operation anew, with other arguments."""
    try:
        return type(operation).from_config({**operation.get_config(), **changed})
    except Exception as error:  # whatever a class of the user's does
        raise ModelError(
            f"repair: Keras cannot make the layer {shown(operation.name)} "
            f"({type(operation).__name__}) anew from its get_config(): {shown(str(error), 200)}"
        ) from error
