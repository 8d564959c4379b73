"""`attar.open_model`: from a file or an object to a model that can be watched."""

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from attar.errors import ArgumentError, DTypeError
from attar.models.inputs import ModelInput, read_preparation, read_size
from attar.models.model import Model
from attar.models.protocol import OPERATION, Engine, Layout, OutputKind
from attar.models.sizes import settle
from attar.preparation import Preparation

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["open_model"]

_LAYOUTS = ("NCHW", "NHWC")
_KINDS = ("probabilities", "logits", "map", "vector")


def open_model(
    source: str | PathLike[str] | Any,
    *,
    trust: bool = False,
    size: int | tuple[int, int] | None = None,
    layout: Layout | None = None,
    preparation: Preparation | str | None = None,
    scale: float | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    order: Literal["rgb", "bgr"] | None = None,
    output: int | str | None = None,
    output_kind: OutputKind | None = None,
    name: str | None = None,
) -> Model:
    """Open a trained model of any framework, to run it and to watch its layers.

    Parameters
    ----------
    source : path, bytes or model
        A file: ``.onnx``, ``.keras``, or ``.safetensors`` as attar writes it; with `trust` also
        ``.pt``, ``.pth``, ``.pt2``, ``.h5``. Or the bytes of an ONNX file. Or a model in memory:
        `attar.Sequential`, ``keras.Model``, ``torch.nn.Module``, ``onnx.ModelProto``.
    trust : bool, default False
        Open files that can run code when they are opened. Only for files from people whose programs
        you would run.
    size : int or (height, width), optional
        Of the images that the model takes, where it does not say; images are resized to it. By
        default a model that takes any size is given images as they are.
    layout : {"NCHW", "NHWC"}, optional
        Of an ONNX model's input, where it is not told right.
    preparation : Preparation or {"unit", "bytes", "vgg", "torch"}, optional
        What becomes of the numbers of a picture before the model sees them. By default what the
        model says, what is known of models of its name, or 0 to 1. `Model.input` tells which.
    scale, mean, std, order : optional
        The same number by number: ``(picture * scale - mean) / std``, and "rgb" or "bgr".
    output : int or str, optional
        Which output `Model.predict` gives, where there are several.
    output_kind : {"probabilities", "logits", "map", "vector"}, optional
        What it is, where that is not told right.
    name : str, optional
        What to call the model.

    Returns
    -------
    Model

    Raises
    ------
    ModelError (a ValueError)
        The file is damaged, says what is not so, or could run code; the model takes no images; a
        package is missing, which then is named.
    ModelNotFoundError (a FileNotFoundError)
    ArgumentError (a ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> from attar import Sequential, layers
    >>> model = open_model(
    ...     Sequential([
    ...         layers.Input((28, 28, 1)),
    ...         layers.Rescaling(1 / 255),
    ...         layers.Flatten(),
    ...         layers.Dense(10, activation="softmax"),
    ...     ])
    ... )
    >>> print(model.input)
    size         28 × 28 × 1, NHWC (the model's input)
    preparation  (picture * 255 - 0) / 1 (its layer rescaling takes 0 to 255)
    >>> model.output_kind
    'probabilities'
    """
    if layout is not None and layout not in _LAYOUTS:
        raise ArgumentError(f"{OPERATION}: layout must be 'NCHW' or 'NHWC', got {layout!r}")
    if output_kind is not None and output_kind not in _KINDS:
        raise ArgumentError(
            f"{OPERATION}: output_kind must be one of {', '.join(_KINDS)}, got {output_kind!r}"
        )
    engine = _engine(source, trust, layout)
    if layout is not None and engine.takes.layout != layout:
        raise ArgumentError(
            f"{OPERATION}: layout is {layout!r}, and the model takes {engine.takes.layout!r}; "
            "layout overrules what ONNX models say alone"
        )
    settled = settle(engine, *read_size(engine.takes, size))
    prepared, says = read_preparation(
        engine.takes, settled.channels, preparation, scale, mean, std, order
    )
    given = ModelInput(
        engine.takes.batch,
        settled.height,
        settled.width,
        settled.channels,
        engine.takes.layout,
        prepared,
        settled.says,
        says,
    )
    chosen = _output(engine, output)
    return Model(engine, given, settled, name=name, output=chosen, output_kind=output_kind)


def _engine(source: Any, trust: bool, layout: Layout | None) -> Engine:
    if isinstance(source, str | os.PathLike):
        from attar.models.files import engine_of_file

        return engine_of_file(source, trust, layout)
    if isinstance(source, bytes | bytearray | memoryview):
        from attar.models.onnx import OnnxEngine

        return OnnxEngine.from_bytes(bytes(source), layout)
    # By the names of its classes, so that no framework is imported that is not there already.
    roots = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    # On PyTorch, Keras' models are modules as well.
    if "keras" in roots:
        from attar.models.keras import KerasEngine

        return KerasEngine(source)
    if "torch" in roots:
        from attar.models.torch import TorchEngine

        return TorchEngine(source)
    if "onnx" in roots and type(source).__name__ == "ModelProto":
        from attar.models.onnx import OnnxEngine

        return OnnxEngine.from_model(source, layout)
    if type(source).__name__ == "Sequential" and "attar" in roots:
        from attar.models.sequential import SequentialEngine

        return SequentialEngine(source)
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    hint = "; of Keras 2: save it, and load it with Keras 3" if roots & _KERAS_2 else ""
    raise DTypeError(
        f"{OPERATION}: source must be a path, the bytes of an ONNX file, or a model of ONNX, "
        f"Keras 3, PyTorch or attar, got {kind}{hint}"
    )


_KERAS_2 = {"tf_keras", "tensorflow"}


def _output(engine: Engine, output: int | str | None) -> int | None:
    """Return the index of the output that was asked for, or of the only one."""
    names, count = engine.outputs, len(engine.outputs)
    if output is None:
        return 0 if count == 1 else None
    if isinstance(output, str) and output in names:
        return names.index(output)
    if isinstance(output, numbers.Integral) and -count <= output < count:
        return int(output) % count
    raise ArgumentError(
        f"{OPERATION}: output must be one of {', '.join(map(repr, names))} or a number from 0 to "
        f"{count - 1}, got {output!r}"
    )
