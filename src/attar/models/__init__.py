"""Models of any framework, opened: `attar.open_model`.

`opening` finds the room for a source, and `files` says which files are opened at all; `onnx`,
`keras`, `torch` and `sequential` are the frameworks, each an `Engine` of `protocol`. `model` is
what people get: it prepares images (`inputs`), cuts them into pieces (`pieces`), and says what its
layers are (`layers`, from `calls`). `sizes` and `outputs` find out what a model does not say.
"""

from attar.models.layers import ModelLayer
from attar.models.model import Model, Piece
from attar.models.opening import open_model

__all__ = ["Model", "ModelLayer", "Piece", "open_model"]
