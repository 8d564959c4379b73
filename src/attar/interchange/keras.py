"""Keras models: objects, and ``.keras`` files, read without Keras and without running code.

A ``.keras`` file is a zip archive with ``config.json``, the layers and how they are joined, and
``model.weights.h5``, an HDF5 file with the weights under ``layers/<class>/vars/<number>``.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attar import layers
from attar.arrays import Array
from attar.errors import AttarError, ModelError
from attar.graph import INPUT, Graph
from attar.interchange.assembly import Assembly, taking_over
from attar.interchange.keras_weights import FileSource, ObjectSource, Source, hdf5_errors
from attar.interchange.limits import (
    FILE_BYTES,
    LAYERS,
    STRUCTURE_BYTES,
    Budget,
    check_archive,
    file_of,
    list_of,
    parse_json,
    read_entry,
    shown,
)
from attar.layers import Layer
from attar.layers.arguments import read_shape
from attar.layers.base import Shape, default_name

__all__ = ["read"]

OPERATION = "from_keras"
DEPTH = 16  # of models within models

# The arguments that a layer keeps, by Keras' class.
_FILTER = ("kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias")
_POOL = ("pool_size", "strides", "padding")
_LAYERS: dict[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "Add": (),
    "Average": (),
    "AveragePooling2D": _POOL,
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": ("filters", "groups", *_FILTER),
    "Dense": ("units", "activation", "use_bias"),
    "DepthwiseConv2D": ("depth_multiplier", *_FILTER),
    "Dropout": ("rate",),
    "ELU": ("alpha",),
    "Flatten": (),
    "GlobalAveragePooling2D": ("keepdims",),
    "GlobalMaxPooling2D": ("keepdims",),
    "Identity": (),
    "LeakyReLU": ("negative_slope",),
    "MaxPooling2D": _POOL,
    "Maximum": (),
    "Minimum": (),
    "Multiply": (),
    "PReLU": ("shared_axes",),
    "Permute": ("dims",),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Rescaling": ("scale", "offset"),
    "Reshape": ("target_shape",),
    "Softmax": ("axis",),
    "SpatialDropout2D": ("rate",),
    "Subtract": (),
    "ZeroPadding2D": ("padding",),
}
# What other layers are made of.
_COMPOSED: dict[str, tuple[str, ...]] = {
    "Normalization": ("axis", "invert", "mean", "variance"),
    "SeparableConv2D": ("filters", "depth_multiplier", *_FILTER),
}
# Arguments that matter to training only, or that are said elsewhere.
_WITHOUT_EFFECT = re.compile(
    r"name|trainable|dtype|momentum|synchronized|seed|noise_shape|renorm_(clipping|momentum)|"
    r"batch_input_shape|\w+_(initializer|regularizer|constraint)"
)
# Operations that are not layers: what x + y and keras.ops.relu(x) leave in a model.
_ARITHMETIC = {"Add": layers.Add, "Multiply": layers.Multiply, "Subtract": layers.Subtract}
_ACTIVATIONS = {
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}


def read(model: Any) -> Graph:
    """Take over a Keras 3 model.

    Models within models are taken apart; a layer that is applied several times has one set of
    weights.

    Parameters
    ----------
    model : keras.Sequential, keras.Model or path of a ``.keras`` file
        Built, channels last, float32. Of a file neither Keras nor any code in it is run; reading
        it needs the package h5py.

    Returns
    -------
    Graph

    Raises
    ------
    ModelError (a ValueError)
        The file is damaged or says what is not so; or a layer cannot be taken over, which then is
        named, with what to do.
    ModelNotFoundError (a FileNotFoundError)

    Examples
    --------
    >>> read("missing.keras")
    Traceback (most recent call last):
    attar.errors.ModelNotFoundError: from_keras: there is no file 'missing.keras'
    """
    with taking_over(OPERATION):
        if isinstance(model, str | os.PathLike):
            return _read_file(file_of(OPERATION, model))
        return _read_object(model)


def _read_object(model: Any) -> Graph:
    root = type(model).__module__.partition(".")[0]
    if root in ("tf_keras", "tensorflow"):
        raise ModelError(
            f"{OPERATION}: {type(model).__name__} is of Keras 2; save it, and load it with Keras 3"
        )
    try:
        import keras
    except ImportError as error:
        raise ModelError(f"{OPERATION}: takes a Keras model or a path, got {root}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"{OPERATION}: takes a Keras model or a path, got {type(model).__module__}."
            f"{type(model).__qualname__}"
        )
    if not model.built:
        raise ModelError(
            f"{OPERATION}: the model {shown(model.name)} has no weights yet; build it "
            "(model.build((None, H, W, C)))"
        )
    try:
        # To text and back, so that it is what a file would hold.
        serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    except Exception as error:  # whatever a custom get_config raises
        raise ModelError(
            f"{OPERATION}: Keras cannot describe the model {shown(model.name)}: {shown(str(error))}"
        ) from error
    return _Reader().read(serialized, ObjectSource(model))


def _read_file(file: Path) -> Graph:
    if file.suffix in (".h5", ".hdf5"):
        raise ModelError(
            f"{OPERATION}: {shown(file.name)} is an HDF5 file; load it with Keras and pass the "
            "model, or save it as .keras"
        )
    try:
        import h5py
    except ImportError as error:
        raise ModelError(
            f"{OPERATION} needs the package h5py to read a file; install it with pip install h5py"
        ) from error
    with file.open("rb") as opened:
        archive = check_archive(OPERATION, opened)
        config = read_entry(OPERATION, archive, "config.json", STRUCTURE_BYTES)
        serialized = parse_json(OPERATION, "config.json", config)
        data = read_entry(OPERATION, archive, "model.weights.h5", FILE_BYTES)
    with hdf5_errors(), h5py.File(io.BytesIO(data), "r") as weights:
        source = FileSource(weights, Budget(OPERATION, len(data)))
        return _Reader().read(serialized, source)


# ------------------------------------------------------------------ how layers are joined


class _Answer(NamedTuple):
    node: int
    shape: Shape


class _Part(NamedTuple):
    name: str
    layer: Layer
    weights: list[Array]


class _Call(NamedTuple):
    """A layer applied: who, where in the file, and to what."""

    entry: dict[str, Any]
    source: Source
    arguments: list[Any]
    inputs: list[tuple[str, int]]


class _Reader:
    def __init__(self) -> None:
        self._assembly = Assembly(OPERATION)
        self._made: dict[tuple[str, str], list[_Part]] = {}
        self._calls = 0

    def read(self, serialized: dict[str, Any], source: Source) -> Graph:
        """Return the graph of a serialized model."""
        self._check_model(serialized)
        shape = self._input_shape(serialized)
        answer = self._model(serialized, source, _Answer(INPUT, shape), "")
        return self._assembly.graph(answer.node, shape[1:])

    def _input_shape(self, serialized: dict[str, Any], depth: int = 0) -> Shape:
        if depth > DEPTH:
            raise self._too_deep()
        config = _dict(serialized, "config")
        for entry in list_of(OPERATION, config, "layers"):
            inner = _dict(entry, "config")
            if entry.get("class_name") == "InputLayer":
                found = inner.get("batch_shape") or inner.get("batch_input_shape")
                return self._shape(found)
            if entry.get("class_name") in ("Sequential", "Functional", "Model"):
                return self._input_shape(entry, depth + 1)
        if config.get("build_input_shape") is None:
            raise ModelError(
                f"{OPERATION}: the model does not say what it takes; build it "
                "(model.build((None, H, W, C))), and save it again"
            )
        return self._shape(config["build_input_shape"])

    def _shape(self, shape: Any) -> Shape:
        return (None, *read_shape("the model", "the input's shape", shape)[1:])

    # ------------------------------------------------------------------ models

    def _model(self, serialized: dict[str, Any], source: Source, x: _Answer, path: str) -> _Answer:
        if path.count("/") > DEPTH:
            raise self._too_deep()
        self._check_model(serialized)
        config = _dict(serialized, "config")
        entries = list(self._with_sources(list_of(OPERATION, config, "layers"), source))
        if serialized["class_name"] == "Sequential":
            for entry, inner in entries:
                x = self._apply(entry, inner, [x], path)
            return x
        return self._functional(config, entries, x, path)

    def _too_deep(self) -> ModelError:
        return ModelError(f"{OPERATION}: models within models are more than {DEPTH} deep")

    def _check_model(self, serialized: dict[str, Any]) -> None:
        kind = serialized.get("class_name")
        if not _is_kerass(serialized) or kind not in ("Sequential", "Functional", "Model"):
            raise ModelError(
                f"{OPERATION}: the model is a {shown(kind)}; Sequential and Functional are read. "
                "Of another, build a keras.Model(inputs, outputs)"
            )

    def _with_sources(
        self, entries: list[Any], source: Source
    ) -> Iterator[tuple[dict[str, Any], Source]]:
        """Pair entries with their weights: the second Conv2D of a model is ``conv2d_1`` there."""
        counts: dict[str, int] = {}
        names: set[str] = set()
        for entry in entries:
            name = _name(entry)
            if name in names:
                raise ModelError(f"{OPERATION}: two layers have the name {shown(name)}")
            names.add(name)
            if _is_operation(entry) or entry.get("class_name") == "InputLayer":
                yield entry, source
                continue
            base = default_name(type(str(entry.get("class_name")), (), {}))
            count = counts[base] = counts.get(base, -1) + 1
            yield entry, source.inner(f"{base}_{count}" if count else base, name)

    def _functional(
        self,
        config: dict[str, Any],
        entries: list[tuple[dict[str, Any], Source]],
        x: _Answer,
        path: str,
    ) -> _Answer:
        starts = _references(config.get("input_layers"))
        ends = _references(config.get("output_layers"))
        for what, found in (("inputs", starts), ("outputs", ends)):
            if len(found) != 1:
                raise ModelError(
                    f"{OPERATION}: the model {shown(config.get('name'))} has {len(found)} {what}; "
                    "one is accepted. Build a keras.Model of one"
                )
        calls = self._calls_of(entries)
        answers = {starts[0]: x}
        for key in self._in_order(calls, starts[0]):
            call = calls[key]
            values = iter([answers[other] for other in call.inputs])
            arguments = [next(values) if a is _TENSOR else a for a in call.arguments]
            answers[key] = self._apply(call.entry, call.source, arguments, path)
        end = ends[0]
        nested = {_name(entry) for entry, _ in entries if entry.get("class_name") == "Functional"}
        if end[0] in nested:  # Keras counts these from 1, but only here
            end = (end[0], end[1] - 1)
        if end not in answers:
            raise ModelError(f"{OPERATION}: the output {shown(end)} is not computed")
        return answers[end]

    def _calls_of(
        self, entries: list[tuple[dict[str, Any], Source]]
    ) -> dict[tuple[str, int], _Call]:
        calls: dict[tuple[str, int], _Call] = {}
        for entry, source in entries:
            name = _name(entry)
            for i, node in enumerate(list_of(OPERATION, entry, "inbound_nodes")):
                if not isinstance(node, dict):
                    raise ModelError(
                        f"{OPERATION}: the file was written by Keras 2; load it and save it with "
                        "Keras 3"
                    )
                calls[name, i] = self._call(entry, source, node)
        return calls

    def _call(self, entry: dict[str, Any], source: Source, node: dict[str, Any]) -> _Call:
        for key, value in _dict(node, "kwargs").items():
            if value not in (None, False):
                raise self._refusal(entry, f"is called with {shown(key)}={shown(value)}")
        arguments: list[Any] = []
        inputs: list[tuple[str, int]] = []
        given = list_of(OPERATION, node, "args")
        if len(given) == 1 and isinstance(given[0], list):  # layers that merge take a list
            given = given[0]
        for argument in given:
            if isinstance(argument, dict):
                history = _dict(argument, "config").get("keras_history")
                inputs.append(_reference(history))
                arguments.append(_TENSOR)
            else:
                arguments.append(argument)
        if not inputs:
            raise self._refusal(entry, "is called without an input")
        return _Call(entry, source, arguments, inputs)

    def _in_order(
        self, calls: dict[tuple[str, int], _Call], start: tuple[str, int]
    ) -> Iterator[tuple[str, int]]:
        """Yield calls so that each comes after those that it needs."""
        waiting = {key: set(call.inputs) - {start} for key, call in calls.items()}
        users: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for key, needed in waiting.items():
            for other in needed:
                if other not in calls:
                    raise ModelError(
                        f"{OPERATION}: the layer {shown(key[0])} takes the answer of "
                        f"{shown(other[0])}, which is not there"
                    )
                users.setdefault(other, []).append(key)
        ready = deque(key for key, needed in waiting.items() if not needed)
        done = 0
        while ready:
            key = ready.popleft()
            done += 1
            yield key
            for user in users.get(key, []):
                waiting[user].discard(key)
                if not waiting[user]:
                    ready.append(user)
        if done != len(calls):
            stuck = next(key for key, needed in waiting.items() if needed)
            raise ModelError(
                f"{OPERATION}: the layer {shown(stuck[0])} takes its own answer: the graph has a "
                "cycle"
            )

    # ------------------------------------------------------------------ layers

    def _refusal(self, entry: dict[str, Any], problem: str, advice: str = "") -> ModelError:
        where = f"the layer {shown(_name(entry))} ({shown(entry.get('class_name'))[1:-1]})"
        return self._assembly.refusal(where, problem, advice)

    def _apply(
        self, entry: dict[str, Any], source: Source, arguments: Sequence[Any], path: str
    ) -> _Answer:
        self._calls += 1
        if self._calls > LAYERS:
            raise ModelError(f"{OPERATION}: the model has more than {LAYERS} layers")
        kind = entry.get("class_name")
        name = _name(entry)
        inputs = [argument for argument in arguments if isinstance(argument, _Answer)]
        if kind == "InputLayer" and _is_kerass(entry):
            return inputs[0]
        if kind in ("Sequential", "Functional", "Model") and _is_kerass(entry):
            if len(arguments) != 1:
                raise self._refusal(entry, f"takes {len(arguments)} inputs", "one is accepted")
            return self._model(entry, source, inputs[0], f"{path}{name}/")
        if _is_operation(entry):
            layer, inputs = self._operation(entry, arguments)
            parts = [_Part(name, layer, [])]
        else:
            key = (path, name)
            if key not in self._made:
                self._made[key] = self._parts(entry, source)
            parts = self._made[key]
        for part in parts:
            if len(inputs) != 1 and not part.layer.merges:
                raise self._refusal(entry, f"takes {len(inputs)} inputs", "one is accepted")
            self._check_axis(entry, part.layer, inputs[0])
            nodes, shapes = [x.node for x in inputs], [x.shape for x in inputs]
            node = self._assembly.add(part.layer, part.name, nodes, shapes, part.weights)
            inputs = [_Answer(node, self._assembly.shapes[node])]
        return inputs[0]

    def _parts(self, entry: dict[str, Any], source: Source) -> list[_Part]:
        """Return the layers that one of Keras becomes, with their weights; mostly one."""
        kept = self._arguments(entry)
        weights = source.weights()
        try:
            match entry["class_name"]:
                case "Normalization":
                    return _normalization(_name(entry), kept, weights)
                case "SeparableConv2D":
                    return _separable(_name(entry), kept, weights)
                case kind:
                    layer: Layer = getattr(layers, kind)(**kept)
        except (AttarError, TypeError, ValueError, OverflowError) as error:
            raise self._refusal(entry, f"cannot be made: {shown(str(error))}") from error
        if len(weights) != len(layer.weight_names()):
            raise self._refusal(
                entry,
                f"has {len(weights)} weights; it needs {len(layer.weight_names())} "
                f"({', '.join(layer.weight_names()) or 'none'})",
                "build the model, and save it again",
            )
        return [_Part(_name(entry), layer, weights)]

    def _operation(
        self, entry: dict[str, Any], arguments: Sequence[Any]
    ) -> tuple[Layer, list[_Answer]]:
        kind = entry.get("class_name")
        inputs = [argument for argument in arguments if isinstance(argument, _Answer)]
        numbers = [a for a in arguments if isinstance(a, int | float) and not isinstance(a, bool)]
        if kind in _ACTIVATIONS and len(arguments) == len(inputs) == 1:
            return layers.Activation(_ACTIVATIONS[kind]), inputs
        if kind in _ARITHMETIC and len(inputs) == len(arguments) == 2:
            return _ARITHMETIC[kind](), inputs
        if len(arguments) == 2 and len(inputs) == len(numbers) == 1:
            number, is_first = float(numbers[0]), arguments[0] is inputs[0]
            if kind == "Multiply":
                return layers.Rescaling(number), inputs
            if kind == "Add":
                return layers.Rescaling(1.0, number), inputs
            if kind == "Subtract":
                scale, offset = (1.0, -number) if is_first else (-1.0, number)
                return layers.Rescaling(scale, offset), inputs
            if kind in ("TrueDivide", "Divide") and is_first and number:
                return layers.Rescaling(1 / number), inputs
        raise self._refusal(
            entry,
            "is an operation that cannot be taken over",
            "use a layer instead; sums, products and differences of maps, or with a number, are "
            f"read, and {', '.join(sorted(_ACTIVATIONS))}",
        )

    def _arguments(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a layer of Keras that matter, all others known not to."""
        kind, config = entry.get("class_name"), _dict(entry, "config")
        if not _is_kerass(entry):
            raise self._refusal(
                entry,
                "is a class of its own, not of Keras",
                "replace it with layers of Keras, or cut the model before it",
            )
        known = _LAYERS | _COMPOSED
        if kind not in known:
            raise self._refusal(
                entry,
                "cannot be taken over",
                "cut the model before it (keras.Model(inputs, layer.output)), or replace it; "
                f"taken over are {', '.join(sorted(known))}",
            )
        self._check_dtype(entry, config.get("dtype"))
        kept: dict[str, Any] = {}
        for key, value in config.items():
            if key == "data_format":
                if value not in (None, "channels_last"):
                    raise self._refusal(
                        entry, f"has data_format={shown(value)}", "build it with 'channels_last'"
                    )
            elif key in known[kind]:
                kept[key] = value
            elif not _WITHOUT_EFFECT.fullmatch(key) and value not in (None, False):
                raise self._refusal(
                    entry, f"has {shown(key)[1:-1]}={shown(value)}, which is not known"
                )
        if isinstance(kept.get("activation"), dict):
            raise self._refusal(
                entry,
                f"has the activation {shown(kept['activation'].get('class_name'))}",
                "give it as a layer of its own",
            )
        return kept

    def _check_axis(self, entry: dict[str, Any], layer: Layer, x: _Answer) -> None:
        if not isinstance(layer, layers.BatchNormalization):
            return
        if layer.axis not in (-1, len(x.shape) - 1):
            raise self._refusal(
                entry, f"has axis={layer.axis} for the shape {x.shape}", "build it with axis=-1"
            )

    def _check_dtype(self, entry: dict[str, Any], dtype: Any) -> None:
        if isinstance(dtype, dict):
            dtype = _dict(dtype, "config").get("name")
        if dtype not in (None, "float32"):
            raise self._refusal(
                entry, f"computes in {shown(dtype)}", "build it with dtype='float32'"
            )


