"""The process of a model as the explorer sees it: asked, watched, and stopped where it must be."""

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from numpy.typing import NDArray

import attar
from attar.errors import ModelError
from attar.explorer.frames import pack, unpack
from attar.explorer.modelling.pipes import CHUNK_BYTES, read_message, write_message

__all__ = ["Child", "Limits", "StoppedError"]

Array: TypeAlias = NDArray[Any]
Answer: TypeAlias = tuple[dict[str, Any], dict[str, Array]]

_MOST_ANSWER = 1 << 28  # bytes: panels of 2048² and thumbnails are far below
_GRACE = 2.0  # seconds that a cancelled question may go on inside of a layer
_TICK = 0.05  # seconds between looks at whether somebody still waits
_SHOWN_OF_STDERR = 2000
_log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """What a model may use.

    Attributes
    ----------
    memory_bytes : int
        Of its process, all in all.
    seconds : float
        For one question.
    """

    memory_bytes: int = 8 << 30
    seconds: float = 120.0


class StoppedError(ModelError):
    """The process ended, or was ended; the next one begins with the model to be opened again."""


class Child:
    """One process. Ask it one question at a time; once `StoppedError` was raised it is gone.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits) -> None:
        self.opened: str | None = None  # key of the model that is open there
        self._limits = limits
        self._count = 0
        self._writing = threading.Lock()
        self._late = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        home = str(Path(attar.__file__).parents[1])
        known = os.environ.get("PYTHONPATH", "")
        self._process = subprocess.Popen(
            # -P: what lies in the current folder is no part of attar.
            [sys.executable, "-P", "-m", "attar.explorer.model_process", str(limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (home, known)))},
            start_new_session=True,  # Ctrl-C in the terminal is for the explorer alone
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._stdout: BinaryIO = self._process.stdout  # type: ignore[assignment]

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(
        self,
        question: Mapping[str, Any],
        inputs: Mapping[str, Array],
        *,
        blob: BinaryIO | None = None,
        cancelled: threading.Event,
        progress: Callable[[int, int, str], None],
    ) -> Answer | list[str]:
        """Ask a question, and wait for the answer.

        Parameters
        ----------
        question : mapping
            Plain values, with ``"ask"``.
        inputs : mapping of str to ndarray
            Inputs of the model that come along.
        blob : file, optional
            Bytes of a model that come along.
        cancelled : threading.Event
            Set where nobody waits any more. The process stops between two layers, or is ended.
        progress : callable (done, of, what)

        Returns
        -------
        (fields, arrays), or the keys of the inputs that it needs; (nothing, nothing) where it was
        cancelled.

        Raises
        ------
        StoppedError
            It took too long, or ended by itself, or had to be ended.
        ModelError
            What the process says is wrong with the question or the model.
        """
        self._count += 1
        number = self._count
        done = threading.Event()
        watch = threading.Thread(
            target=self._watch,
            args=(number, done, cancelled),
            name="attar-model-watch",
            daemon=True,
        )
        watch.start()
        try:
            message = pack({**question, "id": number, "blob": blob is not None}, inputs)
            with self._writing:
                write_message(self._stdin, message)
                if blob is not None:
                    _send(self._stdin, blob)
            return self._hear(number, progress)
        except ModelError:
            raise
        except (OSError, ValueError) as error:  # a pipe that broke, a frame that is none
            raise self._obituary() from error
        finally:
            done.set()
            watch.join()

    def _hear(self, number: int, progress: Callable[[int, int, str], None]) -> Answer | list[str]:
        while True:
            message = read_message(self._stdout, _MOST_ANSWER)
            if message is None:
                raise self._obituary()
            header, arrays = unpack(message)
            if header.get("id") != number:
                continue
            if "progress" in header:
                layers, of, what = header["progress"]
                progress(layers, of, what)
            elif "missing" in header:
                return list(header["missing"])
            elif "stopped" in header:
                return {}, {}
            elif "memory" in header:
                raise ModelError(
                    "model: there is not enough memory for it (the limit is "
                    f"{self._limits.memory_bytes >> 20} MiB); take a smaller picture"
                )
            elif "error" in header:
                raise ModelError(str(header["error"]))
            else:
                return header["fields"], arrays

    def _watch(self, number: int, done: threading.Event, cancelled: threading.Event) -> None:
        """Pass on that a question was cancelled, and end the process where it takes too long."""
        deadline = time.monotonic() + self._limits.seconds
        told = False
        while not done.wait(_TICK):
            if cancelled.is_set() and not told:
                told = True
                deadline = min(deadline, time.monotonic() + _GRACE)
                # While a question is still being written, it is ended at the deadline.
                if self._writing.acquire(blocking=False):
                    with contextlib.suppress(OSError, ValueError):
                        write_message(self._stdin, pack({"cancel": number}))
                    self._writing.release()
            if time.monotonic() > deadline:
                self._late = not told
                self._process.kill()
                return

    def _obituary(self) -> StoppedError:
        """Bury the process, and return what is said of it."""
        self.close()
        if self._late:
            return StoppedError(
                f"model: it took longer than {self._limits.seconds:g} s, so its process was "
                "stopped; take a smaller picture. The model is opened again with the next question"
            )
        return StoppedError(
            f"model: its process ended (status {self._process.returncode}); the terminal has what "
            "it said. The model is opened again with the next question"
        )

    def kill(self) -> None:
        """End the process, wherever it is: whoever asks it is told. For any thread."""
        self._process.kill()

    def close(self) -> None:
        """End the process and tidy up, for the thread whose turn it is to ask."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        if not self._stderr.closed:
            said = _tail(self._stderr)
            self._stderr.close()
            if said:
                _log.warning("the process of the model said:\n%s", said)


def _tail(file: BinaryIO) -> str:
    """Return the end of what was written to a file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _SHOWN_OF_STDERR))
    return file.read().decode("utf-8", "replace").strip()


def _send(pipe: BinaryIO, file: BinaryIO) -> None:
    """Write a file as one message, without reading all of it into memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    pipe.write(size.to_bytes(8, "little"))
    while piece := file.read(CHUNK_BYTES):
        pipe.write(piece)
    pipe.flush()
