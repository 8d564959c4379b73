"""What comes of a repair: the model, and what was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Replacement", "Rewritten"]


@dataclass(frozen=True)
class Replacement:
    """A layer with a stride, and what became of it.

    Attributes
    ----------
    layer : str
    was : str
        What it was: kind, window, stride.
    now : str
        What computes in its place; empty where it stays.
    why : str
        Where what is new was put, or why the layer stays.
    """

    layer: str
    was: str
    now: str
    why: str


class Rewritten(NamedTuple):
    """A model of a framework with other strides.

    Attributes
    ----------
    model : object
    replaced : tuple of Replacement
        One for each layer with a stride, those that stay too.
    """

    model: Any
    replaced: tuple[Replacement, ...]
