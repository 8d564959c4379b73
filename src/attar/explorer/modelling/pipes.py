"""Messages over a pipe: the length of a frame, then the frame (`attar.explorer.frames`)."""

import struct
from typing import BinaryIO

from attar.errors import ArgumentError

__all__ = ["CHUNK_BYTES", "read_message", "write_message"]

CHUNK_BYTES = 1 << 20
_LENGTH = struct.Struct("<Q")


def write_message(pipe: BinaryIO, message: bytes) -> None:
    """Write a message, and let it go at once."""
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def read_message(pipe: BinaryIO, most_bytes: int) -> bytes | None:
    """Return the next message; None where the other side is gone.

    Raises
    ------
    ArgumentError
        It says that it is larger than `most_bytes`: nothing of it is read.

    Examples
    --------
    >>> import io
    >>> pipe = io.BytesIO()
    >>> write_message(pipe, b"what do you see?")
    >>> pipe.seek(0), read_message(pipe, 100), read_message(pipe, 100)
    (0, b'what do you see?', None)
    """
    head = _exactly(pipe, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > most_bytes:
        raise ArgumentError(f"a message of {length} bytes; at most {most_bytes} are read")
    return _exactly(pipe, length)


def _exactly(pipe: BinaryIO, count: int) -> bytes | None:
    """Read in pieces, so that memory is taken only for bytes that come."""
    pieces = []
    while count:
        piece = pipe.read(min(count, CHUNK_BYTES))
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
