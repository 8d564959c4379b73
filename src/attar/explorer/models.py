"""Models, opened and run in a process of their own."""

__all__ = ["MOST_MODEL_BYTES", "Models"]


MOST_MODEL_BYTES = 1 << 30  # of an uploaded file


class Models:
    """The models of a run."""

    def take(self, data: bytes, name: str) -> dict[str, object]:
        """Open the bytes of an ONNX file."""
        raise NotImplementedError

    def close(self) -> None:
        """End the process."""
