"""Write a TIFF file that is larger than memory likes, a band of rows at a time.

    python examples/make_gigapixel.py huge.tif --side 32768
    attar extract huge.tif -o edges.npy

A pattern of rings, waves and noise, the same on every machine: 8-bit gray, uncompressed strips of
16 rows. It needs tifffile, as reading it by rows does: pip install "attar[tiff]".
"""

import argparse
from collections.abc import Iterator

import numpy as np
import tifffile
from numpy.typing import NDArray

BAND = 256  # rows at a time; whole strips


def bands(side: int, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Give the rows of the image, `BAND` at a time."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 32, (BAND, side), dtype=np.uint8)
    x = np.arange(side, dtype=np.float32)
    for top in range(0, side, BAND):
        y = np.arange(top, min(top + BAND, side), dtype=np.float32)[:, None]
        rings = np.sin(np.sqrt((x - side / 2) ** 2 + (y - side / 3) ** 2) / 9)
        waves = np.sign(np.sin(x / 37) * np.sin(y / 23))
        yield (128 + 60 * rings + 30 * waves).astype(np.uint8) + noise[: len(y)]


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path")
    parser.add_argument("--side", type=int, default=32768, help="pixels (default: 32768)")
    options = parser.parse_args()
    shape = (options.side, options.side)
    with tifffile.TiffWriter(options.path, bigtiff=True) as file:
        strips = (band[i : i + 16] for band in bands(options.side) for i in range(0, len(band), 16))
        file.write(strips, shape=shape, dtype=np.uint8, rowsperstrip=16, photometric="minisblack")


if __name__ == "__main__":
    main()