def _separable(name: str, kept: dict[str, Any], weights: list[Array]) -> list[_Part]:
    """Filter each channel on its own, and then all of them pixel by pixel."""
    last = {key: kept.pop(key, None) for key in ("filters", "activation")}
    use_bias = kept.pop("use_bias", True)
    depthwise, *pointwise = weights
    return [
        _Part(f"{name}/depthwise", layers.DepthwiseConv2D(**kept, use_bias=False), [depthwise]),
        _Part(name, layers.Conv2D(**last, kernel_size=1, use_bias=use_bias), pointwise),
    ]


def _normalization(name: str, kept: dict[str, Any], weights: list[Array]) -> list[_Part]:
    """Subtract the mean and divide by the deviation, or the inverse."""
    if kept.get("axis", -1) not in (-1, [-1], [3], 3):
        raise ValueError(f"axis must be -1, got {shown(kept['axis'])}")
    if kept.get("mean") is None:
        mean, variance = (np.array(weight, np.float64).ravel() for weight in weights[:2])
    else:
        mean, variance = (np.ravel(np.array(kept[k], np.float64)) for k in ("mean", "variance"))
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # keras.backend.epsilon()
    if kept.get("invert"):
        scale, offset = deviation, mean
    else:
        scale, offset = 1 / deviation, -mean / deviation
    numbers = [array.tolist() if array.size > 1 else array.item() for array in (scale, offset)]
    return [_Part(name, layers.Rescaling(*numbers), [])]


