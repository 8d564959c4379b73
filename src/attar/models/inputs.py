"""What a model takes: the size, and the preparation, each with where that is known from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.models.protocol import OPERATION, Array, Layout, Takes
from attar.preparation import PREPARATIONS, Preparation, fitted
from attar.tables import shape_text

__all__ = [
    "KNOWN",
    "ModelInput",
    "known_preparation",
    "read_preparation",
    "read_size",
    "rescaled",
]

_LARGEST = 2.0  # of an image: above it are bytes; below may be what a filter made of one
_SIGNED = Preparation(scale=2.0, mean=(1.0,))  # -1 to 1
_BYTES, _TORCH, _CAFFE = (PREPARATIONS[name] for name in ("bytes", "torch", "vgg"))

KNOWN = MappingProxyType(
    {
        # keras.applications, by the names of its models: what its preprocess_input does.
        "vgg16": _CAFFE,
        "vgg19": _CAFFE,
        "resnet50": _CAFFE,
        "resnet101": _CAFFE,
        "resnet152": _CAFFE,
        "resnet50v2": _SIGNED,
        "resnet101v2": _SIGNED,
        "resnet152v2": _SIGNED,
        "inception_v3": _SIGNED,
        "inception_resnet_v2": _SIGNED,
        "xception": _SIGNED,
        "nasnet": _SIGNED,
        "nasnet_mobile": _SIGNED,
        "nasnet_large": _SIGNED,
        "mobilenet": _SIGNED,
        "mobilenetv2": _SIGNED,
        "densenet121": _TORCH,
        "densenet169": _TORCH,
        "densenet201": _TORCH,
        # Packages of PyTorch modules.
        "torchvision.models": _TORCH,
        "facenet_pytorch.models.mtcnn": Preparation(scale=255.0, mean=(127.5,), std=(128.0,)),
    }
)
"""The preparations of models that are known by name: of the model, or of its package."""


def known_preparation(name: str) -> tuple[Preparation, str] | None:
    """Look a model up by its name or by the module its class is of.

    Examples
    --------
    >>> known_preparation("mobilenetv2_1.00_224")[1]
    'known of mobilenetv2'
    """
    lowered = name.lower()
    for key in sorted(KNOWN, key=len, reverse=True):
        if lowered == key or lowered.startswith((f"{key}_", f"{key}.")):
            return KNOWN[key], f"known of {key}"
    return None


def rescaled(factor: float, layer: str) -> tuple[Preparation, str]:
    """Return what a model takes that multiplies its input by a factor first."""
    if factor < 1 / 16:  # 1/255, 1/127.5 or the deviation of bytes: it makes small what is large
        return Preparation(scale=255.0), f"its layer {layer} takes 0 to 255"
    return Preparation(), f"its layer {layer} takes 0 to 1"


@dataclass(frozen=True)
class ModelInput:
    """What a model takes, and where that is known from. Its text is one line for each.

    Attributes
    ----------
    batch, height, width : int or None
        None where any number will do.
    channels : int
    layout : {"NCHW", "NHWC"}
        Of the model itself. What it is given here is always (N, H, W, C).
    preparation : Preparation
        What becomes of the numbers of a picture, 0 to 1.
    size_says, preparation_says : str
        Where these are known from.
    """

    batch: int | None
    height: int | None
    width: int | None
    channels: int
    layout: Layout
    preparation: Preparation
    size_says: str
    preparation_says: str

    def __str__(self) -> str:
        size = shape_text((self.height, self.width, self.channels))
        made = self.preparation
        mean, std = map(_text, (made.mean, made.std))
        order = "" if self.channels != 3 else ", blue first" if made.bgr else ", red first"
        alone = "" if self.batch is None else f", {self.batch} at a time"
        return (
            f"size         {size}, {self.layout}{alone} ({self.size_says})\n"
            f"preparation  (picture * {made.scale:g} - {mean}) / {std}{order} "
            f"({self.preparation_says})"
        )

    def fit(self, operation: str, images: Any) -> Array:
        """Check images and give them the size and the channels that the model takes.

        Parameters
        ----------
        images : ndarray, (N, H, W, C)
            float in [0, 1], or uint8. Another size is resized (bilinear); colours become gray for a
            model of one channel, and gray is repeated for one of three.
        """
        array = np.asarray(images)
        if array.dtype != np.uint8 and array.dtype.kind != "f":
            raise DTypeError(
                f"{operation}: images must be float32 in [0, 1] or uint8, got {array.dtype}"
            )
        if array.dtype.kind == "f" and array.size and array.max() > _LARGEST:
            raise ArgumentError(
                f"{operation}: images must lie in [0, 1], or be uint8, got values up to "
                f"{array.max():g}"
            )
        if array.ndim != 4:
            hint = "; one image needs a batch: image[None]" if array.ndim == 3 else ""
            raise ShapeError(
                f"{operation}: images must be (N, H, W, C), got the shape {array.shape}{hint}"
            )
        count, height, width, channels = array.shape
        wanted = (self.height or height, self.width or width, self.channels)
        fits = channels == self.channels or {channels, self.channels} == {1, 3}
        if min(height, width) < 1 or not fits:
            raise ShapeError(
                f"{operation}: images must be (N, H, W, {self.channels}), got the shape "
                f"{array.shape}"
            )
        if (height, width, channels) == wanted:
            return array
        if array.dtype == np.uint8:
            array = array * np.float32(1 / 255)
        resized = np.empty((count, *wanted), np.float32)
        for image, made in zip(array, resized, strict=True):
            made[...] = fitted(image.astype(np.float32, copy=False), *wanted)
        return resized


def _text(numbers: tuple[float, ...]) -> str:
    texts = [f"{number:g}" for number in numbers]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


def read_size(takes: Takes, size: Any) -> tuple[int | None, int | None, str]:
    """Return height and width that a model takes by what it says and what the caller says."""
    said = (takes.height, takes.width)
    if size is None:
        return *said, takes.says
    pair = size if isinstance(size, Sequence) else (size, size)
    whole = all(isinstance(side, int | np.integer) and side > 0 for side in pair)
    if len(pair) != 2 or not whole:
        raise ArgumentError(
            f"{OPERATION}: size must be a number of at least 1 or (height, width), got {size!r}"
        )
    height, width = (int(side) for side in pair)
    for own, side in zip(said, (height, width), strict=True):
        if own is not None and own != side:
            raise ArgumentError(
                f"{OPERATION}: size is {height} × {width}, and the model takes "
                f"{shape_text(said)} ({takes.says})"
            )
    return height, width, "stated"


def read_preparation(
    takes: Takes,
    channels: int,
    preparation: Preparation | str | None,
    scale: float | None,
    mean: float | Sequence[float] | None,
    std: float | Sequence[float] | None,
    order: Literal["rgb", "bgr"] | None,
) -> tuple[Preparation, str]:
    """Return the preparation by what the caller says, else the model, else 0 to 1."""
    if isinstance(preparation, str):
        if preparation not in PREPARATIONS:
            raise ArgumentError(
                f"{OPERATION}: preparation must be a Preparation or one of "
                f"{', '.join(PREPARATIONS)}, got {preparation!r}"
            )
        base, says = PREPARATIONS[preparation], "stated"
    elif isinstance(preparation, Preparation):
        base, says = preparation, "stated"
    elif preparation is not None:
        raise DTypeError(
            f"{OPERATION}: preparation must be a Preparation or a name, got {preparation!r}"
        )
    elif takes.preparation is not None:
        base, says = takes.preparation, takes.preparation_says
    else:
        base, says = Preparation(), "assumed: the model says nothing; pass scale, mean, std, order"
    if order not in (None, "rgb", "bgr"):
        raise ArgumentError(f"{OPERATION}: order must be 'rgb' or 'bgr', got {order!r}")
    given = (scale, mean, std, order)
    if any(each is not None for each in given):
        # What is stated is stated whole: a mean is of no use on another scale than its own.
        started = base if preparation is not None else Preparation()
        base = Preparation(
            started.scale if scale is None else _numbers("scale", scale)[0],
            started.mean if mean is None else _numbers("mean", mean),
            started.std if std is None else _numbers("std", std),
            started.bgr if order is None else order == "bgr",
        )
        says = "stated"
    base.check(channels)
    return base, says


def _numbers(argument: str, value: Any) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in np.atleast_1d(np.asarray(value, float)))
    except (TypeError, ValueError):
        raise DTypeError(f"{OPERATION}: {argument} must be numbers, got {value!r}") from None
