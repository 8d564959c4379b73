"""Which files are opened, and which only for those who trust them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attar.errors import ArgumentError, ModelError
from attar.interchange.limits import file_of, shown
from attar.models.protocol import OPERATION, Engine, Layout

__all__ = ["engine_of_file"]


def engine_of_file(path: str | os.PathLike[str], trust: bool, layout: Layout | None) -> Engine:
    """Open a file by its suffix.

    Examples
    --------
    >>> engine_of_file("model.pt", False, None)
    Traceback (most recent call last):
    attar.errors.ModelError: open_model: 'model.pt' is a pickle of PyTorch, which can run code when
    it is opened, so it is not opened. ...
    """
    suffix = Path(path).suffix.lower()
    if suffix in _PICKLES and not trust:
        what, instead = _PICKLES[suffix]
        raise ModelError(
            f"{OPERATION}: {shown(os.fspath(path))} is {what}, which can run code when it is "
            f"opened, so it is not opened. {instead}. If you would run the programs of whoever "
            f"made it: {OPERATION}(path, trust=True), in a shell --trust-model"
        )
    reader = _READERS.get(suffix)
    if reader is None:
        raise ArgumentError(
            f"{OPERATION}: the suffix of {shown(os.fspath(path))} does not say what model it is; "
            f"accepted are {', '.join(suffix for suffix in _READERS if suffix not in _PICKLES)}, "
            f"and with trust {', '.join(_PICKLES)}"
        )
    return reader(path, trust, layout)


def _onnx(path: Any, _trust: bool, layout: Layout | None) -> Engine:
    from attar.models.onnx import OnnxEngine

    return OnnxEngine.from_path(path, layout)


def _keras(path: Any, trust: bool, _layout: Layout | None) -> Engine:
    from attar.models.keras import KerasEngine
    from attar.models.keras_files import read

    return KerasEngine(read(path, trust))


def _safetensors(path: Any, _trust: bool, _layout: Layout | None) -> Engine:
    from attar.models.sequential import SequentialEngine
    from attar.sequential import Sequential

    model = Sequential.load(path)
    model.name = Path(path).stem
    return SequentialEngine(model)


def _torch(path: Any, _trust: bool, _layout: Layout | None) -> Engine:
    from attar.models.torch import TorchEngine
    from attar.models.torch_files import read

    return TorchEngine(read(file_of(OPERATION, path)))


_INSTEAD = (
    "Build the module, load its weights with load_state_dict(torch.load(path, weights_only=True)), "
    "and pass the module; or export it as ONNX"
)
_PICKLES = {
    ".pt": ("a pickle of PyTorch", _INSTEAD),
    ".pth": ("a pickle of PyTorch", _INSTEAD),
    ".pt2": ("an exported program of PyTorch with pickles in it", _INSTEAD),
    ".h5": ("an HDF5 file of Keras", "Save the model as .keras"),
    ".hdf5": ("an HDF5 file of Keras", "Save the model as .keras"),
}
_READERS: dict[str, Callable[[Any, bool, Layout | None], Engine]] = {
    ".onnx": _onnx,
    ".keras": _keras,
    ".safetensors": _safetensors,
    ".pt": _torch,
    ".pth": _torch,
    ".pt2": _torch,
    ".h5": _keras,
    ".hdf5": _keras,
}
