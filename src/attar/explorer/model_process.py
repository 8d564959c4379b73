"""The program that runs models: reads questions from standard input, answers on standard output.

The explorer starts it (`attar.explorer.modelling.child`). What it opens may come from anybody, so
it limits its own memory before it reads anything, and what it says is nothing but frames. It ends
when its standard input does.
"""

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import AttarError
from attar.explorer.frames import pack, unpack
from attar.explorer.modelling.desk import KEPT_BYTES, Desk, MissingError
from attar.explorer.modelling.pipes import read_message, write_message
from attar.explorer.modelling.runs import StopError

__all__ = ["limit_memory", "main", "serve"]

Array: TypeAlias = NDArray[Any]
_Question: TypeAlias = tuple[dict[str, Any], dict[str, Array], bytes | None]

_MOST_MESSAGE = 4 << 30  # bytes; the explorer has its own limits for what it sends
_NICE = 5  # pages and the other rooms come first


def limit_memory(most_bytes: int) -> None:
    """Let this process have so much memory, and no more: what is beyond is a MemoryError."""
    try:
        import resource
    except ImportError:  # on Windows there is no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ValueError, OSError):  # macOS has the limit by name, and takes none
        return


def serve(
    source: BinaryIO, sink: BinaryIO, desk: Desk, when_alone: Callable[[], object] = lambda: None
) -> None:
    """Answer the questions that come from `source`, until it ends; then call `when_alone` at once.

    ``{"id", "ask": "open", "source"}`` opens a model, whose bytes follow as a message of their own
    where ``"blob"`` is true. ``{"id", "ask", …}`` with inputs as arrays is a question of `Desk`.
    ``{"cancel": id}`` takes one back; it is heard while another is computed.
    """
    questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
    asked: dict[str, int | None] = {"running": None, "cancelled": None}

    def listen() -> None:
        while (message := read_message(source, _MOST_MESSAGE)) is not None:
            header, arrays = unpack(message)
            if "cancel" in header:
                asked["cancelled"] = header["cancel"]
                if asked["running"] == header["cancel"]:
                    desk.stopped.set()
                continue
            blob = read_message(source, _MOST_MESSAGE) if header.get("blob") else None
            questions.put((header, arrays, blob))
        when_alone()
        questions.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (question := questions.get()) is not None:
        header, arrays, blob = question
        number = header["id"]
        asked["running"] = number
        desk.stopped.clear()
        if asked["cancelled"] == number:
            desk.stopped.set()
        desk.progress = lambda done, of, what, number=number: write_message(  # type: ignore[misc]
            sink, pack({"id": number, "progress": [done, of, what]})
        )
        write_message(sink, _answer(desk, header, arrays, blob))
        asked["running"] = None
        del question, arrays, blob


def _answer(
    desk: Desk, header: dict[str, Any], arrays: dict[str, Array], blob: bytes | None
) -> bytes:
    number = header["id"]
    try:
        if header["ask"] == "open":
            return pack({"id": number, "fields": desk.open(header["source"], blob)})
        fields, given = desk.ask(header["ask"], header, arrays)
        return pack({"id": number, "fields": fields}, given)
    except MissingError as error:
        return pack({"id": number, "missing": error.keys})
    except StopError:
        return pack({"id": number, "stopped": True})
    except AttarError as error:
        return pack({"id": number, "error": str(error)})
    except MemoryError:
        desk.forget()
        return pack({"id": number, "memory": True})
    except Exception as error:  # a fault of ours; the next question may well go through
        traceback.print_exc()
        return pack({"id": number, "error": f"{type(error).__name__}: {error}"})


def main() -> None:
    """Serve the pipes of this process; the argument is the memory that it may have, in bytes."""
    most_bytes = int(sys.argv[1])
    limit_memory(most_bytes)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    # Whatever a library prints must not get between the frames.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    np.seterr(all="ignore")  # a model's own infinities are shown, and no news
    # A layer may be running for minutes yet: nobody waits for it.
    serve(
        sys.stdin.buffer,
        sink,
        Desk(min(KEPT_BYTES, most_bytes // 4)),
        when_alone=lambda: os._exit(0),
    )


if __name__ == "__main__":
    main()
