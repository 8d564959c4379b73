"""What a measure of an audit is: pure work on blocks of images, and numbers from all of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeAlias

from numpy.typing import NDArray

from attar.models import Model

__all__ = ["Block", "Measure", "Part", "Section"]

Array: TypeAlias = NDArray[Any]
Part: TypeAlias = dict[str, Array]
"""What a measure found in one block: small arrays, written to disk as they are."""


class Block(NamedTuple):
    """Some of the images of an audit.

    Attributes
    ----------
    images : ndarray, (n, H, W, C)
        float32 in [0, 1], all of one size.
    labels : ndarray of int64, (n,), or None
        The right classes, where they are known.
    first : int
        Index of the first of them among all images: what chance is seeded by.
    tick : callable (passes)
        Called with the number of forward passes that were made since it was last called. It may
        raise: then the block is given up, and done anew when the audit goes on.
    """

    images: Array
    labels: Array | None
    first: int
    tick: Callable[[int], None] = lambda passes: None


class Section(Protocol):
    """The numbers of a measure: a frozen dataclass."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None where a number is not known."""
        ...

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_dict` was made from."""
        ...


class Measure(Protocol):
    """One question that an audit puts to a model.

    A measure holds its settings and nothing else. An audit can so be interrupted at any time, go
    on with the blocks that are missing, and combine those that there are.
    """

    name: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        """Return everything that its answers depend on beside model and images, for JSON."""
        ...

    def passes(self, model: Model) -> int:
        """Return how many forward passes it makes for one image."""
        ...

    def work(self, model: Model, block: Block) -> Part:
        """Return what it finds in a block. The same block gives the same part."""
        ...

    def combine(self, model: Model, parts: Iterable[Part]) -> Section:
        """Return the numbers, from all parts that there are, in the order of the images.

        Raises
        ------
        ArgumentError
            There is no part.
        """
        ...
