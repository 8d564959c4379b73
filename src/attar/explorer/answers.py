"""What a room gives: its answer to a question, and what it may use to find it."""

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import AttarError
from attar.explorer.asked import Asked
from attar.explorer.frames import pack
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures

__all__ = ["Answerer", "CancelError", "Context", "Reply", "fault"]

Array: TypeAlias = NDArray[Any]


class CancelError(AttarError):
    """Nobody waits for this answer any more."""


def fault(what: str, error: BaseException) -> str:
    """Return what a page is told of an error that is attar's own; the terminal has the rest."""
    if isinstance(error, MemoryError):
        return f"{what}: there is not enough memory for it"
    return (
        f"{what}: attar failed ({type(error).__name__}); the terminal where it runs says where. "
        "Please report it"
    )


class Reply(NamedTuple):
    """Plain values, and arrays by their names.

    A map that is drawn has what `views.shown` says of it in ``fields["maps"][name]``.
    """

    fields: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray[Any, Any]] = {}

    def frame(self, question: int) -> bytes:
        """Return it as the page reads it."""
        return pack({"id": question, "fields": self.fields}, self.arrays)


@dataclasses.dataclass
class Context:
    """What an answer may use.

    Attributes
    ----------
    pictures, models
        Of this run.
    kept : dict
        Of this connection and topic: what the last answer computed, for the next one. Only one
        question of a topic is answered at a time.
    cancelled : threading.Event
        Set when nobody waits for the answer any more.
    progress : callable (done, of, what)
        Tells the page how far a long answer is.
    """

    pictures: Pictures
    models: Models
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)
    cancelled: threading.Event = dataclasses.field(default_factory=threading.Event)
    progress: Callable[[int, int, str], None] = lambda done, of, what: None

    def check(self) -> None:
        """Raise CancelError where nobody waits any more."""
        if self.cancelled.is_set():
            raise CancelError("cancelled")


Answerer: TypeAlias = Callable[[Asked, Context], Reply]
