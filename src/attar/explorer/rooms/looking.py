"""What the rooms Model and Scores share: which model looks at which pictures, and how."""

import json
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import NDArray

from attar import features
from attar.errors import ArgumentError
from attar.explorer.answers import Context
from attar.explorer.asked import Asked
from attar.explorer.modelling.child import Answer
from attar.explorer.modelling.opened import POOLS
from attar.preparation import PREPARATIONS, Preparation, fitted
from attar.tables import shape_text

__all__ = ["COMPARISONS", "MOST_NAME", "Looking", "Sight", "looking"]

Array: TypeAlias = NDArray[Any]

COMPARISONS = ("nothing", "picture", "shift", "built")
MOST_NAME = 1000  # characters of a layer's
_SIDE = 320  # pixels of the longer side, where the model leaves it open
_MOST_SIDE = 4096
_MOST_SHIFT = 512
_KEPT = 4  # pictures as the model sees them, of a topic


class Sight(NamedTuple):
    """A picture as a model sees it, with the kind of pools that it has then."""

    image: str
    size: tuple[int, int]
    channels: int
    preparation: Preparation
    pools: str = "built"
    shift: tuple[int, int] = (0, 0)  # down, to the right
    cropped: bool = False  # to the proportions of its size, not stretched to them

    @property
    def key(self) -> str:
        """What the input of the model is called: pools are no part of it."""
        return json.dumps([self._looks, vars(self.preparation)])

    @property
    def _looks(self) -> str:
        return json.dumps([self.image, *self.size, self.channels, *self.shift, self.cropped])

    def picture(self, context: Context) -> Array:
        """Return the picture at its size, (H, W, C) in [0, 1], before its numbers are prepared."""
        kept: dict[str, Array] = context.kept.setdefault("pictures", {})
        name = self._looks
        if name not in kept:
            pixels = context.pictures[self.image].pixels
            if self.cropped:
                pixels = _cropped(pixels, *self.size)
            picture = fitted(pixels, *self.size, self.channels)
            if self.shift != (0, 0):
                picture = features.shift(picture, *self.shift, mode="replicate")
            kept[name] = picture
            while len(kept) > _KEPT:
                del kept[next(iter(kept))]
        return kept[name]

    def drawn(self, context: Context) -> Array:
        """Return the picture as panels draw it: gray ones are (H, W)."""
        picture = self.picture(context)
        return picture[:, :, 0] if picture.shape[2] == 1 else picture

    def input(self, context: Context) -> Array:
        """Return what goes into the model, (1, H, W, C)."""
        return self.preparation.apply(self.picture(context))


class Looking(NamedTuple):
    """A model, and what it looks at: one picture, or two that are compared."""

    model: str
    facts: dict[str, Any]
    sights: dict[str, Sight]  # "first", and "second" where there are two

    def ask(self, what: str, fields: dict[str, Any], context: Context) -> Answer:
        """Ask the model (`attar.explorer.modelling.desk`)."""
        sides = {
            name: {"input": sight.key, "pools": sight.pools} for name, sight in self.sights.items()
        }
        inputs = {
            sight.key: lambda sight=sight: sight.input(context) for sight in self.sights.values()
        }
        return context.models.ask(self.model, what, {**fields, **sides}, inputs, context)


def looking(asked: Asked, context: Context) -> Looking:
    """Read which model looks at what.

    ``{"model", "image", "side", "pools", "prepare": {"as", "scale", "mean", "std", "bgr"},
    "compare": {"with", "image", "dx", "dy"}}``; all but ``"model"`` and ``"image"`` have usual
    values.
    """
    model = asked.text("model")
    facts = context.models.facts(model, context)
    image = asked.text("image")
    size, channels = _size(asked, facts["input"], context.pictures[image].pixels.shape)
    preparation = _preparation(asked.inner("prepare", required=False))
    preparation.check(channels)
    first = Sight(image, size, channels, preparation, asked.choice("pools", POOLS, "built"))
    sights = {"first": first}
    compare = asked.inner("compare", required=False)
    how = compare.choice("with", COMPARISONS, "nothing")
    if how == "picture":
        # Where the model takes any size, it is the first picture whose proportions both have.
        free = facts["input"] is None or None in facts["input"][:2]
        sights["second"] = first._replace(image=compare.text("image"), cropped=free)
    elif how == "shift":
        dy, dx = (
            compare.count(name, 0, least=-_MOST_SHIFT, most=_MOST_SHIFT) for name in ("dy", "dx")
        )
        sights["second"] = first._replace(shift=(dy, dx))
    elif how == "built":
        sights["second"] = first._replace(pools="built")
    return Looking(model, facts, sights)


def _size(
    asked: Asked, shape: list[int | None] | None, picture: tuple[int, ...]
) -> tuple[tuple[int, int], int]:
    """Return height, width and channels of the model's input."""
    height, width, channels = shape if shape and len(shape) == 3 else (0, 0, 0)
    channels = 3 if channels is None else channels
    if channels not in (1, 3):
        raise ArgumentError(
            f"model: it takes {shape_text(shape or ())}; pictures are height × width × 3, or 1"
        )
    side = asked.count("side", _SIDE, most=_MOST_SIDE)
    shrink = min(1.0, side / max(picture[:2]))
    size = tuple(
        given or max(1, round(own * shrink))
        for given, own in zip((height, width), picture[:2], strict=True)
    )
    if max(size) > _MOST_SIDE:
        raise ArgumentError(
            f"model: it takes pictures of {shape_text(size)}; up to {_MOST_SIDE} pixels a side are "
            "shown here"
        )
    return (size[0], size[1]), channels


def _cropped(picture: Array, height: int, width: int) -> Array:
    """Return the middle of a picture, as large as it can be with these proportions.

    Examples
    --------
    >>> import numpy as np
    >>> _cropped(np.arange(12).reshape(2, 6), 10, 10).tolist()
    [[2, 3], [8, 9]]
    """
    own_height, own_width = picture.shape[:2]
    scale = min(own_height / height, own_width / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (own_height - rows) // 2, (own_width - columns) // 2
    return picture[top : top + rows, left : left + columns]


def _preparation(asked: Asked) -> Preparation:
    name = asked.choice("as", (*PREPARATIONS, "custom"), "unit")
    if name != "custom":
        return PREPARATIONS[name]
    return Preparation(
        asked.number("scale", 1.0),
        tuple(asked.numbers("mean", least=1, most=3)) if "mean" in asked else (0.0,),
        tuple(asked.numbers("std", least=1, most=3)) if "std" in asked else (1.0,),
        asked.flag("bgr"),
    )
