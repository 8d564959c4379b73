"""ONNX models: read as graphs with channels last, and written from them."""

from attar.interchange.onnx_reader import read, read_bytes
from attar.interchange.onnx_writer import write

__all__ = ["read", "read_bytes", "write"]