_TENSOR = object()  # in the arguments of a call: the next of its inputs


def _is_operation(entry: dict[str, Any]) -> bool:
    return str(entry.get("module")).startswith("keras.src.ops.")


def _is_kerass(entry: dict[str, Any]) -> bool:
    """Whether a class is one of Keras' own."""
    module, registered = entry.get("module"), entry.get("registered_name")
    return module in ("keras", "keras.layers", "keras.models", "keras.src.models.functional") and (
        registered in (None, entry.get("class_name"))
    )


def _name(entry: Any) -> str:
    name = _dict(entry, "config").get("name")
    if not isinstance(name, str) or not name:
        raise ModelError(f"{OPERATION}: the name of a layer must be text, got {shown(name)}")
    return name


def _dict(entry: Any, key: str) -> dict[str, Any]:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, dict):
        raise ModelError(f"{OPERATION}: {key} must be an object, got {shown(value)}")
    return value


def _reference(value: Any) -> tuple[str, int]:
    match value:
        case [str(name), int(node), 0]:
            return name, node
    raise ModelError(
        f"{OPERATION}: an input must be [layer, call, 0], got {shown(value)}; layers with several "
        "answers are not read"
    )


def _references(value: Any) -> list[tuple[str, int]]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return [_reference(value)]
    if not isinstance(value, list):
        raise ModelError(f"{OPERATION}: the model does not say where it begins and ends")
    return [_reference(each) for each in value[:8]]
