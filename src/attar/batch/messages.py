"""What a worker and its keeper say to each other."""

import pickle
from typing import BinaryIO, NamedTuple

from attar.batch.outputs import Shard

__all__ = ["Failed", "Task", "send"]


class Task(NamedTuple):
    """A shard to compute, without the images in `skip`, by place, and the reasons."""

    shard: Shard
    skip: dict[int, str]


class Failed(NamedTuple):
    """The shard could not be computed or written; an image alone is no reason for that."""

    error: BaseException


def send(sink: BinaryIO, message: object) -> None:
    """Write a message, and let it go at once."""
    sink.write(pickle.dumps(message))
    sink.flush()
