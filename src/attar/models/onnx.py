"""ONNX models, run by onnxruntime."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from attar.config import get_num_threads
from attar.errors import ModelError
from attar.interchange.limits import shown
from attar.models import onnx_files
from attar.models.onnx_graph import Graph
from attar.models.onnx_inputs import preparation_of
from attar.models.protocol import (
    OPERATION,
    Answers,
    Array,
    Described,
    Layout,
    Takes,
    channels_last,
    missing,
)

if TYPE_CHECKING:
    import onnx
    import onnxruntime

__all__ = ["OnnxEngine"]

_SESSIONS = 8  # that are kept, one for each set of watched layers,
_SESSIONS_BYTES = 512 << 20  # and of how much weight together
_DTYPES = {1: np.float32, 2: np.uint8, 10: np.float16, 11: np.float64}  # TensorProto.DataType
_TYPES = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}


class OnnxEngine:
    """A checked ONNX model.

    A layer is watched by making its tensor an output. That is a session of its own: where nothing
    is watched, onnxruntime may fuse as it likes. What the watched do not need is cut away.
    """

    framework = "onnx"

    def __init__(self, model: onnx.ModelProto, layout: Layout | None) -> None:
        try:
            import onnxruntime  # noqa: F401
        except ImportError as error:
            raise missing("onnxruntime", "models", error) from error
        self.wrapped = model
        self.graph = Graph(model, layout)
        self.name = model.graph.name or "model"
        self.outputs = self.graph.outputs
        self.takes = Takes(
            self.graph.dims[0],
            *self.graph.size,
            self.graph.layout,
            "the model's input",
            *preparation_of(self.graph),
        )
        self._lock = threading.Lock()
        self._sessions: OrderedDict[Any, onnxruntime.InferenceSession] = OrderedDict()
        weights_bytes = max(1, sum(_bytes(held) for held in self.graph.constants.values()))
        self._most = max(2, min(_SESSIONS, _SESSIONS_BYTES // weights_bytes))

    @classmethod
    def from_path(cls, path: Any, layout: Layout | None) -> Self:
        """Open a file."""
        engine = cls(onnx_files.read(path), layout)
        engine.name = Path(path).stem
        return engine

    @classmethod
    def from_bytes(cls, data: bytes, layout: Layout | None) -> Self:
        """Open the bytes of a file that holds all of its weights."""
        return cls(onnx_files.read_bytes(data), layout)

    @classmethod
    def from_model(cls, model: onnx.ModelProto, layout: Layout | None) -> Self:
        """Open a model in memory."""
        onnx_files.check(model, None, model.ByteSize())
        return cls(model, layout)

    def describe(self, height: int, width: int, channels: int) -> Described:
        """Tell what is computed for an image of this size."""
        shapes = self.graph.shapes(height, width, channels)
        unknown = self.graph.unknown(shapes)
        # What does not follow from the graph alone is seen when it runs, and so is whether a model
        # that says no size takes this one.
        if unknown or None in (self.takes.height, self.takes.width):
            image = np.zeros((self.takes.batch or 1, height, width, channels), np.float32)
            tensors = [*dict.fromkeys([*unknown, *self.outputs])]
            for tensor, answer in zip(tensors, self._compute(image, tensors), strict=True):
                data_type = shapes.get(tensor, (None, 0))[1] or _TYPES.get(answer.dtype, 0)
                shapes[tensor] = (answer.shape, data_type)
        return self.graph.describe(shapes)

    def run(self, images: Array, watch: Sequence[str], output: int | None) -> Answers:
        """Compute a batch."""
        tensors = [self.graph.watched[name] for name in watch]
        if output is not None:
            tensors.append(self.outputs[output])
        unique = list(dict.fromkeys(tensors))
        if not unique:
            return Answers({}, None)
        found = dict(zip(unique, self._compute(images, unique), strict=True))
        maps = {
            name: channels_last(found[tensor], self.graph.layouts[tensor] == "NCHW")
            for name, tensor in zip(watch, tensors, strict=False)
        }
        if output is None:
            return Answers(maps, None)
        last = self.outputs[output]
        return Answers(maps, channels_last(found[last], self.graph.layouts.get(last) != "NHWC"))

    def _compute(self, images: Array, tensors: Sequence[str]) -> list[Any]:
        given = np.moveaxis(images, 3, 1) if self.graph.layout == "NCHW" else images
        dtype = _DTYPES[self.graph.image_type]
        if dtype is np.uint8:
            given = np.clip(np.rint(given), 0, 255)
        session = self._session(frozenset(tensors))
        feed = {self.graph.image.name: np.ascontiguousarray(given, dtype)}
        try:
            return list(session.run(list(tensors), feed))
        except Exception as error:  # onnxruntime has its own, without a common base
            raise _failed("onnxruntime cannot run the model", error) from error

    def _session(self, tensors: frozenset[str]) -> onnxruntime.InferenceSession:
        key = (tensors, get_num_threads())
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                while len(self._sessions) >= self._most:
                    self._sessions.popitem(last=False)
                session = self._sessions[key] = self._opened(tensors, get_num_threads())
            self._sessions.move_to_end(key)
            return session

    def _opened(self, tensors: frozenset[str], threads: int) -> onnxruntime.InferenceSession:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, not printed
        part = self.graph.part(sorted(tensors)).SerializeToString()
        try:
            return onnxruntime.InferenceSession(part, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise _failed("onnxruntime does not take the model", error) from error


def _bytes(held: tuple[tuple[int, ...], int]) -> int:
    shape, _ = held
    return 4 * int(np.prod(shape, dtype=np.int64))


def _failed(what: str, error: Exception) -> ModelError:
    return ModelError(f"{OPERATION}: {what}: {shown(' '.join(str(error).split()), 400)}")
