"""Files of Keras: checked before Keras sees them, and read in its safe mode."""

from __future__ import annotations

import importlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attar.errors import ModelError
from attar.interchange.keras_weights import check_groups, hdf5_errors
from attar.interchange.limits import (
    FILE_BYTES,
    LAYERS,
    STRUCTURE_BYTES,
    Budget,
    check_archive,
    file_of,
    parse_json,
    read_entry,
    shown,
    shown_path,
)
from attar.models.protocol import OPERATION, missing

__all__ = ["no_keras", "read"]

_SAFE = (3, 15, 1)  # Keras versions before it open files that reach out of their safe mode
_CLASSES = 8 * LAYERS  # a layer has initializers and the like
_PLACES = re.compile(
    r"keras(\.(layers|models|activations|initializers|regularizers|constraints|dtype_policies|"
    r"random|ops|src\.models\.\w+|src\.ops\.\w+))?|builtins"
)
# Layers of Keras that run code of a file, or open other files.
_REFUSED = {
    "Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "StringLookup",
    "IntegerLookup", "TextVectorization", "IndexLookup",
}  # fmt: skip


def read(path: str | os.PathLike[str], trust: bool) -> Any:
    """Return the model in a ``.keras`` file; with `trust` also in ``.h5``, and whatever it runs.

    Raises
    ------
    ModelError (a ValueError)
        Keras is missing or older than 3.15.1; the file is damaged, lies about sizes, or has layers
        that run code.
    ModelNotFoundError (a FileNotFoundError)
    """
    file = file_of(OPERATION, path)
    is_archive = file.suffix.lower() == ".keras"
    if is_archive:
        _check(file, trust)
    try:
        import keras
    except ImportError as error:
        raise no_keras(error) from error
    version = tuple(int(number) for number in re.findall(r"\d+", keras.__version__)[:3])
    if version < _SAFE and not trust:
        raise ModelError(
            f"{OPERATION}: files are opened by Keras 3.15.1 or newer, whose safe mode is one; "
            f"this is {keras.__version__}. Install it with pip install 'keras>=3.15.1', or load "
            "the model yourself and pass it"
        )
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=not trust)
    except Exception as error:  # Keras raises whatever its layers do
        raise ModelError(
            f"{OPERATION}: Keras cannot open {shown_path(file)}: "
            f"{shown(' '.join(str(error).split()), 300)}"
        ) from error


def no_keras(error: ImportError) -> ModelError:
    """Return the error for Keras, or the backend that it is set to, not being there."""
    if error.name in (None, "keras"):
        return missing("keras", "keras", error)
    return ModelError(
        f"{OPERATION}: Keras is installed, and the backend that it is set to is not ({error}). "
        "Install that, or choose one that is there before Keras is imported: KERAS_BACKEND=torch"
    )


def _check(file: Path, trust: bool) -> None:
    try:
        import h5py
    except ImportError as error:
        raise missing("h5py", "models", error) from error
    with file.open("rb") as opened:
        archive = check_archive(OPERATION, opened)
        config = read_entry(OPERATION, archive, "config.json", STRUCTURE_BYTES)
        weights = read_entry(OPERATION, archive, "model.weights.h5", FILE_BYTES)
    document = parse_json(OPERATION, "config.json", config)
    _register_own(document)
    if not trust:
        _check_classes(document)
    with hdf5_errors(OPERATION), h5py.File(io.BytesIO(weights), "r") as groups:
        check_groups(OPERATION, groups, Budget(OPERATION, len(weights)))


def _check_classes(document: dict[str, Any]) -> None:
    """Refuse what is not Keras' own and known to run nothing of the file."""
    for entry in _entries({key: document[key] for key in document if key != "compile_config"}):
        kind, module = entry["class_name"], entry.get("module")
        if kind == "__lambda__" or kind in _REFUSED:
            raise ModelError(
                f"{OPERATION}: the file has {shown(kind)}, which runs code of the file or opens "
                "other files, so it is not opened. Replace it with layers of Keras. If you would "
                f"run the programs of whoever made it: {OPERATION}(path, trust=True), in a shell "
                "--trust-model"
            )
        registered = entry.get("registered_name")
        is_kerass = registered in (None, kind, "function", "Functional", "Sequential")
        if is_kerass and (module is None or _PLACES.fullmatch(str(module))):
            continue
        if not _is_registered(registered):
            raise ModelError(
                f"{OPERATION}: the file has {shown(kind)} of {shown(module)}, which is not of "
                "Keras itself. Import what defines it (and registers it, with keras.saving."
                "register_keras_serializable), load the model with Keras, and pass the model"
            )


def _entries(document: Any) -> Iterator[dict[str, Any]]:
    """Give every object of a document that names a class."""
    waiting, count = [document], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
            if "class_name" in value:
                count += 1
                if count > _CLASSES:
                    raise ModelError(f"{OPERATION}: config.json names more than {_CLASSES} classes")
                yield value


_OWN = {"attar>": "attar.keras", "attar.repairing>": "attar.repairing.keras_layers"}


def _register_own(document: dict[str, Any]) -> None:
    """Let Keras know the layers of attar that a file has: those of repaired models among them."""
    names = {str(entry.get("registered_name")) for entry in _entries(document)}
    for beginning, module in _OWN.items():
        if any(name.startswith(beginning) for name in names):
            # By its name, since it stands above this room: it is data about a file, not a need.
            importlib.import_module(module)


def _is_registered(name: Any) -> bool:
    """Whether this program itself has said what a name means."""
    try:
        import keras
    except ImportError:
        return False
    return isinstance(name, str) and keras.saving.get_registered_object(name) is not None
