"""The program that computes shards: tasks on standard input, what comes of them on standard output.

`attar.batch.keeper` starts it, and sees on a board how far it is. It ends when its standard input
does, or with the next image when its keeper is gone.
"""

import os
import pickle
import sys
from typing import BinaryIO

from attar.batch.board import Board
from attar.batch.config import BatchConfig
from attar.batch.messages import Failed, Task, send
from attar.batch.plan import Done
from attar.batch.store import Store, open_store
from attar.batch.work import Tally, Tell, compute
from attar.errors import AttarError

__all__ = ["main"]


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Take what all tasks share, then tasks; answer each with a `Done`."""
    parent = os.getppid()
    config: BatchConfig
    config, address, descriptor = pickle.load(source)
    store = open_store(address)
    board = Board(descriptor)

    def tell(tally: Tally) -> None:
        if os.getppid() != parent:
            raise BrokenPipeError("the keeper is gone")
        board.write(tally)

    while True:
        try:
            task: Task = pickle.load(source)
        except EOFError:
            return
        send(sink, _answer(task, config, store, tell))


def _answer(task: Task, config: BatchConfig, store: Store, tell: Tell) -> Done | Failed:
    try:
        return compute(store, task.shard, config, skip=task.skip, tell=tell)
    except BrokenPipeError:  # nobody is there any more
        raise
    except (AttarError, OSError, MemoryError) as error:
        return Failed(_plain(error))


def _plain(error: BaseException) -> BaseException:
    """Return an error that can travel: no class of a package that the other side lacks."""
    known: tuple[type[BaseException], ...] = (AttarError, OSError, MemoryError)
    if isinstance(error, OSError) and not isinstance(error, AttarError):
        return OSError(error.errno, error.strerror or str(error), error.filename)
    kind = next(
        each for each in (type(error), *known) if each.__module__ in ("builtins", "attar.errors")
    )
    return kind(str(error))


def main() -> None:
    """Serve the pipes of this process."""
    # Whatever a library prints must not get between the messages.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
