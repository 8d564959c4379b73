"""A small model to begin with: named kernels in place of learned ones, and a decision at its end.

It tells which way the edges of a picture run. Nothing is trained: whoever knows the eight kernels
of its first layer can follow every number to the end.
"""

import numpy as np

from attar import kernels, layers
from attar.sequential import Sequential

__all__ = ["CLASSES", "demo"]

CLASSES = ("horizontal", "vertical", "falling", "rising")
"""What the answers stand for: edges that run from left to right, top to bottom, and diagonally."""

_GAIN = 80.0  # of the scores: makes a clear picture a clear decision
_SIDES = ("bottom", "top", "right", "left")


def demo() -> Sequential:
    """Return the model: pictures of any size in, four probabilities out.

    Examples
    --------
    >>> stripes = np.zeros((1, 32, 32, 3), np.float32)
    >>> stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = 1
    >>> CLASSES[int(demo()(stripes).argmax())]
    'horizontal'
    """
    model = Sequential(
        [
            layers.Input((None, None, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="edges"),
            layers.MaxPool2D(2, name="condense_1"),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="directions"),
            layers.MaxPool2D(2, name="condense_2"),
            layers.Conv2D(4, 5, padding="same", activation="relu", name="textures"),
            layers.GlobalAveragePooling2D(name="scores"),
            layers.Dense(4, name="decision"),
            layers.Softmax(name="probabilities"),
        ],
        name="demo",
    )
    weights = {
        "edges": _edges(),
        "directions": _directions(),
        "textures": _textures(),
        "decision": (_GAIN * (np.eye(4) - 0.25), np.zeros(4)),
    }
    for name, arrays in weights.items():
        model.get_layer(name).set_weights(list(arrays))
    return model


def _edges() -> tuple[np.ndarray, np.ndarray]:
    """Both sides of edges in four directions, of the mean of red, green and blue."""
    straight = [np.asarray(getattr(kernels, f"{side}_sobel")) for side in _SIDES]
    falling = np.array([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]])
    rising = falling[:, ::-1]
    found = np.stack([*straight, falling, -falling, rising, -rising], axis=-1) / 4
    # A faint edge is noise: it must differ by more than this to count.
    return np.repeat(found[:, :, None], 3, axis=2) / 3, np.full(8, -0.05)


def _directions() -> tuple[np.ndarray, np.ndarray]:
    """Both sides of a direction together, and the other directions against it."""
    together = np.repeat(np.eye(4), 2, axis=0)
    smooth = np.asarray(kernels.gaussian(3, 0.8))
    mixed = 1.5 * together - 0.25
    return smooth[:, :, None, None] * mixed, np.zeros(4)


def _textures() -> tuple[np.ndarray, np.ndarray]:
    """Where one direction goes on over a larger place."""
    smooth = np.asarray(kernels.gaussian(5, 1.2))
    mixed = 1.25 * np.eye(4) - 0.25
    return smooth[:, :, None, None] * mixed, np.zeros(4)
