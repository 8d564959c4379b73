"""Small pictures of images, as data URIs."""

from __future__ import annotations

import base64
import io
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.images import resize_image

__all__ = ["PREFIX", "thumbnail"]

Array: TypeAlias = NDArray[Any]

PREFIX = "data:image/jpeg;base64,"
"""How thumbnails begin."""

_SIDE = 128  # pixels of the longer side
_QUALITY = 82


def thumbnail(image: Array) -> str:
    """Return an image as a JPEG of at most 128 × 128, in a data URI.

    Parameters
    ----------
    image : ndarray, (H, W, C)
        float32 in [0, 1]; of other than 1 or 3 channels the mean.

    Examples
    --------
    >>> thumbnail(np.zeros((300, 200, 3), np.float32))[:27]
    'data:image/jpeg;base64,/9j/'
    """
    from PIL import Image

    height, width, channels = image.shape
    if channels not in (1, 3):
        image = image.mean(axis=2, keepdims=True)
    factor = min(1.0, _SIDE / max(height, width))
    if factor < 1:
        image = resize_image(image, max(1, round(height * factor)), max(1, round(width * factor)))
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if channels != 3 else pixels).save(
        file, format="JPEG", quality=_QUALITY, subsampling=0
    )
    return PREFIX + base64.b64encode(file.getvalue()).decode("ascii")
