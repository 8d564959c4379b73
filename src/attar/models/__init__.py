"""Models of any framework, opened: `attar.open_model`.

`opening` finds the room for a source, and `files` says which files are opened at all; `onnx`,
`keras`, `torch` and `sequential` are the frameworks, each an `Engine` of `protocol`. `model` is what
people get: it prepares images (`inputs`), cuts them into pieces (`pieces`), and says what is behind
each layer (`calls`). `sizes` and `outputs` find out what a model does not say.
"""

from attar.models.model import Model, Piece
from attar.models.opening import open_model
from attar.models.protocol import ModelLayer

__all__ = ["Model", "ModelLayer", "Piece", "open_model"]
