"""What can be taken along from the page: files, made by the library and not by the page."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from attar.explorer.asked import Asked
from attar.explorer.recipes import keras_program, python_program
from attar.explorer.rooms.extract import wish_of
from attar.extraction import extract

if TYPE_CHECKING:
    from attar.explorer.app import State

__all__ = ["EXPORTS", "Exported"]


class Exported(NamedTuple):
    """A file for a person to keep."""

    data: bytes
    media_type: str


def _saved(suffix: str, media_type: str) -> "Callable[[Asked, State], Exported]":
    """Return an export of what `Extraction.save` writes."""

    def save(asked: Asked, state: "State") -> Exported:
        wish = wish_of(asked, state.pictures)
        found = extract(wish.pixels(), **wish.chosen)
        with tempfile.TemporaryDirectory() as folder:
            path = found.save(Path(folder) / f"extraction{suffix}")
            return Exported(path.read_bytes(), media_type)

    return save


def _python(asked: Asked, state: "State") -> Exported:
    wish = wish_of(asked, state.pictures)
    program = python_program(wish.picture, wish.gray, wish.kernel, wish.chosen)
    return Exported(program.encode(), "text/x-python")


def _keras(asked: Asked, state: "State") -> Exported:
    wish = wish_of(asked, state.pictures)
    program = keras_program(wish.picture, wish.gray, wish.kernel, wish.chosen)
    return Exported(program.encode(), "text/x-python")


EXPORTS: "dict[str, Callable[[Asked, State], Exported]]" = {
    "extract-png": _saved(".png", "image/png"),
    "extract-svg": _saved(".svg", "image/svg+xml"),
    "extract-npy": _saved(".npy", "application/octet-stream"),
    "extract-npz": _saved(".npz", "application/octet-stream"),
    "extract-python": _python,
    "extract-keras": _keras,
}
