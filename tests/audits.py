"""What tests of audits share: a small model, images, and measures that take no time."""

import numpy as np

import attar
from attar import layers
from attar.auditing.shift import Shift
from attar.auditing.space import Space

RNG_SEED = 11


def model(name="small", channels=1):
    """A convnet for images of 16 × 16: a convolution, a pool, a dense layer."""
    return attar.Sequential(
        [
            layers.Input((16, 16, channels)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="filter"),
            layers.MaxPool2D(name="condense"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="classes"),
        ],
        name=name,
    )


def images(count=70, channels=1):
    """Random images, uint8."""
    shape = (count, 16, 16, channels)
    return np.random.default_rng(RNG_SEED).integers(0, 256, shape, np.uint8)


def quick():
    """Measures for tests of everything but measures."""
    return [Shift(modes=("circular",), reach=1, fragile=2), Space(), "cost"]


def numbers(report):
    """A report without what is different each time."""
    found = report.as_dict()
    found["how"].pop("date")
    found["how"].pop("seconds")
    return found
