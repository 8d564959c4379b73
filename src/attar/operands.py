"""What an extraction computes with: floats of an image, filters of a kernel, options for `nn`."""

import os
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar import kernels
from attar.errors import DTypeError, ShapeError
from attar.spec import ExtractionSpec, Padding
from attar.unit import in_unit

__all__ = [
    "NN_POOLING",
    "WHITE",
    "as_filters",
    "as_floats",
    "as_kernel",
    "nn_arguments",
    "nn_padding",
    "wrong_rank",
]

Array: TypeAlias = NDArray[Any]

WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""What an integer image is divided by."""

NN_POOLING = {"max": "MAX", "average": "AVG"}


def nn_arguments(spec: ExtractionSpec) -> dict[str, Any]:
    """Return the options as `attar.nn.extract` takes them."""
    return {
        "strides": spec.conv_stride,
        "padding": nn_padding(spec.conv_padding),
        "activation": spec.activation,
        "window_shape": spec.pool_size,
        "pooling_type": None if spec.pool is None else NN_POOLING[spec.pool],
        "pool_strides": spec.pool_stride,
        "pool_padding": nn_padding(spec.pool_padding),
    }


def nn_padding(padding: Padding) -> Any:
    """Return padding as `attar.nn` takes it."""
    return padding.upper() if isinstance(padding, str) else padding


def as_floats(pixels: Array) -> Array:
    """Return pixels as they are filtered: floats as they are, whole numbers in [0, 1]."""
    # Files hold either byte order; the arithmetic needs the processor's.
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype in WHITE:
        pixels = in_unit(pixels, WHITE[pixels.dtype])
    if pixels.dtype not in (np.float32, np.float64):
        raise DTypeError(
            f"extract: the image has dtype {pixels.dtype}; accepted are float32, float64, "
            "uint8 (divided by 255) and uint16 (divided by 65535)"
        )
    return pixels


def wrong_rank(shape: tuple[int, ...]) -> ShapeError:
    """Return the error for an image of another rank."""
    return ShapeError(
        f"extract: the image has shape {shape}; accepted are (H, W), (H, W, C) and (N, H, W, C)"
    )


def as_kernel(kernel: Any, dtype: np.dtype[Any]) -> Array:
    """Return the weights that a kernel names, of this dtype, in memory of their own."""
    parsed = kernels.parse_kernel(os.fspath(kernel) if isinstance(kernel, os.PathLike) else kernel)
    # The cast of an array that has the dtype already still copies: the result is frozen.
    return np.array(parsed, dtype=dtype)


def as_filters(weights: Array, shape: tuple[int, ...]) -> Array:
    """Return the kernel as the (kh, kw, C, K) filters for an image of this shape."""
    channels = 1 if len(shape) == 2 else shape[-1]
    if weights.ndim == 2:
        # max: an image with no channels at all is refused by nn, not by a division by zero.
        shared = (weights / max(channels, 1)).astype(weights.dtype)[:, :, None, None]
        return np.repeat(shared, channels, axis=2)
    if weights.shape[2] != channels:
        raise ShapeError(
            f"extract: the kernel of shape {weights.shape} is for {weights.shape[2]} "
            f"channel(s) and the image of shape {shape} has {channels}; accepted are "
            f"(kh, kw) and (kh, kw, {channels}, K)"
        )
    return weights


def as_bias(spec: ExtractionSpec, dtype: np.dtype[Any]) -> Array | None:
    """Return the bias for each filter, of this dtype."""
    return None if spec.bias is None else np.array(spec.bias, dtype=dtype)
