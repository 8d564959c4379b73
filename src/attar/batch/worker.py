"""The program that computes shards: tasks on standard input, what comes of them on standard output.

`attar.batch.keeper` starts it. It ends when its standard input does, or with the next image when
nobody hears it any more.
"""

import os
import pickle
import sys
from typing import BinaryIO

from attar.batch.config import BatchConfig
from attar.batch.messages import Begun, Failed, Task, send
from attar.batch.plan import Done
from attar.batch.store import Store, open_store
from attar.batch.work import compute
from attar.errors import AttarError

__all__ = ["main"]


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Take a configuration and an address of an output, then tasks; answer each with a `Done`."""
    config: BatchConfig
    config, address = pickle.load(source)
    store = open_store(address)
    while True:
        try:
            task: Task = pickle.load(source)
        except EOFError:
            return
        send(sink, _answer(task, config, store, sink))


def _answer(task: Task, config: BatchConfig, store: Store, sink: BinaryIO) -> Done | Failed:
    try:
        return compute(
            store, task.shard, config, skip=task.skip, tell=lambda tally: send(sink, Begun(tally))
        )
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
