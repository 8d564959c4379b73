"""What all experiments share: results that say what was done, and how far an experiment is."""

from __future__ import annotations

import dataclasses
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from attar.errors import ArgumentError

if TYPE_CHECKING:
    from attar.figures import Picture

__all__ = ["Progress", "Result", "counted", "read_seeds", "whole_numbers"]

Progress = Callable[[int, int], None]
"""Called with how many parts of an experiment are done, and how many there are."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Result(ABC):
    """The numbers of an experiment, with the settings and the seeds that they follow from."""

    name: ClassVar[str]
    """Of the experiment, as `attar experiment` takes it."""

    @property
    @abstractmethod
    def chance(self) -> str:
        """What of it is random: its seeds, or that nothing is."""

    @abstractmethod
    def table(self) -> str:
        """Return the numbers as text."""

    @abstractmethod
    def figure(self) -> Picture:
        """Return the numbers as a picture."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as nested dicts and lists that strict JSON takes."""
        fields = {
            field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)
        }
        return {"schema": f"attar.experiment.{self.name}/1", "chance": self.chance, **fields}

    def to_json(self) -> str:
        """Return `as_dict` as a JSON document."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def counted(items: Iterable[T], total: int, progress: Progress | None) -> Iterator[T]:
    """Yield the items, and say after each how many are done.

    Examples
    --------
    >>> list(counted("ab", 2, lambda done, total: print(done, "of", total)))
    0 of 2
    1 of 2
    2 of 2
    ['a', 'b']
    """
    if progress is not None:
        progress(0, total)
    for done, item in enumerate(items, 1):
        yield item
        if progress is not None:
            progress(done, total)


def whole_numbers(
    operation: str, name: str, values: Iterable[int], *, least: int = 0
) -> tuple[int, ...]:
    """Read different whole numbers of at least `least`, in the order given.

    Examples
    --------
    >>> whole_numbers("circle", "pools", [1, 2])
    (1, 2)
    """
    found = tuple(values) if isinstance(values, Iterable) else ()
    whole = all(isinstance(one, int | np.integer) and not isinstance(one, bool) for one in found)
    if not found or not whole or min(found) < least or len(set(found)) < len(found):
        raise ArgumentError(
            f"experiments.{operation}: {name} is {values!r}; accepted are one or more different "
            f"ints of at least {least}"
        )
    return tuple(map(int, found))


def read_seeds(operation: str, seeds: Iterable[int]) -> tuple[int, ...]:
    """Read the seeds of an experiment."""
    return whole_numbers(operation, "seeds", seeds)
