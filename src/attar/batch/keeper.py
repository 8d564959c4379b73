"""A worker as its engine sees it: started again when it dies, until it is known why."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import attar
from attar.batch.board import Board, Watch
from attar.batch.config import BatchConfig
from attar.batch.messages import Failed, Task, send
from attar.batch.outputs import Shard
from attar.batch.plan import Done
from attar.batch.work import Tally, Tell
from attar.errors import AttarError

__all__ = ["Keeper"]

_PATIENCE = 3  # deaths at one image, or before the first one, until it is held to be the reason
_SHOWN_OF_STDERR = 2000
_ONE_THREAD = (
    "ATTAR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# glibc gives large pieces back to the system when they are freed, and a new image takes as long for
# its new pages as for its decoding. Memory that was taken once is kept instead.
_KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


class Keeper:
    """Has one process compute shards, one after the other.

    Where the process dies, the shard is begun anew by another one. An image at which it dies three
    times, or which takes too long, becomes a row with that error.

    Parameters
    ----------
    config : BatchConfig
    address : str
        Of the output.
    seconds : float
        That an image may take.
    """

    def __init__(self, config: BatchConfig, address: str, seconds: float) -> None:
        self._board = Board()
        self._first = pickle.dumps((config, address, self._board.descriptor))
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: Any = None
        self._closed = False
        self._working = threading.Lock()

    def compute(self, shard: Shard, tell: Tell) -> Done:
        """Compute a shard.

        Parameters
        ----------
        shard : Shard
        tell : callable
            Called now and then, from another thread, with what is done of the shard.

        Raises
        ------
        AttarError, OSError, MemoryError
            What the process says is wrong, such as a full disk.
        AttarError
            The process dies before it looks at any image, or while it writes.
        """
        with self._working:
            return self._compute(shard, tell)

    def _compute(self, shard: Shard, tell: Tell) -> Done:
        skip: dict[int, str] = {}
        deaths: Counter[int] = Counter()
        while True:
            self._board.write(Tally(images=-1))
            death: Exception | None = None
            with Watch(self._board, len(shard.rows), self._seconds, tell, self._kill) as watch:
                try:
                    answer = self._ask(Task(shard, skip))
                except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
                    death = error
            if death is None:
                if watch.error is not None:
                    raise watch.error
                return answer
            place = self._board.read().images  # of the image that was looked at
            why = self._obituary()
            if self._closed:
                raise AttarError("batch: stopped") from death
            if watch.error is not None:
                raise watch.error
            if watch.late is not None:
                skip[watch.late] = f"it took more than {self._seconds:g} s"
                continue
            deaths[place] += 1
            if deaths[place] == _PATIENCE:
                if not 0 <= place < len(shard.rows):
                    when = "before its first image" if place < 0 else "while it wrote"
                    raise AttarError(f"batch: a worker {why} {when}") from death
                skip[place] = f"the process that read it {why}"

    def _ask(self, task: Task) -> Done:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        send(process.stdin, task)  # type: ignore[arg-type]
        answer: Done | Failed = pickle.load(process.stdout)
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        home = str(Path(attar.__file__).parents[1])
        known = os.environ.get("PYTHONPATH", "")
        variables = {
            **os.environ,
            **dict.fromkeys(_ONE_THREAD, "1"),  # each worker is a core's
            **_KEPT_MEMORY,
            "PYTHONPATH": os.pathsep.join(filter(None, (home, known))),
        }
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        process = subprocess.Popen(
            # -P: what lies in the current folder is no part of attar.
            [sys.executable, "-P", "-m", "attar.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=variables,
            pass_fds=(self._board.descriptor,),
            start_new_session=True,  # Ctrl-C in the terminal is for the run alone
        )
        self._process = process
        if self._closed:  # meanwhile
            process.kill()
        assert process.stdin is not None
        process.stdin.write(self._first)
        process.stdin.flush()
        return process

    def _obituary(self) -> str:
        """Let go of the process that died, and say how."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        for pipe in (process.stdin, process.stdout):
            _close(pipe)
        code = process.wait()
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _SHOWN_OF_STDERR))
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        self._stderr.close()
        if code < 0:
            names = {each.value: each.name for each in signal.Signals}
            return f"was ended by {names.get(-code, f'signal {-code}')}"
        return f"ended with status {code}" + (f" ({said[-1]})" if said else "")

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process, whatever it is doing. What it has finished stays."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, self._stderr):
                _close(pipe)
        with self._working:
            self._board.close()


def _close(pipe: Any) -> None:
    with contextlib.suppress(OSError):  # what was still to be written has nobody to read it
        pipe.close()
