"""The pictures of a run: those of attar itself, and those that people bring."""

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar import features
from attar.errors import ArgumentError
from attar.images import decode_image, read_image

__all__ = ["MOST_BYTES", "MOST_PIXELS", "SAMPLES", "Picture", "Pictures"]

Image = NDArray[np.float32]

MOST_BYTES = 64 << 20  # of an uploaded file
MOST_PIXELS = 64_000_000  # of its picture, before pixels are decoded
_KEPT_BYTES = 1 << 30  # of decoded pictures; the one used longest ago goes first
_KEPT_PASSING = 3  # of a film: one that is looked at, one that is asked for, one that came in

_COFFEE = Path(__file__).parent / "static" / "coffee.jpg"

# What there is to look at without a picture of one's own.
SAMPLES: dict[str, Callable[[], Image]] = {
    "coffee": lambda: read_image(_COFFEE),
    "car": lambda: features.car(256),
    "circle": lambda: features.circle(64),
    "dots": lambda: features.two_dots(64),
    "noise": lambda: features.random_map(256, decay_power=1.0, seed=1),
}


class Picture(NamedTuple):
    """A picture: float32 (H, W) or (H, W, 3) in [0, 1], read-only."""

    key: str
    name: str
    pixels: Image

    def facts(self) -> dict[str, object]:
        """Return what the page is told of it."""
        height, width = self.pixels.shape[:2]
        return {
            "image": self.key,
            "name": self.name,
            "height": height,
            "width": width,
            "color": self.pixels.ndim == 3,
        }


class Pictures:
    """Pictures by their keys: the names of `SAMPLES`, or what `add` gave back.

    A key is made of the pixels, so that the same picture has the same address when it is opened
    again. Safe for threads.

    Examples
    --------
    >>> pictures = Pictures()
    >>> key = pictures.add(np.zeros((2, 3), np.float32), "black").key
    >>> pictures[key].facts()["width"]
    3
    """

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._opening: dict[str, Picture] = {}
        self._passing: deque[str] = deque()

    def decode(self, data: bytes, name: str, passing: bool = False) -> Picture:
        """Take in the bytes of a file. Raises ImageError where they are none, or too large.

        Of pictures that are `passing`, as those of a camera, the last three are kept.
        """
        picture = self.add(decode_image(data, max_pixels=MOST_PIXELS, name=name), name)
        if passing:
            with self._lock:
                # A camera that sees the same again gives the same key.
                if picture.key not in self._passing:
                    self._passing.append(picture.key)
                if len(self._passing) > _KEPT_PASSING:
                    self._pictures.pop(self._passing.popleft(), None)
        return picture

    def add(self, pixels: Image, name: str, *, stays: bool = False) -> Picture:
        """Take in an array; one that `stays` is there as long as the run, whatever comes."""
        digest = hashlib.sha256(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        picture = Picture(digest.hexdigest()[:16], name, pixels)
        if stays:
            pixels.flags.writeable = False
            self._opening[picture.key] = picture
            return picture
        return self._keep(picture)

    def names(self) -> dict[str, str]:
        """Return what those that stay are called, by key."""
        return {key: picture.name for key, picture in self._opening.items()}

    def _keep(self, picture: Picture) -> Picture:
        picture.pixels.flags.writeable = False
        with self._lock:
            self._pictures[picture.key] = picture
            self._pictures.move_to_end(picture.key)
            total = sum(each.pixels.nbytes for each in self._pictures.values())
            while total > self._kept_bytes and len(self._pictures) > 1:
                _, gone = self._pictures.popitem(last=False)
                total -= gone.pixels.nbytes
        return picture

    def __getitem__(self, key: str) -> Picture:
        if key in self._opening:
            return self._opening[key]
        with self._lock:
            found = self._pictures.get(key)
            if found is not None:
                self._pictures.move_to_end(key)
                return found
        if key not in SAMPLES:
            raise ArgumentError(
                f"image: {key!r:.60} is not open (any more); open it again, or take one of "
                f"{', '.join(SAMPLES)}"
            )
        return self._keep(Picture(key, key, SAMPLES[key]()))
