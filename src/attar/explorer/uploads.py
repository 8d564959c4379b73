"""Files that people bring: read in pieces, and no further than what is allowed."""

from typing import TYPE_CHECKING
from urllib.parse import unquote

from attar.errors import ArgumentError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["TooLargeError", "file_name", "read_body"]

_MOST_NAME = 100


class TooLargeError(ArgumentError):
    """A file has more bytes than are taken."""


async def read_body(request: "Request", most: int, what: str) -> bytes:
    """Return the body of a request.

    It stops where the body becomes larger than `most` bytes, whatever the header says of it.

    Raises
    ------
    TooLargeError
        The message says how much is taken.
    """
    refusal = TooLargeError(
        f"{what}: the file is larger than {most >> 20} MiB, the most that is taken"
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise refusal
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise refusal
        pieces.append(piece)
    return b"".join(pieces)


def file_name(request: "Request") -> str:
    """Return what the page calls the file: to be shown, never to be opened."""
    name = unquote(request.headers.get("x-file-name", "")).replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in name if c.isprintable())[:_MOST_NAME] or "picture"
