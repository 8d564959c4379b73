"""What a model sees of a picture: its size, its channels, and the range of its numbers."""

import dataclasses
import math
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError
from attar.images import LUMA, resize_image

__all__ = ["PREPARATIONS", "Preparation", "fitted"]

Array: TypeAlias = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How the numbers of a picture, 0 to 1, become those that a model takes.

    ``(picture * scale - mean) / std``, then the order of the channels.

    Parameters
    ----------
    scale : float
        255 for a model that was trained on 0 to 255.
    mean, std : tuple of float
        For red, green, blue, or one for all.
    bgr : bool
        The model takes blue, green, red.

    Raises
    ------
    ArgumentError
        A number is not finite, or one that divides or multiplies is 0.

    Examples
    --------
    >>> white = np.ones((1, 1, 3), np.float32)
    >>> PREPARATIONS["vgg"].apply(white).ravel().astype(int).tolist()
    [151, 138, 131]
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))):
            raise ArgumentError("preparation: scale, mean and std must be finite numbers")
        if 0 in (self.scale, *self.std):
            raise ArgumentError("preparation: scale and std must not be 0")

    def check(self, channels: int) -> None:
        """Refuse it for a model that takes so many channels.

        Raises
        ------
        ArgumentError
        """
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise ArgumentError(
                    f"preparation: {name} has {len(numbers)} numbers; the model takes {channels} "
                    f"channel{'s' if channels != 1 else ''}"
                )
        if self.bgr and channels == 1:
            raise ArgumentError("preparation: bgr: the model takes one channel, gray")

    def apply(self, image: Array) -> NDArray[np.float32]:
        """Return a batch of one, (1, H, W, C), of an image (H, W, C) in [0, 1]."""
        return self.batch(image[None])

    def batch(self, images: Array) -> NDArray[np.float32]:
        """Return images (N, H, W, C) as the model takes them; the same array if nothing changes.

        Parameters
        ----------
        images : ndarray, (N, H, W, C)
            float32 in [0, 1], or uint8.
        """
        self.check(images.shape[3])
        scale = self.scale / 255 if images.dtype == np.uint8 else self.scale
        given: NDArray[Any] = np.asarray(images, np.float32)
        if scale != 1:
            given = given * np.float32(scale)
        if any(self.mean):
            given = given - np.array(self.mean, np.float32)
        if set(self.std) != {1}:
            given = given / np.array(self.std, np.float32)
        return np.ascontiguousarray(given[..., ::-1] if self.bgr else given)


PREPARATIONS = MappingProxyType(
    {
        "unit": Preparation(),
        "bytes": Preparation(scale=255.0),
        "vgg": Preparation(scale=255.0, mean=(123.68, 116.779, 103.939), bgr=True),
        "torch": Preparation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    }
)
"""The usual ones: 0 to 1, 0 to 255, ImageNet as VGG16 takes it, ImageNet as torchvision does."""


def fitted(image: Array, height: int, width: int, channels: int) -> NDArray[np.float32]:
    """Return a picture with this size and 1 or 3 channels, (height, width, channels).

    Parameters
    ----------
    image : ndarray, (H, W), (H, W, 1) or (H, W, 3)
        float32. Colours become gray by the rule of `attar.read_image`; gray is repeated.

    Examples
    --------
    >>> fitted(np.zeros((4, 6), np.float32), 2, 3, 3).shape
    (2, 3, 3)
    """
    if image.ndim == 3 and image.shape[2] == 3 and channels == 1:
        image = image @ np.array(LUMA, np.float32)
    planes = image.reshape(*image.shape[:2], -1)
    if planes.shape[:2] != (height, width):
        planes = resize_image(planes, height, width)
    planes = np.broadcast_to(planes, (height, width, channels))
    return np.ascontiguousarray(planes, dtype=np.float32)
