"""From the bytes of a picture to its features."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar import nn
from attar.batch.config import BatchConfig, Color, LayerOfModel, Reduce, ThreeSteps
from attar.errors import ShapeError
from attar.images import decode_image, resize_image
from attar.operands import as_bias, as_filters, as_kernel, nn_arguments

__all__ = ["Extractor", "Features", "reduced"]

Array: TypeAlias = NDArray[np.float32]

PYRAMID = (1, 2, 4)
"""Levels of ``reduce="spp"``: bins along each side."""

MOST_IN_A_CELL = 1 << 30
"""Numbers that a list in a table may have, so that 32 bits count those of a group of rows."""


class Features(NamedTuple):
    """What came of a picture.

    Attributes
    ----------
    image_shape : tuple of int
        (H, W) or (H, W, C) of the image that was looked at: upright, resized where that was asked.
    values : ndarray, float32
        (H', W', K) of a map, (K,) of a vector.
    """

    image_shape: tuple[int, ...]
    values: Array


class Extractor:
    """Computes features as a configuration says, one picture at a time.

    What comes of a picture does not depend on the others.

    Parameters
    ----------
    config : BatchConfig

    Raises
    ------
    ArgumentError, ModelError (both ValueError)
        The model has no such layer, takes another size, or cannot be opened.

    Examples
    --------
    >>> from attar.batch.config import ThreeSteps
    >>> extractor = Extractor(BatchConfig(ThreeSteps.of("edge"), size=(8, 12), reduce="gap"))
    >>> extractor.shape
    (1,)
    """

    def __init__(self, config: BatchConfig) -> None:
        self.config = config
        self._base: _Base = (
            _Steps(config, config.base)
            if isinstance(config.base, ThreeSteps)
            else _Layer(config, config.base)
        )

    def __call__(self, data: bytes, name: str) -> Features:
        """Return the features of a picture.

        Parameters
        ----------
        data : bytes
            A whole file in one of the formats of `attar.read_image`.
        name : str
            What errors call it.

        Raises
        ------
        ImageError, ShapeError (both ValueError)
            It is damaged, or too small for a window.
        """
        size = self._base.size
        image = decode_image(
            data,
            color=self._base.color,
            max_pixels=self.config.max_pixels,
            name=name,
            at_least=size,
        )
        if size is not None and image.shape[:2] != size:
            image = resize_image(image, *size)
        values = reduced(self._base.map(image), self.config.reduce)
        if self.config.format == "parquet" and values.size > MOST_IN_A_CELL:
            raise ShapeError(
                f"its features are {values.size} numbers, and a table takes up to "
                f"{MOST_IN_A_CELL}; keep them as npy (--format), or reduce them"
            )
        return Features(image.shape, values)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the features, where it is one for all pictures."""
        if self._base.size is None:
            return None
        image = np.zeros(_image_shape(self._base.size, self._base.color), np.float32)
        return reduced(self._base.map(image), self.config.reduce).shape


def reduced(map: Array, reduce: Reduce) -> Array:
    """Condense a map, (H, W, K), to a vector; a vector stays as it is.

    Examples
    --------
    >>> map = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    >>> reduced(map, "gap"), reduced(map, "gmp"), reduced(map, "spp").shape
    (array([3., 4.], dtype=float32), array([6., 7.], dtype=float32), (42,))
    """
    if reduce == "none":
        return map
    if map.ndim != 3:
        raise _no_map(reduce, map.shape)
    if reduce == "gap" and map.shape[2] == 1:
        # A fourth of the time that `nn.global_pool` takes for a single channel.
        mean: Array = map.mean(dtype=np.float32, keepdims=True)[0, 0]
        return mean
    batch = map[None]
    if reduce == "spp":
        answer = nn.spatial_pyramid_pool(batch, PYRAMID)
    else:
        answer = nn.global_pool(batch, "AVG" if reduce == "gap" else "MAX")
    vector: Array = answer[0]
    return vector


def _image_shape(size: tuple[int, int], color: Color) -> tuple[int, ...]:
    return (*size, 3) if color == "rgb" else size


def _no_map(reduce: str, shape: tuple[int | None, ...]) -> ShapeError:
    return ShapeError(
        f"batch: reduce is {reduce!r}, and what the layer answers is no map but of shape {shape}; "
        "accepted is 'none'"
    )


class _Base(Protocol):
    """What makes a map of an image."""

    @property
    def color(self) -> Color: ...
    @property
    def size(self) -> tuple[int, int] | None: ...
    def map(self, image: Array) -> Array: ...


class _Steps:
    """Filter, detect, condense."""

    def __init__(self, config: BatchConfig, steps: ThreeSteps) -> None:
        self.color: Color = config.color
        self.size: tuple[int, int] | None = config.size
        kernel = steps.kernel if isinstance(steps.kernel, str) else np.array(steps.kernel)
        # As `extract` does it, but once for all images: of small ones it takes a fifth of the time.
        dtype = np.dtype(np.float32)
        self._filters = as_filters(as_kernel(kernel, dtype), _image_shape((1, 1), self.color))
        self._bias = as_bias(steps.spec, dtype)
        self._arguments = nn_arguments(steps.spec)

    def map(self, image: Array) -> Array:
        batch = image[None] if image.ndim == 3 else image[None, :, :, None]
        map: Array = nn.extract(batch, self._filters, self._bias, **self._arguments)[0]
        return map


class _Layer:
    """The answer of a layer."""

    def __init__(self, config: BatchConfig, layer: LayerOfModel) -> None:
        from attar.models import open_model

        self._model = open_model(layer.file, size=config.size, **layer.options)
        self._name = layer.layer
        shape = self._model.layer(layer.layer).output_shape
        if config.reduce != "none" and len(shape) != 3:
            raise _no_map(config.reduce, shape)
        given = self._model.input
        self.color: Color = "gray" if given.channels == 1 else "rgb"
        self.size: tuple[int, int] | None = None
        if given.height is not None and given.width is not None:
            self.size = given.height, given.width

    def map(self, image: Array) -> Array:
        planes = image if image.ndim == 3 else image[:, :, None]
        answer: Array = self._model.run(planes[None], watch=self._name)[self._name][0]
        return answer
