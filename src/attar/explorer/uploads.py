"""Files that people bring: read in pieces, and no further than what is allowed."""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attar.errors import ArgumentError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["TooLargeError", "TooSlowError", "UploadError", "file_name", "read_body"]

_MOST_NAME = 100
_PATIENCE = 30.0  # seconds from one piece to the next


class UploadError(ArgumentError):
    """A file is not taken; `status` is what HTTP calls it."""

    status = 400


class TooLargeError(UploadError):
    """A file has more bytes than are taken."""

    status = 413


class TooSlowError(UploadError):
    """A file stopped coming."""

    status = 408


async def read_body(request: "Request", most: int, what: str) -> bytes:
    """Return the body of a request.

    It stops where the body becomes larger than `most` bytes, whatever the header says of it.

    Raises
    ------
    TooLargeError
        The message says how much is taken.
    TooSlowError
        Nothing came for half a minute.
    """
    refusal = TooLargeError(
        f"{what}: the file is larger than {most >> 20} MiB, the most that is taken"
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise refusal
    pieces: list[bytes] = []
    size = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_PATIENCE):
                piece = await anext(stream, None)
        except TimeoutError:
            raise TooSlowError(f"{what}: the file stopped coming") from None
        if piece is None:
            return b"".join(pieces)
        size += len(piece)
        if size > most:
            raise refusal
        pieces.append(piece)


def file_name(request: "Request") -> str:
    """Return what the page calls the file: to be shown, never to be opened."""
    name = unquote(request.headers.get("x-file-name", "")).replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in name if c.isprintable())[:_MOST_NAME] or "picture"
