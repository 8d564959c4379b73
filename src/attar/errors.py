"""The errors attar raises: each is an `AttarError` and the builtin that fits.

Messages are one sentence or two: the operation, the argument, what was received, and what
would be accepted.
"""

__all__ = [
    "ArgumentError",
    "AttarError",
    "DTypeError",
    "ImageError",
    "ImageNotFoundError",
    "ModelError",
    "ModelNotFoundError",
    "ShapeError",
]


class AttarError(Exception):
    """Base of every error that attar raises on purpose."""


class ArgumentError(AttarError, ValueError):
    """An argument has a value that the operation does not accept."""


class ShapeError(AttarError, ValueError):
    """An array has a shape that does not fit the operation or the other arguments."""


class DTypeError(AttarError, TypeError):
    """An array or an argument has a type that the operation does not accept."""


class ImageError(AttarError, ValueError):
    """A file could not be read or written as an image."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """There is no file, or no image in a folder, at the path given."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ModelError(AttarError, ValueError):
    """A model could not be read, taken over or written."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """There is no file of a model at the path given."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""
