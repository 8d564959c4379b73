"""How far a worker is, in memory that it shares with its keeper: nothing is sent, nobody waits."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable

from attar.batch.work import Tally, Tell

__all__ = ["Board", "Watch"]

_NUMBERS = struct.Struct("=3q")
_EVERY = 0.1  # seconds from look to look


class Board:
    """A tally that one process writes and another one reads.

    Parameters
    ----------
    descriptor : int, optional
        Of the file that another process made for it; by default a new one.

    Attributes
    ----------
    descriptor : int
        Of the open file, which has no name. A process that is to write to it inherits it.

    Examples
    --------
    >>> board = Board()
    >>> Board(board.descriptor).write(Tally(3, 1, 4096))
    >>> board.read()
    Tally(images=3, failed=1, bytes=4096)
    >>> board.close()
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(_NUMBERS.size)
                descriptor = os.dup(file.fileno())
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _NUMBERS.size)

    def write(self, tally: Tally) -> None:
        """Put a tally up."""
        _NUMBERS.pack_into(self._memory, 0, *tally)

    def read(self) -> Tally:
        """Return the tally that is up."""
        return Tally(*_NUMBERS.unpack_from(self._memory))

    def close(self) -> None:
        """Give the memory and the file back."""
        self._memory.close()
        os.close(self.descriptor)


class Watch(contextlib.AbstractContextManager["Watch"]):
    """Looks at a board from a thread of its own while a block runs; then `tell` is called no more.

    Parameters
    ----------
    board : Board
        Below 0 images nothing has begun.
    images : int
        When so many are done, none is looked at any more.
    seconds : float
        That an image may take.
    tell : callable
        Called with what is up, when that has changed.
    end : callable
        Ends who writes to the board: an image takes too long, or `tell` failed.

    Attributes
    ----------
    late : int or None
        The place of the image that took too long.
    error : BaseException or None
        What `tell` raised.
    """

    def __init__(
        self, board: Board, images: int, seconds: float, tell: Tell, end: Callable[[], None]
    ) -> None:
        self.late: int | None = None
        self.error: BaseException | None = None
        self._board, self._images, self._seconds = board, images, seconds
        self._tell, self._end = tell, end
        self._stopped = threading.Event()
        # Read here: what is written in the block is a change, however late the thread begins.
        self._thread = threading.Thread(target=self._look, args=(board.read(),), daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _look(self, seen: Tally) -> None:
        since = time.monotonic()
        while not self._stopped.wait(_EVERY):
            tally, now = self._board.read(), time.monotonic()
            try:
                if tally != seen:
                    seen, since = tally, now
                    self._tell(tally)
                elif 0 <= tally.images < self._images and now - since > self._seconds:
                    self.late = tally.images
            except BaseException as error:
                self.error = error
            if self.late is not None or self.error is not None:
                self._end()
                return
