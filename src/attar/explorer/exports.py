"""What can be taken along from the page: files, made by the library and not by the page."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from attar.explorer.asked import Asked

if TYPE_CHECKING:
    from attar.explorer.app import State

__all__ = ["EXPORTS", "Exported"]


class Exported(NamedTuple):
    """A file for a person to keep."""

    data: bytes
    media_type: str


EXPORTS: "dict[str, Callable[[Asked, State], Exported]]" = {}
