"""Keras 3 models, run by Keras on whichever backend it has."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np

from attar.errors import ModelError
from attar.interchange.limits import shown
from attar.models.calls import IMAGE, Call
from attar.models.inputs import known_preparation, rescaled
from attar.models.keras_calls import seen_by, task_of, work_of
from attar.models.keras_files import no_keras
from attar.models.protocol import (
    OPERATION,
    Answers,
    Array,
    Described,
    Layout,
    Takes,
    channels_last,
)
from attar.preparation import Preparation

try:
    import keras
except ImportError as error:
    raise no_keras(error) from error

__all__ = ["KerasEngine"]

_IMAGES = 2  # that are described at once: so what is of the batch is told from what is not


class KerasEngine:
    """A Keras model. Layers are watched where they are called, however the model is written."""

    framework = "keras"

    def __init__(self, model: Any) -> None:
        if not isinstance(model, keras.Model):
            raise ModelError(f"{OPERATION}: takes a keras.Model, got {type(model).__name__}")
        if not model.built:
            raise ModelError(
                f"{OPERATION}: the model {shown(model.name)} has no weights yet; build it "
                "(model.build((None, H, W, C)))"
            )
        self.wrapped = model
        self.name = model.name
        self.outputs: tuple[str, ...] = ()  # known once it has run
        self._operations = dict(_named(model))
        self._lock = threading.Lock()
        self._layouts: dict[str, Layout] = {}
        self.takes = self._takes()

    def _takes(self) -> Takes:
        layout: Layout = "NCHW" if self._is_first(self.wrapped) else "NHWC"
        inputs = getattr(self.wrapped, "inputs", None)
        preparation = self._preparation()
        if not inputs:  # a model that is written as a class
            return Takes(None, None, None, None, layout, "any size", *preparation)
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            shapes = ", ".join(str(tuple(each.shape)) for each in inputs[:8])
            raise ModelError(
                f"{OPERATION}: the model {shown(self.name)} takes {shapes}; one input of rank 4, "
                "images, is accepted"
            )
        batch, *sizes = inputs[0].shape
        if layout == "NCHW":
            sizes = [*sizes[1:], sizes[0]]
        height, width, channels = sizes
        return Takes(batch, height, width, channels, layout, "the model's input", *preparation)

    def _is_first(self, model: Any) -> bool:
        """Whether the first layer that says so has channels first."""
        for operation in self._operations.values():
            if (said := getattr(operation, "data_format", None)) is not None:
                return bool(said == "channels_first")
        return bool(keras.config.image_data_format() == "channels_first")

    def _preparation(self) -> tuple[Preparation | None, str]:
        for operation in [*self._operations.values()][:8]:
            kind = type(operation).__name__
            if kind == "Rescaling":
                return rescaled(float(np.max(np.abs(operation.scale))), operation.name)
            if kind == "Normalization":
                variance = operation.variance
                if variance is None:
                    break
                deviation = math.sqrt(float(np.max(keras.ops.convert_to_numpy(variance))))
                return rescaled(1 / max(deviation, 1e-7), operation.name)
            if not kind.startswith("Random") and kind not in ("InputLayer", "ZeroPadding2D"):
                break
        return known_preparation(self.name) or (None, "")

    def describe(self, height: int, width: int, channels: int) -> Described:
        """Tell what is computed for an image of this size."""
        image = np.zeros((self.takes.batch or _IMAGES, height, width, channels), np.float32)
        given = self._given(image)
        places: dict[int, int] = {id(given): IMAGE}
        alive: list[Any] = [given]  # so that no other tensor gets the place of one of them
        calls: list[Call] = []
        layouts: list[bool] = []
        counted: set[int] = set()

        def note(operation: Any, name: str, arguments: Any, answer: Any) -> None:
            tensor = next(_tensors(answer), None)
            if tensor is None or id(tensor) in places:
                return  # what a layer passes on is the answer of whoever made it
            taken = list(_tensors(arguments))
            inputs = [places[id(each)] for each in taken if id(each) in places]
            if not inputs:
                return
            said = getattr(operation, "data_format", None)
            before = self.takes.layout == "NCHW" if inputs[0] == IMAGE else layouts[inputs[0]]
            first = before if said is None else said == "channels_first"
            shapes = [(height, width, channels) if i == IMAGE else calls[i].shape for i in inputs]
            shape = _one(tensor.shape, first)
            inner = list(_inside(operation))
            # Of what a layer does beside its own layers nothing is known.
            blind = bool(inner) or any(id(each) not in places for each in taken)
            weights = [
                weight
                for weight in getattr(operation, "weights", ())
                if id(weight) not in counted and "float" in str(weight.dtype)
            ]
            counted.update(map(id, weights))
            watchable = len(tensor.shape) > 1 and tensor.shape[0] == len(image)
            places[id(tensor)] = len(calls)
            alive.append(tensor)
            layouts.append(first)
            self._layouts[name] = "NCHW" if first else "NHWC"
            calls.append(
                Call(
                    name
                    if watchable and "float" in keras.backend.standardize_dtype(tensor.dtype)
                    else "",
                    type(operation).__name__,
                    task_of(operation, len(inputs)),
                    tuple(dict.fromkeys(inputs)),
                    shape,
                    None if blind else seen_by(operation, shapes, shape),
                    sum(math.prod(weight.shape) for weight in weights),
                    0 if inner else work_of(operation, shapes[0], shape),
                )
            )

        answer = self._forward(given, note)
        found = dict(self._outputs(answer))
        self.outputs = tuple(found)
        return Described(
            tuple(calls), tuple(places.get(id(tensor), IMAGE) for tensor in found.values())
        )

    def run(self, images: Array, watch: Sequence[str], output: int | None) -> Answers:
        """Compute a batch."""
        wanted = set(watch)
        maps: dict[str, Array] = {}

        def keep(_operation: Any, name: str, _arguments: Any, answer: Any) -> None:
            tensor = next(_tensors(answer), None)
            if name in wanted and tensor is not None:
                array = _array(tensor)
                if np.may_share_memory(array, images):
                    array = array.copy()
                maps[name] = channels_last(array, self._layouts[name] == "NCHW")

        answer = self._forward(self._given(images), keep if watch else None)
        if output is None:
            return Answers({name: maps[name] for name in watch}, None)
        last = _array([tensor for _, tensor in self._outputs(answer)][output])
        first = self.takes.layout == "NCHW"
        return Answers({name: maps[name] for name in watch}, channels_last(last, first))

    def _given(self, images: Array) -> Any:
        if self.takes.layout == "NCHW":
            images = np.ascontiguousarray(np.moveaxis(images, 3, 1))
        return keras.ops.convert_to_tensor(images)

    def _forward(self, given: Any, note: Callable[..., None] | None) -> Any:
        with self._lock, _without_gradients(), self._called(note):
            try:
                return self.wrapped(given, training=False)
            except Exception as error:  # whatever Keras and its backend raise
                raise ModelError(
                    f"{OPERATION}: Keras cannot run the model {shown(self.name)} on images of "
                    f"{tuple(given.shape)}: {shown(' '.join(str(error).split()), 300)}"
                ) from error

    @contextmanager
    def _called(self, note: Callable[..., None] | None) -> Iterator[None]:
        """Have a function called whenever a layer was, with its name and its answer."""
        times: Counter[str] = Counter()

        def watched(operation: Any, name: str) -> Callable[..., Any]:
            call = operation.call

            def calling(*arguments: Any, **options: Any) -> Any:
                answer = call(*arguments, **options)
                times[name] += 1
                numbered = name if times[name] == 1 else f"{name}:{times[name]}"
                note(operation, numbered, [arguments, options], answer)  # type: ignore[misc]
                return answer

            return calling

        with ExitStack() as stack:
            for name, operation in self._operations.items() if note is not None else ():
                # Past Keras' own __setattr__, which would look for weights in it.
                object.__setattr__(operation, "call", watched(operation, name))
                stack.callback(object.__delattr__, operation, "call")
            yield

    def _outputs(self, answer: Any) -> Iterator[tuple[str, Any]]:
        names = getattr(self.wrapped, "output_names", None) or ()
        if isinstance(answer, Mapping):
            yield from ((str(key), value) for key, value in answer.items())
            return
        for i, tensor in enumerate(_tensors(answer)):
            yield names[i] if i < len(names) else f"output_{i}" if i else "output", tensor


def _inside(operation: Any) -> Iterator[Any]:
    """Give the layers and operations that one is made of."""
    functional = getattr(operation, "_functional", None)
    if functional is not None:  # a Sequential
        operation = functional
    if hasattr(operation, "operations"):
        yield from operation.operations
    elif hasattr(operation, "_flatten_layers"):
        yield from operation._flatten_layers(include_self=False, recursive=False)


def _named(model: Any) -> Iterator[tuple[str, Any]]:
    """Give what a model computes with its names; behind a ``/`` where two have one name."""
    found: dict[int, tuple[str, Any]] = {}

    def walk(operation: Any, path: str) -> None:
        for each in _inside(operation):
            if id(each) not in found and type(each).__name__ != "InputLayer":
                found[id(each)] = (path, each)
                walk(each, f"{path}{each.name}/")

    walk(model, "")
    times = Counter(each.name for _, each in found.values())
    for path, each in found.values():
        yield each.name if times[each.name] == 1 else f"{path}{each.name}", each


def _tensors(value: Any) -> Iterator[Any]:
    if keras.ops.is_tensor(value):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _one(shape: Sequence[int], channels_first: bool) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if len(sizes) == 4 and channels_first:
        return (*sizes[2:], sizes[1])
    return sizes[1:]


def _array(tensor: Any) -> np.ndarray[Any, Any]:
    if hasattr(tensor, "detach"):  # of PyTorch, which Keras would copy
        return np.asarray(tensor.detach().cpu().float().numpy())
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _without_gradients() -> Any:
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()
