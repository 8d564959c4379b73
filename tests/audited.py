"""Models with planted faults, and pictures, for the tests of audits."""

import numpy as np
import torch
from torch import nn

import attar
from attar import features
from attar.auditing.measure import Block


def pictures(count, size=32, channels=3, seed=0):
    """Smooth noise, as photographs are."""
    made = [
        features.random_map(size, decay_power=1.0, seed=seed * 1000 + i)
        for i in range(count * channels)
    ]
    return np.stack(made, axis=-1).reshape(size, size, count, channels).transpose(2, 0, 1, 3).copy()


def opened(*modules, size=32, seed=0, **options):
    """A sequence of PyTorch modules with random weights, opened."""
    torch.manual_seed(seed)
    for module in modules:
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return attar.open_model(nn.Sequential(*modules).eval(), size=size, **options)


def measured(measure, model, images, blocks=1):
    """The section of a measure, over so many blocks."""
    parts = [
        measure.work(model, Block(images[some], None, int(some[0])))
        for some in np.array_split(np.arange(len(images)), blocks)
    ]
    return measure.combine(model, parts)


def passes_counted(measure, model, images):
    """How many passes a measure says it made."""
    made = []
    measure.work(model, Block(images, None, 0, made.append))
    return sum(made)
